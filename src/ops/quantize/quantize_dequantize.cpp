#include "rung/ops/quantize_dequantize.h"

#include <algorithm>

#include "core/check.h"
#include "ops/quantize/observation.h"
#include "ops/quantize/quantize_dequantize_kernel.h"
#include "ops/quantize/quantizer_reading.h"
#include "rung/core/parallel.h"

namespace rung {

/// One estimator per channel; the kernels of a plan feed them.
struct QuantizeDequantize::Observation {
  std::vector<std::unique_ptr<RangeEstimator>> estimators;
};

QuantizeDequantize::QuantizeDequantize()
    : QuantizeDequantize(std::make_unique<AffineQuantizer>(), make_min_max()) {}

QuantizeDequantize::QuantizeDequantize(std::unique_ptr<Quantizer> quantizer,
                                       std::unique_ptr<RangeEstimator> estimator)
    : quantizer_(std::move(quantizer)),
      prototype_(std::move(estimator)),
      observation_(std::make_unique<Observation>()) {
  require(quantizer_ != nullptr && prototype_ != nullptr,
          "QuantizeDequantize needs a quantizer and a range estimator");
}

QuantizeDequantize::QuantizeDequantize(const QuantizeDequantize& other)
    : Op(other),
      quantizer_(other.quantizer_->clone()),
      prototype_(other.prototype_->clone()),
      observation_(std::make_unique<Observation>()),
      enabled_(other.enabled_),
      frozen_(other.frozen_),
      initialized_(other.initialized_),
      recomputed_(other.recomputed_),
      mode_(other.mode_ == QuantizeMode::observe ? QuantizeMode::quantize : other.mode_) {}

QuantizeDequantize::~QuantizeDequantize() = default;

std::uint64_t QuantizeDequantize::state_version() const {
  // What a user's quantizer depends on is unknown: it always counts as changed.
  if (!is_describable(*quantizer_)) ++changes_;
  std::uint64_t packed = changes_;  // 6 bits for each of the others: none of them is larger
  for (const std::uint64_t part :
       {std::uint64_t{enabled_}, std::uint64_t{initialized_}, std::uint64_t{recomputed_},
        static_cast<std::uint64_t>(mode_), static_cast<std::uint64_t>(quantizer_->bitwidth()),
        static_cast<std::uint64_t>(quantizer_->resolved_symmetry())})
    packed = packed * 64 + part;
  return packed;
}

void QuantizeDequantize::set_quantizer(std::unique_ptr<Quantizer> quantizer) {
  ++changes_;
  require(quantizer != nullptr, "QuantizeDequantize needs a quantizer");
  quantizer_ = std::move(quantizer);
  initialized_ = false;
}

void QuantizeDequantize::set_estimator(std::unique_ptr<RangeEstimator> estimator) {
  require(estimator != nullptr, "QuantizeDequantize needs a range estimator");
  prototype_ = std::move(estimator);
}

// ---- calibration

namespace {

using Estimators = std::vector<std::unique_ptr<RangeEstimator>>;

Estimators fresh(const RangeEstimator& prototype, const Quantizer& quantizer) {
  Estimators estimators;
  for (std::int64_t c = 0; c < quantizer.channels(); ++c) {
    estimators.push_back(prototype.clone());
    estimators.back()->reset();
  }
  return estimators;
}

std::vector<Range> estimate(const Estimators& estimators, Quantizer& quantizer) {
  for (const auto& estimator : estimators)
    require(estimator->count() > 0, "no data was observed; does calibration run this node?");
  require(!estimators.empty(), "no data was observed; call begin_observing() first");
  Range all = estimators.front()->observed();
  for (const auto& estimator : estimators) {
    const Range one = estimator->observed();
    all = {std::min(all.min, one.min), std::max(all.max, one.max)};
  }
  quantizer.resolve(all);
  std::vector<Range> ranges(estimators.size());
  parallel_for(quantizer.channels(), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t c = begin; c < end; ++c)
      ranges[static_cast<std::size_t>(c)] = estimators[static_cast<std::size_t>(c)]->estimate(
          quantizer.grid(), quantizer.resolved_symmetry());
  });
  return ranges;
}

}  // namespace

void QuantizeDequantize::begin_observing() {
  observation_->estimators = fresh(*prototype_, *quantizer_);
  mode_ = QuantizeMode::observe;
}

void QuantizeDequantize::observe(std::span<const float> x, const Shape& shape) const {
  require(!observation_->estimators.empty(), "call begin_observing() before observing");
  rung::observe(observation_->estimators, stretches(x, shape, quantizer_->granularity()));
}

std::int64_t QuantizeDequantize::observed_count() const {
  std::int64_t count = 0;
  for (const auto& estimator : observation_->estimators) count += estimator->count();
  return count;
}

std::span<const std::unique_ptr<RangeEstimator>> QuantizeDequantize::estimators() const {
  return observation_->estimators;
}

std::vector<Range> QuantizeDequantize::estimate() {
  return rung::estimate(observation_->estimators, *quantizer_);
}

