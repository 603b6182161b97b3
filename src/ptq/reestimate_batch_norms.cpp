#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "ptq/fold.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ptq/batch_norm.h"

namespace rung::ptq {

namespace {

/// Sums over batches of one running statistic, per channel.
struct Statistic {
  Parameter* parameter;
  std::vector<double> sum;
  std::uint64_t version = 0;  // of the parameter, when it was added last
};

}  // namespace

/// Lets batch norms estimate while it lives. Unless keep() is called, it ends with the statistics
/// as they were.
class Reestimation {
 public:
  explicit Reestimation(Graph& graph) {
    handle_.graph_ = &graph;
    for (const Node* node : graph.nodes())
      require(
          node->as<FoldedBatchNormalization>() == nullptr,
          "reestimate_bn_stats: [{} {}] is folded in simulation, so that its statistics are part "
          "of the quantized weight; freeze_bn_stats keeps them",
          node->type(), node->name());
    for (Node* norm : batch_norms(graph)) {
      if (has_trivial_statistics(*norm)) continue;
      norms_.push_back(norm->as<BatchNormalization>());
      add_statistic(*norm, 3);
      add_statistic(*norm, 4);
    }
    require(!norms_.empty(),
            "reestimate_bn_stats: the graph has no batch norm with running statistics; were they "
            "folded before?");
    for (Statistic& statistic : statistics_) {  // 0 * NaN of old ones would stay NaN
      statistic.parameter->edit().fill(0.0f);
      statistic.version = statistic.parameter->version();
    }
    set_estimating(true);
  }

  ~Reestimation() {
    set_estimating(false);
    if (kept_) return;
    for (std::size_t i = 0; i < statistics_.size(); ++i)
      statistics_[i].parameter->edit().copy_from(handle_.old_[i].second);
  }
  Reestimation(const Reestimation&) = delete;
  Reestimation& operator=(const Reestimation&) = delete;

  /// Adds the statistics that the last forward has left.
  void add_batch() {
    ++batches_;
    for (Statistic& statistic : statistics_) {
      require(statistic.parameter->version() != statistic.version,
              "reestimate_bn_stats: forward ran no data through the owner of {}",
              statistic.parameter->name());
      statistic.version = statistic.parameter->version();
      const std::span<const float> batch = statistic.parameter->value().data();
      for (std::size_t c = 0; c < batch.size(); ++c) statistic.sum[c] += batch[c];
    }
  }

  /// Writes the averages.
  void write_averages() {
    require(batches_ > 0, "reestimate_bn_stats: the loader has no batches");
    for (Statistic& statistic : statistics_) {
      const std::span<float> values = statistic.parameter->edit().data();
      for (std::size_t c = 0; c < values.size(); ++c) {
        values[c] = static_cast<float>(statistic.sum[c] / static_cast<double>(batches_));
        require(std::isfinite(values[c]),
                "reestimate_bn_stats: {} of channel {} became {}; are the data finite?",
                statistic.parameter->name(), c, values[c]);
      }
    }
  }

  ReestimationHandle keep() {
    kept_ = true;
    return handle_;
  }

 private:
  void add_statistic(const Node& norm, std::size_t input) {
    const Value& value = *norm.inputs()[input];
    Parameter* parameter = value.parameter();
    require(parameter != nullptr, "reestimate_bn_stats: {}, an input of {}, is not a parameter",
            value.name(), norm.name());
    if (std::ranges::find(statistics_, parameter, &Statistic::parameter) != statistics_.end())
      return;  // shared by several batch norms
    const auto channels = static_cast<std::size_t>(parameter->shape().numel());
    statistics_.push_back({parameter, std::vector<double>(channels)});
    handle_.old_.emplace_back(parameter->name(), parameter->value().clone());
  }

  void set_estimating(bool estimating) {
    for (BatchNormalization* norm : norms_) norm->estimating = estimating;
    handle_.graph_->touch();
  }

  ReestimationHandle handle_;
  std::vector<BatchNormalization*> norms_;
  std::vector<Statistic> statistics_;
  std::int64_t batches_ = 0;
  bool kept_ = false;
};

void ReestimationHandle::undo() {
  std::vector<Parameter*> parameters;
  for (const auto& [name, value] : old_) {
    const Value* found = graph_->find_value(name);
    require(found != nullptr && found->parameter() != nullptr && found->shape() == value.shape(),
            "ReestimationHandle::undo: {} is gone; undo before batch norms are folded", name);
    parameters.push_back(found->parameter());
  }
  for (std::size_t i = 0; i < old_.size(); ++i) parameters[i]->edit().copy_from(old_[i].second);
  old_.clear();
}

ReestimationHandle reestimate_bn_stats(Executor& executor, nn::DataLoader& loader,
                                       const ReestimateOptions& options) {
  require(options.num_batches > 0, "reestimate_bn_stats: num_batches must be positive, got {}",
          options.num_batches);
  const std::int64_t batches = std::min(options.num_batches, loader.size());
  Reestimation reestimation(executor.graph());
  std::int64_t done = 0;
  for (const nn::Batch& batch : loader.take(options.num_batches)) {
    if (options.forward)
      options.forward(executor, batch);
    else
      executor.forward(batch.images);
    reestimation.add_batch();
    if (options.on_progress) options.on_progress(++done, batches);
  }
  reestimation.write_averages();
  return reestimation.keep();
}

}  // namespace rung::ptq
