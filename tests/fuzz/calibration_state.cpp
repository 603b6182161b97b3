#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "file.h"
#include "mutators.h"
#include "rung/ops/layers.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_json(data, size, max_size, seed);
}

namespace {

/// A network with one quantizer at work, so that a state is short.
QuantizationSimModel small_sim(QuantScheme scheme) {
  Graph graph;
  graph.set_outputs({nn::linear(graph.input("x", {1, 2}), {.out_features = 2}, "fc")});
  QuantizationSimModel sim(std::move(graph), {.quant_scheme = scheme});
  for (QuantizerHandle quantizer : sim.quantizers())
    if (quantizer.name() != "fc") quantizer.disable();
  return sim;
}

}  // namespace

/// Takes the state of a calibration, whose text names the estimator, and ends the calibration; what
/// is refused must leave the state as it was.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::map<QuantScheme, QuantizationSimModel> sims;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  auto scheme = QuantScheme::post_training_tf;
  if (text.find("sqnr") != text.npos) scheme = QuantScheme::post_training_sqnr;
  if (text.find("tf_enhanced") != text.npos) scheme = QuantScheme::post_training_tf_enhanced;
  if (text.find("percentile") != text.npos) scheme = QuantScheme::post_training_percentile;
  auto found = sims.find(scheme);
  if (found == sims.end()) found = sims.emplace(scheme, small_sim(scheme)).first;
  QuantizationSimModel& sim = found->second;
  return fuzz::refuse_or_read([&] {
    sim.compute_encodings([&](Executor&) {
      const std::string before = calibration_state(sim);
      try {
        load_calibration_state(sim, text);
      } catch (const Error&) {
        if (calibration_state(sim) != before) std::abort();
        throw;
      }
    });
  });
}
