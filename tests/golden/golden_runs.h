#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "golden/golden_sim.h"
#include "rung/exec/executor.h"

// AIMET's runs followed to their end, and how far two programs that follow the same run may be from
// each other. A number that lies on a rounding tie but for the last bit of a sum moves by a whole
// step, and everything behind it with it, more or less from network to network. So the tests
// measure that for every run: the library computes it again in other ways that are just as right,
// and AIMET may be a few times as far away as those are from each other.

namespace golden {

/// A way of computing a run. Those of right_ways() differ in nothing but the last bits.
struct Way {
  std::string name = "direct";
  rung::ExecutorOptions training = {.conv_algorithm = rung::ConvAlgorithm::direct};
  rung::ExecutorOptions evaluation = {};
  unsigned noise = 0;  ///< seed of a change of one unit in the last place of every input and weight
  // What a wrong program would do, to see whether the tests notice.
  double lr = 0.01, momentum = 0.9;
  std::function<void(rung::QuantizationSimModel&)> before_calibration = {};
  std::function<void(rung::QuantizationSimModel&)> after_calibration = {};
  bool calibrate_freely = false;  ///< the encodings will not be AIMET's
};

/// Returns the ways that are as right as the first, which is what the tests compare: plain layouts,
/// nothing fused, no sums of codes, Winograd's convolutions, and that many draws of noise. A number
/// that few draws move over its tie is missed by few: a test that can afford them takes many.
std::vector<Way> right_ways(unsigned noises = 6);

/// What a run computed, by AIMET's names.
struct Outcome {
  std::vector<double> logits, final_logits;  ///< on x3, after calibration and after four steps
  std::vector<double> losses;                ///< of the four steps
  std::map<std::string, std::vector<double>> gradients;   ///< of the first step
  std::map<std::string, std::vector<double>> start, end;  ///< parameters, before and after
  std::map<std::string, std::vector<double>> scales;      ///< at the end, per quantizer that learns
};

/// Reads what AIMET computed; its `start` is empty. Fails if a tensor of the file is no part of it.
Outcome aimet_outcome(const SimRun& run);

/// Computes a run.
Outcome follow(const SimRun& run, const Tensors& data, const Way& way = {});

/// Distances, by what was measured. Logits: in steps of the last quantizer; losses: relative;
/// gradients and movements (end minus start; of ranges over their width): relative L2 norms.
using Distances = std::map<std::string, double>;

/// Returns how far `other` is from `reference`, whose start the movements of both are counted from.
Distances distances(const SimRun& run, const Outcome& reference, const Outcome& other);

/// Returns the widths of the ranges of an entry of SimRun::quantizers.
std::vector<double> widths(const nlohmann::json& quantizer);

/// Returns what a single tie may do to each measure: AIMET is allowed that much in any case.
const Distances& tie_bounds(const Version& version);

/// AIMET may be this many times as far away as right ways are from each other.
inline constexpr double kSpreads = 3;

/// Returns the bound of every measure: kSpreads times the largest of `spread`, or the tie's.
Distances bounds(const SimRun& run, const std::vector<Distances>& spread);

/// True if nothing but rounding in the last place separates two outcomes.
bool almost_equal(const Distances& distances);

}  // namespace golden
