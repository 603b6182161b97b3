#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"

// How a run of training went, as plain columns of numbers: what TrainingRecorder
// (rung/analysis/training_recorder.h) writes down, reports draw and files keep.

namespace rung::analysis {

/// How a quantizer's range moved.
struct RangeHistory {
  bool learned = false;                    ///< trained together with the weights
  std::vector<double> min = {}, max = {};  ///< the lowest and the highest of any channel's
  /// Euclidean norm of the gradients of its parameters; empty unless it is learned.
  std::vector<double> gradient_norm = {};
  friend bool operator==(const RangeHistory&, const RangeHistory&) = default;
};

/// How restless the codes of a weight were. A change of a code is an oscillation if the one before
/// it went the other way; a weight's frequency f is f = m o + (1 - m) f after every step, with o =
/// 1 for an oscillation, else 0, and m = 0.01 (Nagel et al. 2022, Overcoming Oscillations in
/// Quantization-Aware Training, 4.1).
struct CodeHistory {
  std::int64_t weights = 0;              ///< how many are looked at, evenly spread
  std::vector<double> flips = {};        ///< share of the codes that changed, mean over the steps
  std::vector<double> oscillating = {};  ///< share of the weights with f > 0.005
  std::vector<double> frozen = {};       ///< share whose code is that of 100 steps and more before
  friend bool operator==(const CodeHistory&, const CodeHistory&) = default;
};

/// The epochs that have ended.
struct EpochHistory {
  std::vector<std::int64_t> step = {};       ///< the last one of each
  std::vector<double> loss = {}, top1 = {};  ///< of the training images; shares in [0, 1]
  std::vector<double> top5 = {};             ///< empty for five classes or fewer
  /// Empty if there was no validation.
  std::vector<double> loss_validation = {}, top1_validation = {}, top5_validation = {};
  std::vector<double> lr = {}, seconds = {};
  friend bool operator==(const EpochHistory&, const EpochHistory&) = default;
};

/// A run of training. All columns but those of `epochs` have one number for each of `steps`; each
/// stands for several steps: losses, accuracies, flips and norms are the mean over them, everything
/// else is that of the last.
struct TrainingRecord {
  std::int64_t first_step = 1;               ///< larger where the beginning was not recorded
  std::int64_t steps_per_point = 1;          ///< the last point may stand for fewer
  std::vector<std::int64_t> steps = {};      ///< the last one of each point
  std::vector<double> loss = {}, top1 = {};  ///< of the batches, while the network changed
  std::vector<double> lr = {};               ///< of the optimizer's first group
  /// Euclidean norm of all gradients together, before they are clipped.
  std::vector<double> gradient_norm = {};
  std::map<std::string, std::vector<double>> weight_gradient_norms = {};  ///< by weight
  std::map<std::string, RangeHistory> ranges = {};                        ///< by quantizer
  std::map<std::string, CodeHistory> codes = {};  ///< by quantizer of a weight, up to 16 bits
  EpochHistory epochs = {};
  friend bool operator==(const TrainingRecord&, const TrainingRecord&) = default;
};

/// Returns all of it as JSON text; names that are not UTF-8 are an Error. Numbers that are not
/// finite become the strings "inf", "-inf" and "nan".
RUNG_API std::string to_json(const TrainingRecord& record);
/// Reads such a text, trusting nothing in it. Throws Error that begins with `source`: for another
/// version, missing or unknown keys, columns of different lengths, steps that do not rise.
RUNG_API TrainingRecord training_record_from_json(std::string_view text,
                                                  std::string_view source = "training record");

}  // namespace rung::analysis
