#include "file.h"
#include "mutators.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_json(data, size, max_size, seed);
}

/// Places quantizers in a small network as a configuration says.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Graph network =
      load_checkpoint("tests/golden/model_files/version1.rung").get_original_model();
  static fuzz::File file("config.json");
  const std::string path = file.write(data, size).string();
  return fuzz::refuse_or_read(
      [&] { QuantizationSimModel(network, {.config_file = path}).graph().check(); });
}
