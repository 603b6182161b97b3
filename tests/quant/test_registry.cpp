#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "quant/attributes.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/quant/registry.h"
#include "support/notes.h"
#include "support/quant_helpers.h"

using namespace rung;

namespace {

/// A user's kind with an option of its own: a share of the range is used.
class Shrunk final : public RangeQuantizer {
 public:
  explicit Shrunk(const QuantizerOptions& options) : RangeQuantizer(options) {}
  std::string_view kind() const override { return "test.shrunk"; }
  void visit(AttributeVisitor& visitor) override { visitor("share", share); }
  Encoding encoding(ParameterView p) const override {
    return encoding_from_range({share * p[0][0], share * p[1][0]}, bitwidth(), resolved_symmetry());
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Shrunk>(*this); }
  float share = 1.0f;
};

/// A user's estimator with an option of the same name.
class Shared final : public RangeEstimator {
 public:
  std::string name() const override { return "test.shared"; }
  void visit(AttributeVisitor& visitor) override { visitor("share", share); }
  void begin_batch(Range seen, std::int64_t count) override { seen_ = seen, count_ += count; }
  void accumulate(std::span<const float>) override {}
  void end_batch() override {}
  void merge(const RangeEstimator&) override {}
  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    const auto s = static_cast<float>(share);
    return legal_range({s * seen_.min, s * seen_.max}, grid, symmetry);
  }
  Range observed() const override { return seen_; }
  std::int64_t count() const override { return count_; }
  void reset() override { seen_ = {}, count_ = 0; }
  std::unique_ptr<RangeEstimator> clone() const override { return std::make_unique<Shared>(*this); }
  std::vector<double> state() const override { return {}; }
  void load_state(std::span<const double>) override {}
  double share = 0.5;

 private:
  Range seen_;
  std::int64_t count_ = 0;
};

void register_both() {
  [[maybe_unused]] static const bool once = [] {
    register_quantizer("test.shrunk", [](const QuantizerOptions& options) {
      return std::make_unique<Shrunk>(options);
    });
    register_range_estimator("test.shared", [] { return std::make_unique<Shared>(); });
    return true;
  }();
}

std::map<std::string, Notes::Value, std::less<>> shown(std::unique_ptr<Quantizer>& quantizer) {
  Notes notes;
  visit_quantizer(notes, quantizer);
  return notes.values;
}

QuantizerOptions blocks() {
  return {.bitwidth = 4,
          .symmetry = Symmetry::symmetric,
          .axis = 0,
          .channels = 4,
          .blocks = Blocks{1, 2, 4}};
}

}  // namespace

