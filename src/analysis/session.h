#pragma once

#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "analysis/ending.h"
#include "analysis/layer_watch.h"
#include "analysis/outputs.h"
#include "rung/analysis/analyze.h"
#include "rung/nn/metrics.h"

namespace rung::analysis {

/// Some quantizers whose sensitivity is measured, and what was found so far.
struct Switched {
  QuantizerSet nodes;
  EndingPlan plan;
  std::unique_ptr<Ending> ending = {};  ///< if there was memory to keep it
  WatchedLayer* layer = nullptr;        ///< whose quantizers they are, all of them
  Outputs alone = {}, all_but = {};
};

/// One analysis under way: batches come one after the other, then the result is taken.
class Session {
 public:
  Session(const QuantizationSimModel& sim, const Options& options);

  /// Shows a batch. `levels`: the passes with only weights and only activations quantized run, too.
  void add(std::span<const Tensor> inputs, std::span<const std::int64_t> labels, bool levels);
  /// Returns what was found. Throws Error if there was no batch. Without a callback the levels are
  /// those of the outputs.
  Analysis result(const Evaluate& evaluate);

 private:
  using Names = std::vector<std::string>;

  void find_quantizers();
  void find_layers();
  Switched* switched(QuantizerSet nodes);
  Names value_names() const;
  Values run_watched(std::span<const Tensor> inputs, const QuantizerSet& enabled,
                     std::vector<Tensor>& outputs);
  std::vector<Tensor> run(std::span<const Tensor> inputs, const QuantizerSet& enabled);
  void add_answers(std::span<const std::int64_t> labels);
  void add_layers(const Values& in_float, const Values& quantized, std::int64_t images);
  void add_switched(Switched& each, const Values& in_float, const Values& quantized,
                    std::span<const std::int64_t> labels);
  void measure_time(std::span<const Tensor> inputs);
  std::int64_t macs_of(const EndingPlan& plan) const;
  Levels levels(const Evaluate& evaluate);
  Sensitivity sensitivity(const std::string& name, const Switched& each) const;
  void add_bitwidths(Layer& layer, const WatchedLayer& watched, const Switched& each) const;
  void fill_layers(Analysis& analysis);
  Cost cost() const;

  const QuantizationSimModel& sim_;
  const Options& options_;
  std::size_t memory_;  // for endings
  Graph graph_;         // whose quantizers are switched
  QuantizerSet all_, parameters_, activations_;
  std::list<WatchedQuantizer> quantizers_;
  std::list<WatchedLayer> layers_;
  std::list<Switched> switched_;  // each set of quantizers once
  std::vector<std::pair<std::string, Switched*>> by_layer_, by_quantizer_, by_group_;
  std::unique_ptr<Executor> watching_, plain_;

  // Of the batch under way, and of all.
  std::vector<Tensor> float_outputs_, quantized_outputs_;
  std::optional<nn::MulticlassConfusionMatrix> confusion_;  // of the quantized network
  Outputs everything_, only_weights_, only_activations_, nothing_;
  std::map<std::string, double> seconds_;  // of the first batch
  std::int64_t images_ = 0, timed_images_ = 0, score_calls_ = 0;
  double whole_passes_ = 0.0;  // times images
  std::size_t kept_bytes_ = 0;
};

}  // namespace rung::analysis