namespace {

std::vector<std::span<const float>> read(std::span<Parameter* const> parameters) {
  std::vector<std::span<const float>> view;
  for (const Parameter* parameter : parameters) view.push_back(parameter->value().data());
  return view;
}

void initialize(const Quantizer& quantizer, std::span<const Range> ranges,
                std::span<Parameter* const> parameters) {
  require(parameters.size() == quantizer.parameters().size(),
          "a quantizer of kind {} has {} parameters, got {}", quantizer.kind(),
          quantizer.parameters().size(), parameters.size());
  std::vector<std::span<float>> view;
  for (Parameter* parameter : parameters) view.push_back(parameter->edit().data());
  quantizer.initialize(ranges, view);
}

}  // namespace

void QuantizeDequantize::finish_observing(std::span<Parameter* const> parameters) {
  mode_ = QuantizeMode::quantize;
  if (!frozen_) {
    initialize(*quantizer_, estimate(), parameters);
    initialized_ = true;
  }
  observation_->estimators.clear();
}

void QuantizeDequantize::recompute(std::span<const float> x, const Shape& shape,
                                   std::span<Parameter* const> parameters) const {
  const Estimators estimators = fresh(*prototype_, *quantizer_);
  rung::observe(estimators, stretches(x, shape, quantizer_->granularity()));
  initialize(*quantizer_, rung::estimate(estimators, *quantizer_), parameters);
}

void QuantizeDequantize::cancel_observing() {
  mode_ = QuantizeMode::quantize;
  observation_->estimators.clear();
}

void QuantizeDequantize::set_ranges(std::span<const Range> ranges,
                                    std::span<Parameter* const> parameters) {
  const auto channels = static_cast<std::size_t>(quantizer_->channels());
  require(ranges.size() == 1 || ranges.size() == channels,
          "a quantizer of {} channels takes as many ranges or one for all, got {}", channels,
          ranges.size());
  Range all = ranges.front();
  for (const Range& range : ranges) all.min = std::min(all.min, range.min);
  quantizer_->resolve(all);
  std::vector<Range> legal;
  for (std::size_t c = 0; c < channels; ++c)
    legal.push_back(legal_learned_range(ranges[ranges.size() == 1 ? 0 : c], quantizer_->grid(),
                                        quantizer_->resolved_symmetry()));
  initialize(*quantizer_, legal, parameters);
  initialized_ = true;
}

Encoding QuantizeDequantize::encoding(std::span<Parameter* const> parameters) const {
  require(initialized(), "there is no encoding yet: run compute_encodings() or set a range");
  return quantizer_->encoding(read(parameters));
}

// ---- Op

void QuantizeDequantize::check_savable() const {
  require(is_describable(*quantizer_),
          "cannot save: the quantizer is of kind \"{}\", which no file can bring back",
          quantizer_->kind());
  const std::string name = prototype_->name();
  require(name == "min_max" || name == "sqnr" || name == "percentile",
          "cannot save: the range estimator \"{}\" is one that no file can bring back", name);
}

namespace {

/// Shows a visitor everything that makes a quantizer; 0 and -1 stand for what it has not.
void visit_quantizer(AttributeVisitor& visitor, QuantizerSpec& spec) {
  QuantizerOptions& options = spec.options;
  std::int64_t bitwidth = options.bitwidth, axis = options.axis.value_or(-1);
  std::string symmetry(to_string(options.symmetry));
  Blocks blocks = options.blocks.value_or(Blocks{-1, 0, 0});
  std::int64_t decompressed_bw = spec.grouping.decompressed_bw;
  visitor("kind", spec.kind);
  visitor("bitwidth", bitwidth);
  visitor("symmetry", symmetry);
  visitor("axis", axis);
  visitor("channels", options.channels);
  visitor("block_axis", blocks.axis);
  visitor("block_size", blocks.size);
  visitor("blocks", blocks.count);
  visitor("decompressed_bw", decompressed_bw);
  visitor("block_grouping", spec.grouping.block_grouping);
  visitor("format", spec.format);
  visitor("stochastic_rounding", options.stochastic_rounding);

  require(bitwidth >= 2 && bitwidth <= kPassThroughBitwidth, "bitwidth must be 2..32, got {}",
          bitwidth);
  require(decompressed_bw >= 2 && decompressed_bw <= 31, "decompressed_bw must be 2..31, got {}",
          decompressed_bw);
  options.bitwidth = static_cast<int>(bitwidth);
  options.symmetry = parse_symmetry(symmetry);
  options.axis = axis >= 0 ? std::optional(axis) : std::nullopt;
  options.blocks = blocks.axis >= 0 ? std::optional(blocks) : std::nullopt;
  spec.grouping.decompressed_bw = static_cast<int>(decompressed_bw);
}

}  // namespace

