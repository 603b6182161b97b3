#pragma once

#include <span>
#include <string>
#include <string_view>

#include "rung/core/export.h"

namespace rung {

/// What versions of AIMET do differently although their configuration files say the same. Each is a
/// key of the object "rung" in a configuration file, our extension of AIMET's format; the key
/// "rules" there names the set that the others change. The defaults are our own set, "rung".
struct ConfigRules {
  /// Outputs of ops that only move numbers (MaxPool, Reshape, Transpose, ...) have quantizers of
  /// their own, as others have. false: none, unless op_type names the op.
  bool quantize_data_movement = false;
  /// All inputs of a Concat share the quantizer of its output, through ops that move numbers.
  bool share_concat_inputs = true;
  /// A Relu behind an op that keeps its quantizer shares it.
  bool share_relu_quantizer = false;
  /// A Resize shares its quantizer with what it reads, if hw_version is given.
  bool share_resize_quantizer = true;
  /// Depthwise and 3-D convolutions take part in supergroups.
  bool fuse_depthwise = true;
  /// A GELU or SiLU that a file spells out in several ops is one op, with nothing quantized inside.
  bool fuse_activations = true;
  /// An op belongs to one match of the supergroups only.
  bool disjoint_supergroups = false;
  /// The passes of supergroup_pass_list are run.
  bool run_supergroup_passes = true;
  /// Products with and quotients by positive constants have quantizers of their own; false: their
  /// encodings follow from those of the input.
  bool quantize_constant_products = false;
  /// Constant tensors that numbers are multiplied with or divided by have quantizers, where
  /// model_input has them.
  bool quantize_constant_factors = false;
  /// Constraints [-a, a] give a symmetric grid, and a symmetric grid between constraints is as wide
  /// as they are, around zero; false: it covers them.
  bool symmetric_constraints = false;
  /// The weight of a LayerNormalization is asymmetric below 16 bits, whatever op_type says.
  bool asymmetric_layer_norm = false;
  /// Ops without parameters that are one module called more than once have no quantizer. Only names
  /// tell: /relu/Relu and /relu_1/Relu, as PyTorch writes them into ONNX files.
  bool skip_reused_layers = false;
  /// A symmetric min-max range of 2 bits uses all four codes: scale = max(max / 2, -min / 2).
  bool use_all_two_bit_codes = true;
  /// A parameter that lies on a symmetric grid already gets that grid's scale in calibration,
  /// whatever the estimator.
  bool keep_grids = true;
  /// Scales and offsets are clamped: the floor of scales is min(2^-23, 0.01 / steps), from 17 bits
  /// on less than 2^-23, and an offset at either end of the codes has no gradient. (Beyond it is
  /// never: ranges contain zero.)
  bool limit_encodings = true;
  /// Encodings files call the scheme post_training_tf min_max, and range learning as the scheme that
  /// it begins with.
  bool current_scheme_names = true;
  /// The estimator that AIMET's name tf_enhanced means: "sqnr" or "tf_enhanced".
  std::string tf_enhanced = "tf_enhanced";

  friend bool operator==(const ConfigRules&, const ConfigRules&) = default;
};

/// Returns the names of the sets: "rung", "2.42" and "2024.10", the last two being AIMET's
/// versions.
RUNG_API std::span<const std::string_view> config_rule_sets();
/// Returns the set of this name; throws Error listing them for another.
RUNG_API ConfigRules config_rules(std::string_view name);
/// Returns the name of the set that these are; "own" if a file has changed some of it.
RUNG_API std::string_view name_of(const ConfigRules& rules);

}  // namespace rung
