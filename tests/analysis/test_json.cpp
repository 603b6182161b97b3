#include <cmath>
#include <limits>
#include <string>

#include "doctest/doctest.h"
#include "rung/analysis/analyze.h"
#include "support/message_of.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

analysis::Analysis some() {
  const QuantizationSimModel sim = calibrated({.default_output_bw = 4, .default_param_bw = 4});
  return analysis::analyze(
      sim, std::vector<Tensor>{random_tensor({4, 2, 6, 6}, 3)}, {},
      {.per_quantizer = true, .groups = {{"convolutions", {"conv1.weight", "conv2.weight"}}}});
}

/// Replaces the first `from` of the text; it must be there.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

std::string refused(const std::string& text) {
  return message_of([&] { (void)analysis::from_json(text, "file.json"); });
}

}  // namespace

TEST_SUITE("analysis: JSON") {
  TEST_CASE("comes back as it was, infinities too") {
    const analysis::Analysis before = some();
    CHECK(before.levels.nothing == std::numeric_limits<double>::infinity());
    const std::string text = analysis::to_json(before);
    CHECK(analysis::from_json(text) == before);
    CHECK(analysis::to_json(analysis::from_json(text)) == text);
    analysis::Analysis odd = before;
    odd.levels.weights = std::numeric_limits<double>::quiet_NaN();
    odd.levels.activations = -std::numeric_limits<double>::infinity();
    odd.layers[0].name = "a \"quoted\" <img onerror=x>\n";
    const analysis::Analysis after = analysis::from_json(analysis::to_json(odd));
    CHECK(std::isnan(after.levels.weights));
    CHECK(after.levels.activations == odd.levels.activations);
    CHECK(after.layers[0].name == odd.layers[0].name);
  }

  TEST_CASE("a text is not trusted") {
    const std::string text = analysis::to_json(some());
    CHECK(refused(text) == "no Error");
    const auto says = [&](const std::string& changed, const std::string& words) {
      const std::string message = refused(changed);
      CHECK_MESSAGE(message.find(words) != std::string::npos, message);
      CHECK(message.starts_with("file.json: "));
    };
    says(text.substr(0, text.size() / 2), "");
    says("[]", "");
    says(with(text, "\"rung_analysis\":1", "\"rung_analysis\":2"), "rung_analysis must be 1");
    says(with(text, "\"metric\"", "\"metrik\""), "metric");
    says(with(text, "\"rung_analysis\"", "\"extra\":0,\"rung_analysis\""),
         "extra is an unknown key");
    says(with(text, "\"cosine\"", "\"cosinus\":1,\"cosine\""), "cosinus is an unknown key");
    says(with(text, "\"bitwidth\":4,", "\"bitwidth\":\"4\","), "bitwidth must be an integer");
    says(with(text, "\"nothing\":\"inf\"", "\"nothing\":\"big\""), "nothing must be a number");
    says(with(text, "\"clipped_above\":", "\"clipped_above\":7"), "is not in 0 .. 1");
    analysis::Analysis shares = some();
    shares.levels = {"top1", 1.0, 0.5, 0.25, 0.0};
    CHECK(refused(analysis::to_json(shares)) == "no Error");
    for (const double none : {7.0, -0.1, std::numeric_limits<double>::quiet_NaN()}) {
      shares.levels.everything = none;
      says(analysis::to_json(shares), "levels.everything is ");
    }
    says(with(text, "\"channel_max\":[", "\"channel_max\":[1e300,"), "must fit into 32 bits");
    says(with(text, "\"images\":4", "\"images\":-4"), "-4 images");
    says(with(text, "\"cost\"",
              "\"confusion\":{\"class_names\":[],\"counts\":[[1]],\"x\":0},\"cost\""),
         "x is an unknown key");
    says(with(text, "\"cost\"", "\"confusion\":{\"class_names\":[],\"counts\":[[1,2]]},\"cost\""),
         "a row of 2 numbers for 1 classes");
    says(with(text, "\"cost\"", "\"confusion\":{\"class_names\":[],\"counts\":[[-1]]},\"cost\""),
         "confusion counts -1 images");
    says(with(text, "\"macs\":", "\"macs\":-1"), "negative");
    says(with(text, "\"quantizers\":[\"conv1", "\"quantizers\":[\"none"), "which is not listed");
  }
}