void QuantizeDequantize::visit(AttributeVisitor& visitor) {
  QuantizerSpec spec{.kind = std::string(quantizer_->kind()), .options = quantizer_->options()};
  if (is_describable(*quantizer_)) spec = describe(*quantizer_);
  std::string estimator = prototype_->name();
  bool saw_negative = quantizer_->saw_negative();
  double percentile = percentile_of(*prototype_);
  const QuantizerSpec before = spec;
  visit_quantizer(visitor, spec);
  visitor("saw_negative", saw_negative);
  visitor("estimator", estimator);
  visitor("percentile", percentile);
  visitor("enabled", enabled_);
  visitor("frozen", frozen_);
  visitor("recomputed", recomputed_);
  visitor("initialized", initialized_);

  // What a loading visitor has changed is rebuilt.
  if (spec != before) quantizer_ = make_quantizer(spec);
  quantizer_->resolve({saw_negative ? -1.0f : 0.0f, 0.0f});
  if (estimator != prototype_->name() || percentile != percentile_of(*prototype_))
    prototype_ = make_range_estimator(estimator, percentile);
}

std::vector<Shape> QuantizeDequantize::infer(std::span<const Shape> inputs) const {
  const auto specs = quantizer_->parameters();
  require(inputs.size() == specs.size() + 1, "needs x and {} parameters, got {} inputs",
          specs.size(), inputs.size());
  quantizer_->granularity().check(inputs[0]);
  for (std::size_t i = 0; i < specs.size(); ++i)
    if (!(inputs[i + 1] == specs[i].shape))
      fail("{} must be {}, got {}", specs[i].name, specs[i].shape.to_string(),
           inputs[i + 1].to_string());
  return {inputs[0]};
}

std::int64_t QuantizeDequantize::code_channels() const {
  const Granularity granularity = quantizer_->granularity();
  if (!quantizer_->runs_fused() || granularity.blocks || granularity.axis.value_or(0) != 0)
    return 0;
  return granularity.channels;
}

bool QuantizeDequantize::can_be_fused() const {
  return quantizer_->runs_fused() && quantizer_->channels() == 1 && !quantizer_->axis() &&
         (quantizer_->pass_through() ||
          quantizer_->bitwidth() < QuantizerReading::kExactBitwidths) &&
         !quantizer_->stochastic_rounding() && !recomputed_;
}

bool QuantizeDequantize::fits_byte() const {
  // Codes are made from scale and offset: of one scale, and of a quantizer that rounds with it.
  return quantizes(*this) && quantizer_->runs_fused() && quantizer_->channels() == 1 &&
         !quantizer_->axis() && quantizer_->bitwidth() <= 8;
}

std::unique_ptr<Kernel> QuantizeDequantize::compile(const KernelContext& context) const {
  return std::make_unique<QuantizeDequantizeKernel>(*this, context);
}

std::unique_ptr<Op> QuantizeDequantize::clone() const {
  return std::make_unique<QuantizeDequantize>(*this);
}

void QuantizeDequantize::constrain(std::span<Parameter* const> parameters) const {
  const auto own = parameters.subspan(1);  // the first input is x
  std::vector<std::vector<float>> values;
  bool learned = false;
  for (const Parameter* parameter : own) {
    if (parameter == nullptr) return;
    learned = learned || parameter->requires_grad();
    values.emplace_back(parameter->value().data().begin(), parameter->value().data().end());
  }
  if (!learned || !initialized()) return;
  const std::vector<std::span<float>> view(values.begin(), values.end());
  try {
    quantizer_->constrain(view);
  } catch (const Error& error) {
    fail("[QuantizeDequantize {}] {}", own.front()->name(), error.what());
  }
  for (std::size_t i = 0; i < own.size(); ++i)
    if (!std::ranges::equal(own[i]->value().data(), values[i]))  // edit() only what has changed
      std::ranges::copy(values[i], own[i]->edit().data().begin());
}

// ---- building

std::vector<Parameter*> quantizer_parameters(const Node& node) {
  require(node.as<QuantizeDequantize>() != nullptr, "{} is a {}, not a QuantizeDequantize node",
          node.name(), node.type());
  std::vector<Parameter*> parameters;
  for (const Value* value : node.inputs().subspan(1)) parameters.push_back(value->parameter());
  return parameters;
}

std::vector<Value*> add_quantizer_parameters(Graph& graph, const Quantizer& quantizer,
                                             std::string_view node_name) {
  std::vector<Value*> values;
  for (const ParameterSpec& spec : quantizer.parameters())
    values.push_back(&graph.add_parameter(fmt::format("{}.{}", node_name, spec.name),
                                          Tensor::full(spec.shape, spec.initial), Role::encoding));
  return values;
}

namespace nn {

Var quantize_dequantize(Var x, std::unique_ptr<Quantizer> quantizer,
                        std::unique_ptr<RangeEstimator> estimator, std::string_view name) {
  auto op = std::make_unique<QuantizeDequantize>(std::move(quantizer), std::move(estimator));
  std::vector<Value*> inputs{&x.value()};
  for (Value* value : add_quantizer_parameters(x.graph(), op->quantizer(), x.graph().scoped(name)))
    inputs.push_back(value);
  return {x.graph(), x.graph().add_node(std::move(op), inputs, name).output()};
}

}  // namespace nn
}  // namespace rung
