// A sim in a model file: the graph, in which the quantizers are nodes and their ranges parameters,
// and a section for the rest.

#include <utility>

#include "core/check.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

void save_checkpoint(const QuantizationSimModel& sim, const std::string& path,
                     io::ModelExtras extras) {
  require(extras.sections.emplace(kQuantSimSection, sim.state()).second,
          "{}: the section {} belongs to the sim itself", path, kQuantSimSection);
  io::save_model(path, sim.graph(), extras);
}

bool has_checkpoint(const io::ModelFile& file) {
  return file.sections.contains(std::string(kQuantSimSection));
}

QuantizationSimModel load_checkpoint(io::ModelFile&& file, std::string_view path) {
  require(has_checkpoint(file), "{}: holds a float model, no quantization simulation", path);
  try {
    return QuantizationSimModel::from_state(std::move(file.graph),
                                            file.sections.at(std::string(kQuantSimSection)));
  } catch (const Error& error) {
    fail("{}: {}", path, error.what());
  }
}

QuantizationSimModel load_checkpoint(const std::string& path) {
  return load_checkpoint(io::load_model(path), path);
}

}  // namespace rung
