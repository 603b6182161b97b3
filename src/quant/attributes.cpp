#include "quant/attributes.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "core/attribute_text.h"
#include "core/check.h"
#include "rung/quant/registry.h"

// What files say about quantizers and range estimators. The first kinds list each other's options,
// with the defaults of what they have not: that is how files have always looked, and what makes
// them equal byte for byte. Kinds that came later list their own options under a prefix.

namespace rung {
namespace {

/// Hands attributes on to another visitor, under names with a prefix.
class Prefixed final : public AttributeVisitor {
 public:
  Prefixed(AttributeVisitor& visitor, std::string_view prefix)
      : visitor_(visitor), prefix_(prefix) {}
  void operator()(std::string_view name, std::int64_t& value) override { hand_on(name, value); }
  void operator()(std::string_view name, double& value) override { hand_on(name, value); }
  void operator()(std::string_view name, float& value) override { hand_on(name, value); }
  void operator()(std::string_view name, bool& value) override { hand_on(name, value); }
  void operator()(std::string_view name, std::string& value) override { hand_on(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    hand_on(name, value);
  }

 private:
  template <typename T>
  void hand_on(std::string_view name, T& value) {
    visitor_(prefix_ + std::string(name), value);
  }

  AttributeVisitor& visitor_;
  std::string prefix_;
};

/// Shows the options that every quantizer has; 0 and -1 stand for what it has not.
void visit_options(AttributeVisitor& visitor, QuantizerOptions& options) {
  std::int64_t bitwidth = options.bitwidth, axis = options.axis.value_or(-1);
  std::string symmetry(to_string(options.symmetry));
  Blocks blocks = options.blocks.value_or(Blocks{-1, 0, 0});
  visitor("bitwidth", bitwidth);
  visitor("symmetry", symmetry);
  visitor("axis", axis);
  visitor("channels", options.channels);
  visitor("block_axis", blocks.axis);
  visitor("block_size", blocks.size);
  visitor("blocks", blocks.count);
  visitor("use_all_two_bit_codes", options.grid_rules.use_all_two_bit_codes);
  visitor("limit_encodings", options.grid_rules.limit_encodings);

  require(bitwidth >= 2 && bitwidth <= kPassThroughBitwidth, "bitwidth must be 2..32, got {}",
          bitwidth);
  options.bitwidth = static_cast<int>(bitwidth);
  options.symmetry = parse_symmetry(symmetry);
  options.axis = axis >= 0 ? std::optional(axis) : std::nullopt;
  options.blocks = blocks.axis >= 0 ? std::optional(blocks) : std::nullopt;
}

template <std::size_t N>
bool is_one_of(const std::array<std::string_view, N>& first, std::string_view name) {
  return std::ranges::find(first, name) != first.end();
}

/// Shows what the first kinds have in files, whichever this is.
void visit_first_kind(AttributeVisitor& visitor, Quantizer& quantizer) {
  std::int64_t decompressed_bw = GroupedBlockOptions{}.decompressed_bw;
  std::int64_t block_grouping = GroupedBlockOptions{}.block_grouping;
  std::string format(kFloat16.name);
  if (quantizer.kind() == GroupedBlockQuantizer::kKind) {
    quantizer.visit(visitor);
  } else {
    visitor("decompressed_bw", decompressed_bw);
    visitor("block_grouping", block_grouping);
  }
  if (quantizer.kind() == FloatQuantizer::kKind)
    quantizer.visit(visitor);
  else
    visitor("format", format);
}

/// Prints "name" or "name {option=value}".
std::string with_options(std::string_view name, const AttributeText& options) {
  return options.empty() ? std::string(name) : fmt::format("{} {{{}}}", name, options.text());
}

}  // namespace

void visit_quantizer(AttributeVisitor& visitor, std::unique_ptr<Quantizer>& quantizer) {
  constexpr std::array kFirst = {AffineQuantizer::kKind, LsqQuantizer::kKind,
                                 GroupedBlockQuantizer::kKind, FloatQuantizer::kKind};
  std::string kind(quantizer->kind());
  QuantizerOptions options = quantizer->options();
  visitor("kind", kind);
  visit_options(visitor, options);
  if (kind != quantizer->kind() || options != quantizer->options())
    quantizer = make_quantizer(kind, options);
  Prefixed own(visitor, "quantizer.");
  if (is_one_of(kFirst, kind))
    visit_first_kind(visitor, *quantizer);
  else
    quantizer->visit(own);
  bool stochastic = quantizer->stochastic_rounding(), saw_negative = quantizer->saw_negative();
  visitor("stochastic_rounding", stochastic);
  visitor("saw_negative", saw_negative);
  quantizer->set_stochastic_rounding(stochastic);
  quantizer->resolve({saw_negative ? -1.0f : 0.0f, 0.0f});
}

void visit_range_estimator(AttributeVisitor& visitor, std::unique_ptr<RangeEstimator>& estimator) {
  constexpr std::array<std::string_view, 3> kFirst = {"min_max", "sqnr", "percentile"};
  std::string name = estimator->name();
  visitor("estimator", name);
  if (name != estimator->name()) estimator = make_range_estimator(name);
  Prefixed own(visitor, "estimator.");
  double percentile = 100.0;
  if (!is_one_of(kFirst, name))
    estimator->visit(own);
  else if (name == "percentile")
    estimator->visit(visitor);
  else
    visitor("percentile", percentile);
}

std::string to_string(const Quantizer& quantizer) {
  AttributeText options;
  quantizer.clone()->visit(options);
  return with_options(quantizer.kind(), options);
}

std::string to_string(const RangeEstimator& estimator) {
  AttributeText options;
  estimator.clone()->visit(options);
  return with_options(estimator.name(), options);
}

}  // namespace rung
