#include "rung/ops/quantize_dequantize.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "ops/quantize/quantize_dequantize_kernel.h"
#include "ops/quantize/quantizer_reading.h"
#include "quant/attributes.h"
#include "quant/library_kinds.h"
#include "rung/core/parallel.h"
#include "rung/graph/kernel.h"
#include "rung/quant/registry.h"

namespace rung {

QuantizeDequantize::QuantizeDequantize()
    : QuantizeDequantize(std::make_unique<AffineQuantizer>(), make_min_max()) {}

QuantizeDequantize::QuantizeDequantize(std::unique_ptr<Quantizer> quantizer,
                                       std::unique_ptr<RangeEstimator> estimator)
    : quantizer_(std::move(quantizer)), prototype_(std::move(estimator)) {
  require(quantizer_ != nullptr && prototype_ != nullptr,
          "QuantizeDequantize needs a quantizer and a range estimator");
}

QuantizeDequantize::QuantizeDequantize(const QuantizeDequantize& other)
    : Op(other),
      quantizer_(other.quantizer_->clone()),
      prototype_(other.prototype_->clone()),
      place_(other.place_),
      enabled_(other.enabled_),
      frozen_(other.frozen_),
      initialized_(other.initialized_),
      recomputed_(other.recomputed_) {}

QuantizeDequantize::~QuantizeDequantize() = default;

std::optional<std::uint64_t> QuantizeDequantize::state_version() const {
  // What a user's quantizer depends on is unknown.
  if (!is_library_kind(quantizer_->kind())) return std::nullopt;
  return changes_ + quantizer_->version();
}

void QuantizeDequantize::set_quantizer(std::unique_ptr<Quantizer> quantizer) {
  require(quantizer != nullptr, "QuantizeDequantize needs a quantizer");
  changes_ += quantizer_->version();  // whatever the new one's is, state_version() rises
  quantizer_ = std::move(quantizer);
  initialized_ = false;
}

void QuantizeDequantize::set_estimator(std::unique_ptr<RangeEstimator> estimator) {
  require(estimator != nullptr, "QuantizeDequantize needs a range estimator");
  prototype_ = std::move(estimator);
}

// ---- calibration

namespace {

std::vector<Range> ranges_of(const Observation& seen, Quantizer& quantizer) {
  const auto estimators = seen.estimators();
  for (const auto& estimator : estimators)
    require(estimator->count() > 0, "no data was observed; does calibration run this node?");
  require(std::ssize(estimators) == quantizer.channels(),
          "a quantizer of {} channels cannot take the ranges of {}", quantizer.channels(),
          estimators.size());
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

std::vector<Range> QuantizeDequantize::estimate(const Observation& seen) {
  return ranges_of(seen, *quantizer_);
}

void QuantizeDequantize::calibrate(const Observation& seen,
                                   std::span<Parameter* const> parameters) {
  if (frozen_) return;
  initialize(*quantizer_, estimate(seen), parameters);
  set_initialized(true);
}

void QuantizeDequantize::recompute(std::span<const float> x, const Shape& shape,
                                   std::span<Parameter* const> parameters) const {
  Observation seen(*this);
  seen.see(x, shape);
  initialize(*quantizer_, ranges_of(seen, *quantizer_), parameters);
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
  set_initialized(true);
}

Encoding QuantizeDequantize::encoding(std::span<Parameter* const> parameters) const {
  require(initialized(), "there is no encoding yet: run compute_encodings() or set a range");
  return quantizer_->encoding(read(parameters));
}

// ---- Op

namespace {

constexpr std::array<std::string_view, 3> kPlaces = {"parameter", "value", "edge"};

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

void visit_place(AttributeVisitor& visitor, QuantizerPlace& place) {
  std::string name(to_string(place));
  visitor("place", name);
  const auto found = std::ranges::find(kPlaces, name);
  require(found != kPlaces.end(), "the place of a quantizer must be one of {}, got {}",
          fmt::join(kPlaces, ", "), name);
  place = static_cast<QuantizerPlace>(found - kPlaces.begin());
}

}  // namespace

std::string_view to_string(QuantizerPlace place) {
  return kPlaces[static_cast<std::size_t>(place)];
}

void QuantizeDequantize::check_savable() const {
  const std::string_view kind = quantizer_->kind();
  require(contains(quantizer_kinds(), kind),
          "cannot save: the quantizer is of kind \"{}\", which no file can bring back: "
          "register_quantizer() makes it known",
          kind);
  const std::string name = prototype_->name();
  require(contains(range_estimator_names(), name),
          "cannot save: the range estimator \"{}\" is one that no file can bring back: "
          "register_range_estimator() makes it known",
          name);
}

void QuantizeDequantize::visit(AttributeVisitor& visitor) {
  const Quantizer* before = quantizer_.get();
  const std::uint64_t version = before->version();
  visit_quantizer(visitor, quantizer_);
  if (quantizer_.get() != before) changes_ += version;
  visit_range_estimator(visitor, prototype_);
  visit_place(visitor, place_);
  visitor("enabled", enabled_);
  visitor("frozen", frozen_);
  visitor("recomputed", recomputed_);
  visitor("initialized", initialized_);
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

std::optional<Tail> QuantizeDequantize::tail() const {
  const bool fits =
      quantizer_->runs_fused() && quantizer_->channels() == 1 && !quantizer_->axis() &&
      (quantizer_->pass_through() || quantizer_->bitwidth() < QuantizerReading::kExactBitwidths) &&
      !quantizer_->has_own_gradient() && !quantizer_->stochastic_rounding() && !recomputed_;
  if (!fits) return std::nullopt;
  return Tail{.kind = Tail::Kind::quantizer, .quantizer = this};
}

bool QuantizeDequantize::fits_byte() const {
  // Codes are made from scale and offset: of one scale, and of a quantizer that rounds with it.
  return quantizes(*this, nullptr) && quantizer_->runs_fused() && quantizer_->channels() == 1 &&
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
  if (x.value().parameter() != nullptr) op->set_place(QuantizerPlace::parameter);
  std::vector<Value*> inputs{&x.value()};
  for (Value* value : add_quantizer_parameters(x.graph(), op->quantizer(), x.graph().scoped(name)))
    inputs.push_back(value);
  return {x.graph(), x.graph().add_node(std::move(op), inputs, name).output()};
}

}  // namespace nn
}  // namespace rung
