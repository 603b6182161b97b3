// What the estimators of a calibration under way have seen, as text: for its checkpoints.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/check.h"
#include "io/files/json.h"
#include "rung/quantsim/quantsim.h"

namespace rung {
namespace {

using io::Json;
using io::JsonPlace;

std::vector<double> numbers_of(const JsonPlace& place) {
  std::vector<double> numbers;
  place.array();
  for (std::size_t i = 0; i < place.size(); ++i) numbers.push_back(place[i].number());
  return numbers;
}

}  // namespace

std::string calibration_state(const Observers& observers) {
  Json json = Json::object();
  for (const auto& [name, seen] : observers.all()) {
    Json& channels = json[name] = Json::array();
    for (const auto& estimator : seen.estimators())
      channels.push_back({{"estimator", estimator->name()}, {"state", estimator->state()}});
  }
  require(!json.empty(), "calibration_state: no quantizer observes; call it inside the callback");
  return io::dump_json(json, "calibration_state");
}

void load_calibration_state(Observers& observers, std::string_view state) {
  const Json json = io::parse_json(state, "load_calibration_state");
  const JsonPlace place(json, "load_calibration_state");
  require(json.is_object() && json.size() == observers.all().size(),
          "load_calibration_state: the state has {} quantizers, {} observe", json.size(),
          observers.all().size());
  // Into others first: if one does not fit, all are as before.
  Observers loaded = observers.fresh();
  for (const auto& [name, seen] : loaded.all()) {
    const JsonPlace channels = place[name];
    const auto estimators = seen.estimators();
    require(channels.array().size() == estimators.size(),
            "load_calibration_state: {} has {} channels, the state {}", name, estimators.size(),
            channels.size());
    for (std::size_t c = 0; c < estimators.size(); ++c) {
      const JsonPlace channel = channels[c];
      if (channel["estimator"].string() != estimators[c]->name())
        channel.refuse(fmt::format("must be the state of {}", estimators[c]->name()));
      estimators[c]->load_state(numbers_of(channel["state"]));
    }
  }
  observers = std::move(loaded);
}

std::string calibration_state(QuantizationSimModel& sim) {
  const Observers none;
  const Observers* observers = sim.executor().observers();
  return calibration_state(observers == nullptr ? none : *observers);
}

void load_calibration_state(QuantizationSimModel& sim, std::string_view state) {
  Observers none;
  Observers* observers = sim.executor().observers();
  load_calibration_state(observers == nullptr ? none : *observers, state);
}

}  // namespace rung
