#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/analysis/training.h"
#include "rung/core/export.h"

// What quantization does to a network, as plain numbers: what analyze() finds, reports show and
// files keep. Each number's formula is in src/analysis/README.md.

namespace rung::analysis {

/// How far numbers are from those that they should be.
struct Error {
  std::int64_t count = 0;  ///< numbers compared
  double mse = 0.0;        ///< mean of (expected - actual)^2
  /// 10 log10(sum of expected^2 / sum of (expected - actual)^2): infinity if nothing differs.
  double sqnr_db = std::numeric_limits<double>::infinity();
  double cosine = 1.0;  ///< of the angle between both as vectors
  friend bool operator==(const Error&, const Error&) = default;
};

/// The whole network with nothing quantized, only its parameters, only activations, and all.
struct Levels {
  std::string metric = {};  ///< "score": the user's callback; else Options::level_metric
  double nothing = 0.0, weights = 0.0, activations = 0.0, everything = 0.0;
  friend bool operator==(const Levels&, const Levels&) = default;
};

/// What some quantizers alone do to the network's outputs, and what it is like without them.
struct Sensitivity {
  std::string name = {};                     ///< of a layer, a quantizer or a group
  std::vector<std::string> quantizers = {};  ///< that are switched together
  double alone = 0.0;                        ///< the metric of the outputs when only these quantize
  double all_but = 0.0;                      ///< when all others do
  Error alone_error = {}, all_but_error = {};  ///< of the outputs, whatever the metric is
  friend bool operator==(const Sensitivity&, const Sensitivity&) = default;
};

/// What another bitwidth in one layer would give and cost, estimated: ranges stay as they are, and
/// noise adds up.
struct AtBitwidth {
  int bitwidth = 8;               ///< of all quantizers of the layer
  std::int64_t weight_bytes = 0;  ///< of its quantized parameters
  std::int64_t saved_bytes = 0;   ///< compared with now; negative: it grows
  double alone_sqnr_db = 0.0;     ///< of the network's outputs, this layer alone quantized
  double network_sqnr_db = 0.0;   ///< of the network's outputs, all quantized
  friend bool operator==(const AtBitwidth&, const AtBitwidth&) = default;
};

/// What a layer's sum of products needs in integer hardware.
struct Accumulator {
  int worst_case_bits = 0;  ///< for any input codes, with these weights, sign included
  int observed_bits = 0;    ///< for the finished sums of the analyzed images
  friend bool operator==(const Accumulator&, const Accumulator&) = default;
};

/// One operation of the network.
struct Layer {
  std::string name = {}, type = {};
  std::vector<std::string> inputs = {};  ///< the layers, or inputs of the network, that it reads
  std::vector<std::int64_t> output_shape = {};  ///< of the first batch
  std::vector<std::string> quantizers = {};     ///< enabled, on its inputs, parameters and outputs
  Error accumulated = {};                       ///< of its output in the quantized network
  /// Of its output if the layer alone is quantized: float inputs, its own quantizers. Absent
  /// without quantizers.
  std::optional<Error> alone = {};
  /// The same before the output's quantizer: what quantized parameters (and inputs, where the layer
  /// has quantizers on them) do.
  std::optional<Error> alone_weights = {};
  /// Of its float output's quantizer alone.
  std::optional<Error> alone_output = {};
  std::int64_t macs = 0;        ///< multiplications with additions, per image
  std::int64_t parameters = 0;  ///< numbers in its weight and bias
  double seconds = 0.0;         ///< per image, in float, on this machine
  std::optional<Accumulator> accumulator = {};
  std::vector<AtBitwidth> at_bitwidths = {};  ///< 4, 8 and 16; empty without quantizers
  friend bool operator==(const Layer&, const Layer&) = default;
};

/// How often numbers lie in equal bins from min to max.
struct Distribution {
  double min = 0.0, max = 0.0;
  std::vector<double> counts = {};
  friend bool operator==(const Distribution&, const Distribution&) = default;
};

/// What lies where in a tensor: counted over all analyzed images in the float network.
struct Statistics {
  std::int64_t count = 0;
  double min = 0.0, max = 0.0, mean = 0.0, deviation = 0.0;
  /// At kPercentiles, as exact as the width of 1/2048 of the range.
  std::vector<double> percentiles = {};
  Distribution distribution = {};
  std::vector<float> channel_min = {}, channel_max = {};  ///< per channel of the tensor
  std::int64_t dead_channels = 0;  ///< channels in which all numbers are the same
  double channel_spread = 0.0;     ///< largest magnitude of a channel over the median channel's
  friend bool operator==(const Statistics&, const Statistics&) = default;
};
inline constexpr double kPercentiles[] = {0.1, 1, 5, 25, 50, 75, 95, 99, 99.9};

/// How a tensor's numbers fall on the codes of its quantizer.
struct Codes {
  double clipped_below = 0.0, clipped_above = 0.0;  ///< shares of the numbers outside the codes
  double used = 0.0;  ///< share of the codes that occur, in whichever channel
  double ties = 0.0;  ///< share of numbers within 1e-4 of the middle between two codes
  double clipping_mse = 0.0, rounding_mse = 0.0;  ///< their sum is the whole mean squared error
  friend bool operator==(const Codes&, const Codes&) = default;
};

/// One quantizer that is enabled (and rounds: has less than 32 bits), and the tensor before it.
struct Quantizer {
  std::string name = {}, aimet_name = {};
  std::string layer = {};  ///< the Layer that it belongs to, or an input of the network
  std::string place = {};  ///< "parameter", "value" or "edge"
  std::string kind = {};   ///< "affine", "float", ...
  int bitwidth = 8;
  std::string symmetry = {};
  bool per_channel = false;
  std::vector<float> min = {}, max = {};  ///< what the lowest and highest code mean, per scale
  Error error = {};                       ///< of the float network's numbers
  std::optional<Codes> codes = {};        ///< absent without codes (floating-point formats)
  Statistics statistics = {};
  friend bool operator==(const Quantizer&, const Quantizer&) = default;
};

/// Which classes the quantized network takes for which; nn::MulticlassConfusionMatrix.
struct Confusion {
  std::vector<std::string> class_names = {};           ///< by label; analyze() does not know them
  std::vector<std::vector<std::int64_t>> counts = {};  ///< images, by [label][taken for]
  friend bool operator==(const Confusion&, const Confusion&) = default;
};

/// What the analysis cost.
struct Cost {
  std::int64_t images = 0;
  std::int64_t network_macs = 0;  ///< of one image
  /// Passes over all images that did as many multiplications: what analyze() ran itself, without
  /// the user's callback, and what would be the same without shared beginnings.
  double passes = 0.0, passes_without_sharing = 0.0;
  std::int64_t score_calls = 0;  ///< of the user's callback
  double seconds = 0.0;
  friend bool operator==(const Cost&, const Cost&) = default;
};

/// Everything that analyze() finds.
struct Analysis {
  std::string metric = {};  ///< of the sensitivities
  Levels levels = {};
  Error outputs = {};                                    ///< of the quantized network
  std::vector<Sensitivity> layers_sensitivity = {};      ///< one per layer that has quantizers
  std::vector<Sensitivity> quantizers_sensitivity = {};  ///< only if asked for
  std::vector<Sensitivity> groups_sensitivity = {};      ///< one per group that was asked for
  std::vector<Layer> layers = {};                        ///< in network order
  std::vector<Quantizer> quantizers = {};                ///< in network order
  std::optional<Confusion> confusion = {};  ///< where there are labels, of 2 to 1,000 classes
  Cost cost = {};
  /// How the model was trained, for those who show both: analyze() leaves it out.
  std::optional<TrainingRecord> training = {};
  friend bool operator==(const Analysis&, const Analysis&) = default;

  /// Returns the layer or quantizer of this name; throws Error if there is none.
  RUNG_API const Layer& layer(std::string_view name) const;
  RUNG_API const Quantizer& quantizer(std::string_view name) const;
};

/// Returns all of it as JSON text; names that are not UTF-8 are an Error. Numbers that are not
/// finite become the strings "inf", "-inf" and "nan".
RUNG_API std::string to_json(const Analysis& analysis);
/// Reads such a text, trusting nothing in it. Throws Error that begins with `source`: for another
/// version, missing or unknown keys, and numbers that cannot be.
RUNG_API Analysis from_json(std::string_view text, std::string_view source = "analysis");

}  // namespace rung::analysis
