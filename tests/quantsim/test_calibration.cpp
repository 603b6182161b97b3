// quantsim::Calibration: a calibration that was interrupted finds the same encodings.

#include <doctest/doctest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rung/quantsim/calibration.h"
#include "support/io_helpers.h"
#include "support/quantsim_net.h"
#include "support/training_helpers.h"

using namespace rung;
using iotest::TemporaryFolder;

namespace {

constexpr std::int64_t kBatches = 5;

QuantizationSimModel new_sim(QuantScheme scheme) {
  return QuantizationSimModel(small_net(), {.quant_scheme = scheme, .config_file = "per_channel"});
}

nn::DataLoader images() {
  return nn::DataLoader({.dataset = test::columns(18, {2, 6, 6}), .batch_size = 4});
}

/// Stops after so many batches.
quantsim::CalibrationRunOptions stopped_after(std::int64_t batches, const std::string& file) {
  const auto done = std::make_shared<std::int64_t>(0);
  return {.file = file,
          .every = "never",
          .resume = true,
          .stop = [done, batches] { return *done >= batches; },
          .on_progress = [done](const nn::Progress&) { ++*done; }};
}

}  // namespace

TEST_SUITE("quantsim: calibration") {
  TEST_CASE("stopped after any batch, another process finds the same encodings") {
    const TemporaryFolder folder;
    const std::string file = folder / "calibration";
    for (const QuantScheme& scheme :
         {QuantScheme::post_training_sqnr, QuantScheme::post_training_tf_enhanced,
          QuantScheme::post_training_tf, QuantScheme::post_training_percentile}) {
      CAPTURE(to_string(scheme));
      QuantizationSimModel whole = new_sim(scheme);
      nn::DataLoader data = images();
      quantsim::Calibration calibration({.file = file});
      CHECK(calibration.run(whole, data));
      CHECK(calibration.batches() == kBatches);
      for (std::int64_t stop = 1; stop <= kBatches; ++stop) {
        CAPTURE(stop);
        {
          QuantizationSimModel sim = new_sim(scheme);
          const std::string before = fingerprint(sim);
          nn::DataLoader part = images();
          quantsim::Calibration first(stopped_after(stop, file));
          CHECK(!first.resumed_batches());
          CHECK(!first.run(sim, part));
          CHECK(first.batches() == stop);
          CHECK(fingerprint(sim) == before);
        }
        QuantizationSimModel sim = new_sim(scheme);
        nn::DataLoader rest = images();
        std::int64_t seen = 0;
        quantsim::Calibration second(
            {.file = file, .resume = true, .on_progress = [&](const nn::Progress&) { ++seen; }});
        CHECK(second.resumed_batches() == stop);
        CHECK(second.run(sim, rest));
        CHECK(seen == kBatches - stop);
        CHECK(fingerprint(sim) == fingerprint(whole));
        second.finish();
        CHECK(!std::filesystem::exists(file));
      }
    }
  }

  TEST_CASE("a calibration that was stopped can go on in the same process") {
    const TemporaryFolder folder;
    QuantizationSimModel whole = new_sim(QuantScheme::post_training_tf_enhanced);
    QuantizationSimModel parts = new_sim(QuantScheme::post_training_tf_enhanced);
    nn::DataLoader all = images(), some = images();
    quantsim::Calibration undisturbed({.file = folder / "a"});
    undisturbed.run(whole, all);
    bool stop = false;
    quantsim::Calibration disturbed({.file = folder / "b", .stop = [&] { return stop = !stop; }});
    while (!disturbed.run(parts, some)) {
    }
    CHECK(fingerprint(parts) == fingerprint(whole));
  }

  TEST_CASE("what was left behind is not gone over, and must fit") {
    const TemporaryFolder folder;
    const std::string file = folder / "calibration";
    QuantizationSimModel sim = new_sim(QuantScheme::post_training_tf);
    nn::DataLoader data = images();
    {
      quantsim::CalibrationRunOptions options = stopped_after(2, file);
      options.settings = {{"scheme", "tf"}};
      quantsim::Calibration first(std::move(options));
      first.set_note("top1_float", 91.25);
      CHECK(!first.run(sim, data));
    }
    CHECK(message_of([&] { quantsim::Calibration({.file = file}); }) ==
          file +
              " is a calibration that did not end: go on with CalibrationRunOptions::resume, or "
              "delete it");
    CHECK(message_of([&] {
            quantsim::Calibration({.file = file, .resume = true, .settings = {{"scheme", "x"}}});
          }) == file + " belongs to a run that was told something else: scheme was tf, is x");
    quantsim::Calibration second({.file = file, .resume = true, .settings = {{"scheme", "tf"}}});
    CHECK(second.note("top1_float") == 91.25);
    QuantizationSimModel other = new_sim(QuantScheme::post_training_percentile);
    CHECK(message_of([&] { second.run(other, data); }).find("must be the state of") !=
          std::string::npos);
    std::string bytes = iotest::read_bytes(file);
    bytes[bytes.size() / 2] ^= 0x55;
    iotest::write_bytes(file, bytes);
    CHECK(message_of([&] {
            quantsim::Calibration({.file = file, .resume = true});
          }).starts_with(file));
  }
}
