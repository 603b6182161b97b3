#include "analysis/session.h"

#include <algorithm>
#include <set>

#include "core/available_memory.h"
#include "core/check.h"
#include "rung/quantsim/quantsim.h"

namespace rung::analysis {

Session::Session(const QuantizationSimModel& sim, const Options& options)
    : sim_(sim), options_(options), memory_(options.memory), graph_(sim.graph().clone()) {
  // It is infinity where nothing is known.
  if (memory_ == 0) memory_ = static_cast<std::size_t>(std::min(available_memory() / 4, 0x1p40));
  check_metric(options.metric);
  check_metric(options.level_metric);
  find_quantizers();
  find_layers();
  std::map<std::string, std::string, std::less<>> node_of;  // by a quantizer's name
  for (const WatchedQuantizer& each : quantizers_)
    node_of[each.handle.name()] = each.handle.node().name();
  for (WatchedLayer& layer : layers_) {
    if (!layer.is_quantized()) continue;
    by_layer_.emplace_back(layer.name(), switched(layer.quantizer_nodes()));
    by_layer_.back().second->layer = &layer;
  }
  for (const WatchedQuantizer& each : quantizers_)  // of an input of the network
    if (graph_.find_node(each.layer) == nullptr)
      by_layer_.emplace_back(each.layer, switched({each.handle.node().name()}));
  if (options.per_quantizer)
    for (const WatchedQuantizer& each : quantizers_)
      by_quantizer_.emplace_back(each.handle.name(), switched({each.handle.node().name()}));
  for (const auto& [name, members] : options.groups) {
    QuantizerSet nodes;
    for (const std::string& member : members) {
      const auto found = node_of.find(member);
      require(found != node_of.end(),
              "analysis: group {} names {}, which is no enabled quantizer of the sim", name,
              member);
      nodes.insert(found->second);
    }
    by_group_.emplace_back(name, switched(std::move(nodes)));
  }
  watching_ = std::make_unique<Executor>(graph_);
  watching_->watch(value_names());
  plain_ = std::make_unique<Executor>(graph_);
}

void Session::find_quantizers() {
  for (const QuantizerHandle& each : rung::find_quantizers(graph_)) {
    if (!each.enabled() || each.op().quantizer().pass_through()) continue;
    require(each.initialized(),
            "analysis: quantizer {} has no range yet; run compute_encodings() first", each.name());
    const bool is_parameter = each.place() == QuantizerPlace::parameter;
    (is_parameter ? parameters_ : activations_).insert(each.node().name());
    all_.insert(each.node().name());
    quantizers_.emplace_back(each);
    if (is_parameter && each.source().parameter() != nullptr)
      quantizers_.back().add(each.source().parameter()->value());
  }
}

void Session::find_layers() {
  // Parameters and what is made of them alone are no layers.
  std::set<const Value*> data(graph_.inputs().begin(), graph_.inputs().end());
  for (const Node* node : graph_.nodes()) {
    const bool on_data =
        std::ranges::any_of(node->inputs(), [&](const Value* v) { return data.contains(v); });
    if (!on_data) continue;
    data.insert(node->outputs().begin(), node->outputs().end());
    if (node->as<QuantizeDequantize>() != nullptr) continue;
    std::vector<const WatchedQuantizer*> own;
    for (const WatchedQuantizer& each : quantizers_)
      if (each.layer == node->name()) own.push_back(&each);
    layers_.emplace_back(*node, std::move(own));
  }
}

Switched* Session::switched(QuantizerSet nodes) {
  const auto found = std::ranges::find(switched_, nodes, &Switched::nodes);
  if (found != switched_.end()) return &*found;
  EndingPlan plan(graph_, nodes);
  return &switched_.emplace_back(Switched{std::move(nodes), std::move(plan)});
}

Session::Names Session::value_names() const {
  std::set<std::string> names;
  for (const WatchedLayer& layer : layers_) names.insert(layer.value());
  for (const WatchedQuantizer& each : quantizers_)
    if (each.handle.source().parameter() == nullptr) names.insert(each.handle.source().name());
  for (const Switched& each : switched_)
    names.insert(each.plan.inputs.begin(), each.plan.inputs.end());
  return {names.begin(), names.end()};
}

Values Session::run_watched(std::span<const Tensor> inputs, const QuantizerSet& enabled,
                            std::vector<Tensor>& outputs) {
  enable_only(graph_, enabled);
  outputs = watching_->forward(inputs);
  Values values;
  for (const std::string& name : watching_->watched()) values[name] = watching_->value(name);
  return values;
}

std::vector<Tensor> Session::run(std::span<const Tensor> inputs, const QuantizerSet& enabled) {
  enable_only(graph_, enabled);
  return plain_->forward(inputs);
}

void Session::add(std::span<const Tensor> inputs, std::span<const std::int64_t> labels,
                  bool levels) {
  require(!inputs.empty() && inputs[0].rank() > 0, "analysis: a batch has no images");
  const std::int64_t images = inputs[0].size(0);
  const Values in_float = run_watched(inputs, {}, float_outputs_);
  const Values quantized = run_watched(inputs, all_, quantized_outputs_);
  nothing_.add(float_outputs_, float_outputs_, labels);
  everything_.add(float_outputs_, quantized_outputs_, labels);
  add_answers(labels);
  if (levels) {
    only_weights_.add(float_outputs_, run(inputs, parameters_), labels);
    only_activations_.add(float_outputs_, run(inputs, activations_), labels);
  }
  whole_passes_ += static_cast<double>((levels ? 4 : 2) * images);
  if (images_ == 0 && options_.measure_time) measure_time(inputs);
  for (WatchedQuantizer& each : quantizers_)
    if (each.handle.place() != QuantizerPlace::parameter)
      each.add(in_float.at(each.handle.source().name()));
    else if (images_ == 0 && each.handle.source().parameter() == nullptr)
      each.add(in_float.at(each.handle.source().name()));  // a weight that batch norms change
  add_layers(in_float, quantized, images);
  for (Switched& each : switched_) add_switched(each, in_float, quantized, labels);
  images_ += images;
}

void Session::add_answers(std::span<const std::int64_t> labels) {
  constexpr std::int64_t kMostClasses = 1000;  // their matrix has a million numbers
  const Tensor& scores = quantized_outputs_[0];
  if (scores.rank() != 2 || std::ssize(labels) != scores.size(0)) return;
  if (scores.size(1) < 2 || scores.size(1) > kMostClasses) return;
  if (!confusion_) confusion_.emplace(scores.size(1));
  confusion_->update(scores, labels);
}

void Session::add_layers(const Values& in_float, const Values& quantized, std::int64_t images) {
  for (WatchedLayer& layer : layers_) {
    const Node& node = graph_.node(layer.name());
    const Value* input = node.inputs().empty() ? nullptr : node.inputs()[0];
    while (input != nullptr && input->producer() != nullptr &&
           input->producer()->as<QuantizeDequantize>() != nullptr)
      input = input->producer()->inputs()[0];
    const auto found = input == nullptr ? in_float.end() : in_float.find(input->name());
    const Shape shape = found != in_float.end() ? found->second.shape()
                        : input != nullptr      ? input->shape()
                                                : Shape{};
    layer.add(in_float.at(layer.value()), quantized.at(layer.value()), images, shape);
  }
}

void Session::add_switched(Switched& each, const Values& in_float, const Values& quantized,
                           std::span<const std::int64_t> labels) {
  std::vector<Tensor> alone = float_outputs_, all_but = quantized_outputs_;
  const std::string value = each.layer == nullptr ? std::string() : each.layer->value();
  bool is_measured = false;
  if (!each.plan.outputs.empty()) {
    std::unique_ptr<Ending> ending = std::move(each.ending);
    const bool is_new = ending == nullptr;
    if (is_new)
      ending = std::make_unique<Ending>(graph_, each.plan, value.empty() ? Names{} : Names{value});
    const auto put = [&](std::vector<Tensor> outputs, std::vector<Tensor>& into) {
      for (std::size_t i = 0; i < graph_.outputs().size(); ++i) {
        const auto at = std::ranges::find(each.plan.outputs, graph_.outputs()[i]->name());
        if (at != each.plan.outputs.end())
          into[i] = outputs[static_cast<std::size_t>(at - each.plan.outputs.begin())];
      }
    };
    put(ending->run(in_float, each.nodes), alone);
    if (ending->has(value)) {
      each.layer->add_alone(in_float.at(value), ending->value(value));
      is_measured = true;
    }
    put(ending->run(quantized, rung::analysis::all_but(all_, each.nodes)), all_but);
    const auto bytes = ending->bytes();
    if (!is_new || kept_bytes_ + bytes <= memory_) {
      if (is_new) kept_bytes_ += bytes;
      each.ending = std::move(ending);
    }
  }
  // What the layer computes does not depend on its quantizers: that of its output is all it has.
  if (each.layer != nullptr && !is_measured)
    each.layer->add_alone(in_float.at(value), in_float.at(value));
  each.alone.add(float_outputs_, alone, labels);
  each.all_but.add(float_outputs_, all_but, labels);
}

void Session::measure_time(std::span<const Tensor> inputs) {
  Graph network = sim_.get_original_model();
  seconds_ = measure_seconds(network, inputs);
  timed_images_ = inputs[0].size(0);
  whole_passes_ += static_cast<double>(kTimedRuns * timed_images_);
}

}  // namespace rung::analysis
