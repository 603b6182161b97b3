#include <cstdlib>
#include <optional>
#include <string>

#include "file.h"
#include "mutators.h"
#include "rung/io/encodings.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_json(data, size, max_size, seed);
}

/// Sets the quantizers of a small sim to encodings; on Error they must be what they were.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::optional<QuantizationSimModel> sim;
  static std::string before;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (!text.starts_with("{")) return 0;  // anything else is a path
  const auto encodings = [] { return io::encodings_text(sim->get_activation_param_encodings()); };
  if (!sim) {
    sim = load_checkpoint("tests/golden/model_files/version1.rung");
    before = encodings();
  }
  try {
    sim->load_encodings(text, {.strict = size % 2 == 0});
  } catch (const Error&) {
    if (encodings() != before) std::abort();
    return 0;
  }
  sim->graph().check();
  (void)encodings();
  sim.reset();
  return 0;
}
