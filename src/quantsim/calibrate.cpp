// compute_encodings: weights first, from their present values; then activations, observed
// unquantized while the weights are already quantized, so that they carry the weights' noise.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "ops/quantize/sharing.h"
#include "quant/library_kinds.h"
#include "quant/on_grid.h"
#include "quantsim/batch_norms/batch_norm_fold.h"
#include "quantsim/bias_room.h"
#include "quantsim/impl.h"
#include "quantsim/placement/fixed_sides.h"
#include "quantsim/rollback.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

bool is_calibrated(const QuantizerHandle& quantizer) {
  const Quantizer& settings = quantizer.op().quantizer();
  // A floating-point format has no range.
  return quantizer.enabled() && !quantizer.frozen() && !settings.pass_through() &&
         !settings.parameters().empty();
}

/// Returns the ranges of the symmetric grid that a parameter lies on already, if it is one that a
/// quantizer of this kind can have.
std::optional<std::vector<Range>> kept_grid(const QuantizerHandle& quantizer,
                                            const ConstTensor& numbers) {
  const Quantizer& settings = quantizer.op().quantizer();
  const bool is_symmetric = settings.symmetry() == Symmetry::symmetric ||
                            settings.symmetry() == Symmetry::strict_symmetric;
  // Grouped blocks round their scales, and what a user's quantizer makes of a range is unknown.
  if (!is_symmetric || quantizer.op().recomputed() || !is_library_kind(settings.kind()) ||
      settings.kind() == GroupedBlockQuantizer::kKind)
    return std::nullopt;
  return ranges_of_grid(numbers.data(), numbers.shape(), settings.granularity(), settings.grid());
}

void calibrate_parameter(const QuantizerHandle& quantizer, const ConfigRules& rules,
                         std::string_view caller) {
  const ConstTensor numbers = quantsim::parameter_numbers(quantizer.source());
  try {
    Observation seen(quantizer.op());
    seen.see(numbers.data(), numbers.shape());  // throws for NaN
    std::optional<std::vector<Range>> kept;
    // Constants on an edge are activations to AIMET.
    if (rules.keep_grids && quantizer.place() == QuantizerPlace::parameter)
      kept = kept_grid(quantizer, numbers);
    if (kept)
      quantizer.op().set_ranges(*kept, quantizer.parameters());
    else
      quantizer.op().calibrate(seen, quantizer.parameters());
  } catch (const Error& error) {
    fail("{}: parameter {}: {}", caller, quantizer.name(), error.what());
  }
  share_settings(quantizer.node());
}

/// Ranges are trained in a range learning scheme, once they are there.
void set_learned(QuantizerHandle& quantizer, const QuantScheme& scheme) {
  quantizer.set_learned(scheme.learn && quantizer.initialized() && !quantizer.frozen());
}

/// One calibration of one sim: observes what its executor runs, finishes, or puts everything back.
class Calibration {
 public:
  explicit Calibration(QuantizationSimModel& sim)
      : sim_(sim),
        all_(sim.quantizers()),
        rollback_(all_),
        fixed_sides_(sim),
        observing_(sim.executor().observe(observers_)) {
    for (const QuantizerHandle& each : all_) {
      // What is known without data: parameters, and constants on an edge.
      const bool is_parameter = each.place() == QuantizerPlace::parameter;
      const bool is_known = is_parameter || each.source().parameter() != nullptr;
      if (is_known && is_calibrated(each))
        calibrate_parameter(each, sim.config().rules, "compute_encodings");
      if (is_parameter) continue;
      // Meanwhile activations are not quantized, but those that are frozen, as in AIMET.
      if (!is_calibrated(each)) continue;
      if (is_known)
        observers_.pass(each.node());
      else
        add(each);
    }
  }

  /// Returns what was done beyond the configuration.
  std::vector<std::string> finish(const CalibrationOptions& options) {
    std::vector<std::string> unobserved;
    for (const Group& group : groups_) finish_group(group, unobserved);
    require(unobserved.empty() || options.allow_unobserved,
            "compute_encodings: no data went through {} of {} quantizers: {}", unobserved.size(),
            observed_, join(unobserved));
    for (QuantizerHandle& each : all_) {
      set_learned(each, sim_.options().quant_scheme);
      fixed_sides_.keep_from_training(each);
    }
    return quantsim::make_room_for_biases(sim_.graph(), quantsim::Frozen::kept);
  }
  void keep() { rollback_.keep(); }

