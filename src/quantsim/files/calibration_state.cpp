// What the estimators of a calibration under way have seen, as text: for its checkpoints.

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/check.h"
#include "io/files/json.h"
#include "rung/quantsim/quantsim.h"

namespace rung {
namespace {

using io::Json;
using io::JsonPlace;

bool observes(const QuantizerHandle& quantizer) {
  return quantizer.op().mode() == QuantizeMode::observe;
}

std::vector<double> numbers_of(const JsonPlace& place) {
  std::vector<double> numbers;
  place.array();
  for (std::size_t i = 0; i < place.size(); ++i) numbers.push_back(place[i].number());
  return numbers;
}

}  // namespace

std::string calibration_state(QuantizationSimModel& sim) {
  Json json = Json::object();
  for (const QuantizerHandle& each : sim.quantizers()) {
    if (!observes(each)) continue;
    Json& channels = json[each.name()] = Json::array();
    for (const auto& estimator : each.op().estimators())
      channels.push_back({{"estimator", estimator->name()}, {"state", estimator->state()}});
  }
  require(!json.empty(), "calibration_state: no quantizer observes; call it inside the callback");
  return io::dump_json(json, "calibration_state");
}

void load_calibration_state(QuantizationSimModel& sim, std::string_view state) {
  const Json json = io::parse_json(state, "load_calibration_state");
  const JsonPlace place(json, "load_calibration_state");
  std::map<std::string, QuantizerHandle> observing;
  for (const QuantizerHandle& each : sim.quantizers())
    if (observes(each)) observing.emplace(each.name(), each);
  require(json.is_object() && json.size() == observing.size(),
          "load_calibration_state: the state has {} quantizers, {} observe", json.size(),
          observing.size());
  // Into copies first: if one does not fit, all are as before.
  std::map<std::string, std::vector<std::unique_ptr<RangeEstimator>>> loaded;
  for (const auto& [name, quantizer] : observing) {
    const JsonPlace channels = place[name];
    const auto estimators = quantizer.op().estimators();
    require(channels.array().size() == estimators.size(),
            "load_calibration_state: {} has {} channels, the state {}", name, estimators.size(),
            channels.size());
    for (std::size_t c = 0; c < estimators.size(); ++c) {
      const JsonPlace channel = channels[c];
      if (channel["estimator"].string() != estimators[c]->name())
        channel.refuse(fmt::format("must be the state of {}", estimators[c]->name()));
      loaded[name].push_back(estimators[c]->clone());
      loaded[name].back()->load_state(numbers_of(channel["state"]));
    }
  }
  for (const auto& [name, quantizer] : observing)
    for (std::size_t c = 0; c < loaded[name].size(); ++c) {
      const auto& estimator = quantizer.op().estimators()[c];
      estimator->load_state(loaded[name][c]->state());
    }
}

}  // namespace rung