TEST_SUITE("quant: registry") {
  TEST_CASE("every kind comes back from what it shows") {
    register_both();
    auto shrunk = std::make_unique<Shrunk>(QuantizerOptions{.bitwidth = 6});
    shrunk->share = 0.75f;
    std::vector<std::unique_ptr<Quantizer>> all;
    for (const std::string& kind : quantizer_kinds())
      if (!kind.starts_with("test.")) all.push_back(make_quantizer(kind, blocks()));
    all.push_back(std::move(shrunk));
    all.push_back(std::make_unique<FloatQuantizer>(kFloat8E5m2));
    all.push_back(std::make_unique<GroupedBlockQuantizer>(
        blocks(), GroupedBlockOptions{.decompressed_bw = 7, .block_grouping = 2}));
    all.push_back(std::make_unique<AffineQuantizer>(
        QuantizerOptions{.symmetry = Symmetry::unsigned_symmetric, .stochastic_rounding = true}));
    all.back()->resolve({-1, 1});
    for (std::unique_ptr<Quantizer>& quantizer : all) {
      CAPTURE(to_string(*quantizer));
      Notes notes;
      visit_quantizer(notes, quantizer);
      notes.writing = true;
      std::unique_ptr<Quantizer> again = make_quantizer("affine");
      visit_quantizer(notes, again);
      CHECK(again->kind() == quantizer->kind());
      CHECK(again->options() == quantizer->options());
      CHECK(to_string(*again) == to_string(*quantizer));
      CHECK(shown(again) == notes.values);
    }
  }

  TEST_CASE("so does every range estimator, and one that is printed stays what it is") {
    register_both();
    auto shared = std::make_unique<Shared>();
    shared->share = 0.25;
    std::vector<std::unique_ptr<RangeEstimator>> all;
    for (const std::string& name : range_estimator_names())
      if (!name.starts_with("test.")) all.push_back(make_range_estimator(name));
    all.push_back(std::move(shared));
    all.push_back(make_percentile(99.9));
    for (std::unique_ptr<RangeEstimator>& estimator : all) {
      const RangeEstimator* same = estimator.get();
      Notes notes;
      visit_range_estimator(notes, estimator);
      CHECK(estimator.get() == same);
      notes.writing = true;
      std::unique_ptr<RangeEstimator> again = make_min_max();
      visit_range_estimator(notes, again);
      CHECK(to_string(*again) == to_string(*estimator));
    }
    CHECK(to_string(*all.back()) == "percentile {percentile=99.9}");
    CHECK(to_string(*make_quantizer("float")) == "float {format=float16}");
    CHECK(to_string(*make_min_max()) == "min_max");
  }

  TEST_CASE("files list the first kinds' options as ever, those of later ones under a prefix") {
    const auto names_of = [](std::unique_ptr<Quantizer> quantizer,
                             std::unique_ptr<RangeEstimator> estimator) {
      QuantizeDequantize op(std::move(quantizer), std::move(estimator));
      Notes notes;
      op.visit(notes);
      std::vector<std::string> names;
      for (const auto& [name, value] : notes.values) names.push_back(name);
      return names;
    };
    std::vector<std::string> first = {"axis",
                                      "bitwidth",
                                      "block_axis",
                                      "block_grouping",
                                      "block_size",
                                      "blocks",
                                      "channels",
                                      "decompressed_bw",
                                      "enabled",
                                      "estimator",
                                      "format",
                                      "frozen",
                                      "initialized",
                                      "kind",
                                      "limit_encodings",
                                      "percentile",
                                      "place",
                                      "recomputed",
                                      "saw_negative",
                                      "stochastic_rounding",
                                      "symmetry",
                                      "use_all_two_bit_codes"};
    for (const char* estimator : {"min_max", "sqnr", "percentile"}) {
      CHECK(names_of(make_quantizer("affine"), make_range_estimator(estimator)) == first);
      CHECK(names_of(make_quantizer("lsq"), make_range_estimator(estimator)) == first);
      CHECK(names_of(make_quantizer("float"), make_range_estimator(estimator)) == first);
      CHECK(names_of(make_quantizer("grouped_block", blocks()), make_range_estimator(estimator)) ==
            first);
    }
    register_both();
    for (const char* foreign : {"block_grouping", "decompressed_bw", "format", "percentile"})
      std::erase(first, foreign);
    first.insert(std::ranges::find(first, "frozen"), "estimator.share");
    first.insert(std::ranges::find(first, "recomputed"), "quantizer.share");
    CHECK(names_of(make_quantizer("test.shrunk"), make_range_estimator("test.shared")) == first);
  }

  TEST_CASE("only what is known can be saved") {
    register_both();
    const QuantizeDequantize op(make_quantizer("test.shrunk"), make_range_estimator("test.shared"));
    CHECK_NOTHROW(op.check_savable());
  }

  TEST_CASE("wrong names are errors that say what is right") {
    register_both();
    const auto make = [](const QuantizerOptions& o) { return std::make_unique<Shrunk>(o); };
    CHECK(message_of([&] { register_quantizer("affine", make); }).find("known already") !=
          std::string::npos);
    CHECK(message_of([&] { register_quantizer("test.shrunk", make); }).find("known already") !=
          std::string::npos);
    CHECK(message_of([&] { register_quantizer("a:b", make); }).find("letters") !=
          std::string::npos);
    CHECK(message_of([&] { register_quantizer("", make); }).find("letters") != std::string::npos);
    CHECK(message_of([&] { register_quantizer("test.empty", {}); }).find("function") !=
          std::string::npos);
    CHECK(message_of([] { register_range_estimator("sqnr", make_sqnr); }).find("known already") !=
          std::string::npos);
    CHECK(message_of([] { make_quantizer("mine"); }).find("affine, lsq") != std::string::npos);
    CHECK(message_of([] { make_range_estimator("mine"); }).find("min_max, sqnr, tf_enhanced") !=
          std::string::npos);
    [[maybe_unused]] static const bool once = [&] {
      register_quantizer("test.other", make);
      register_range_estimator("test.none", [] { return std::unique_ptr<RangeEstimator>(); });
      return true;
    }();
    CHECK(message_of([] { make_quantizer("test.other"); }).find("test.shrunk") !=
          std::string::npos);
    CHECK(message_of([] { make_range_estimator("test.none"); }).find("none") != std::string::npos);
  }
}