 private:
  using Group = std::vector<QuantizerHandle>;  // one quantizer, in several places

  void add(const QuantizerHandle& quantizer) {
    ++observed_;
    const std::vector<Parameter*> parameters = quantizer.parameters();
    const Parameter* key = parameters.empty() ? nullptr : parameters.front();
    const auto known = key == nullptr ? group_of_.end() : group_of_.find(key);
    if (known != group_of_.end()) {
      add_to(groups_[known->second], quantizer);
      return;
    }
    // The name without ".qdq", unless that is another quantizer's.
    const Node* other = sim_.graph().find_node(quantizer.name());
    const bool is_taken = other != nullptr && other->as<QuantizeDequantize>() != nullptr;
    observers_.observe(quantizer.node(), is_taken ? quantizer.node().name() : quantizer.name());
    if (key != nullptr) group_of_[key] = groups_.size();
    groups_.push_back({quantizer});
  }

  /// The range of a shared quantizer covers what is seen in all its places; places that see the
  /// same value count once.
  void add_to(Group& group, const QuantizerHandle& quantizer) {
    const auto sees_the_same = [&](const QuantizerHandle& each) {
      return &each.source() == &quantizer.source();
    };
    if (std::ranges::any_of(group, sees_the_same))
      observers_.pass(quantizer.node());
    else
      observers_.observe_with(quantizer.node(), group.front().node());
    group.push_back(quantizer);
  }

  void finish_group(const Group& group, std::vector<std::string>& unobserved) const {
    const QuantizerHandle& first = group.front();
    const Observation& seen = observers_.at(first.node());
    if (seen.count() == 0) {
      for (const QuantizerHandle& each : group) unobserved.push_back(each.name());
      return;
    }
    first.op().calibrate(seen, first.parameters());
    fixed_sides_.restore(first);
    share_settings(first.node());
  }

  QuantizationSimModel& sim_;
  std::vector<QuantizerHandle> all_;
  quantsim::Rollback rollback_;
  quantsim::FixedSides fixed_sides_;
  Observers observers_;
  Executor::Observing observing_;
  std::vector<Group> groups_;
  std::map<const Parameter*, std::size_t> group_of_;
  std::size_t observed_ = 0;
};

}  // namespace

void QuantizationSimModel::compute_encodings(const Callback& callback, CalibrationOptions options) {
  require(static_cast<bool>(callback), "compute_encodings: the callback is empty");
  Calibration calibration(*this);
  callback(impl_->executor);
  impl_->calibration_notes = calibration.finish(options);
  calibration.keep();
}

void QuantizationSimModel::compute_param_encodings() {
  const std::vector<QuantizerHandle> all = quantizers();
  quantsim::Rollback rollback(all);
  for (QuantizerHandle each : all) {
    if (each.place() != QuantizerPlace::parameter || !is_calibrated(each)) continue;
    calibrate_parameter(each, impl_->config.rules, "compute_param_encodings");
    set_learned(each, impl_->options.quant_scheme);
  }
  impl_->calibration_notes = quantsim::make_room_for_biases(impl_->graph, quantsim::Frozen::kept);
  rollback.keep();
}

void compute_encodings_for_sims(std::span<QuantizationSimModel* const> sims,
                                const SimsCallback& callback, CalibrationOptions options) {
  require(static_cast<bool>(callback), "compute_encodings_for_sims: the callback is empty");
  require(!sims.empty(), "compute_encodings_for_sims: there is no sim");
  std::vector<Executor*> executors;
  std::set<const QuantizationSimModel*> known;
  for (QuantizationSimModel* sim : sims) {
    require(sim != nullptr && known.insert(sim).second,
            "compute_encodings_for_sims: sim {} is null or given twice", executors.size());
    executors.push_back(&sim->executor());
  }
  // If one fails, all are as before.
  std::vector<std::unique_ptr<Calibration>> calibrations;
  for (QuantizationSimModel* sim : sims)
    calibrations.push_back(std::make_unique<Calibration>(*sim));
  callback(executors);
  for (std::size_t i = 0; i < sims.size(); ++i)
    sims[i]->impl_->calibration_notes = calibrations[i]->finish(options);
  for (const auto& calibration : calibrations) calibration->keep();
}

}  // namespace rung
