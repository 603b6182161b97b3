#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/quantsim/config_rules.h"

namespace rung {

/// Where AIMET's JSON configuration says which tensors get a quantizer. A setting that is absent
/// leaves what an earlier level said (see src/quantsim/placement/placement.cpp for the levels).

/// Settings of parameters ("weight", "bias": what they are to their op, not their names).
struct ParamConfig {
  std::optional<bool> is_quantized;
  std::optional<bool> is_symmetric;
};

/// What is known beforehand about the range of an op's outputs. Both sides (a Sigmoid's [0, 1]):
/// the range is fixed, nothing is observed. One side (a Relu's min 0): calibration finds the other
/// one. On a symmetric grid the side that needs the larger step decides, as for observed ranges.
struct EncodingConstraints {
  std::optional<double> min, max;
  bool is_complete() const { return min && max; }
};

/// How numbers are held: as integers of these bits, or as float16 or float32.
struct KernelPrecision {
  int bitwidth = 8;
  bool is_float = false;
  friend bool operator==(const KernelPrecision&, const KernelPrecision&) = default;
};

/// One combination of precisions that a target machine runs. What is done with a list of them says
/// QuantSimOptions::enforce_supported_kernels. Rebuilt from AIMET's description and not compared
/// with its results.
struct SupportedKernel {
  KernelPrecision activation;
  std::optional<KernelPrecision> param;  ///< may be absent in op_type only
};

/// Settings of one op type (an ONNX name).
struct OpConfig {
  std::optional<bool> is_input_quantized;  ///< only true can be asked for
  std::optional<bool> is_output_quantized;
  std::optional<bool> is_symmetric;
  std::optional<bool> per_channel_quantization;
  std::map<std::string, ParamConfig> params;
  std::optional<EncodingConstraints> encoding_constraints;
  std::vector<SupportedKernel> supported_kernels;
};

/// A parsed quantization simulation configuration: AIMET's six sections, and our rules.
struct QuantSimConfig {
  OpConfig default_ops;  ///< "defaults"."ops": only the outputs and the symmetry
  ParamConfig default_params;
  bool strict_symmetric = false;    ///< symmetric grids without their lowest code
  bool unsigned_symmetric = false;  ///< symmetric grids 0.. if nothing negative was observed
  bool per_channel_quantization = false;
  std::vector<SupportedKernel> supported_kernels;
  /// The target machine ("V73"), empty if absent: has rules of its own about some op types (see
  /// src/quantsim/placement/hardware_rules.cpp), of which V69 and V73 are compared with AIMET's.
  std::string hw_version;
  std::map<std::string, ParamConfig> params;
  std::map<std::string, OpConfig> op_type;
  std::vector<std::vector<std::string>> supergroups;  ///< op types, each at least two
  /// AIMET's passes that look for groups which no list of op types describes: MatmulAdd,
  /// LayerNormalization and RMSNormalization.
  std::vector<std::string> supergroup_passes;
  bool is_model_input_quantized = false;
  bool is_model_output_quantized = false;
  ConfigRules rules;
  std::string rule_set = {};  ///< that the file's "rung"."rules" names; empty: it names none
};

/// Returns the JSON text of the configuration `name`. Built in are `default` and `per_tensor`
/// (ours; `per_channel` is another name of the first), `aimet_2_42` and `aimet_2_42_per_tensor`,
/// `aimet_2024_per_channel` and `aimet_2024` (what AIMET's default_config_per_channel.json and
/// default_config.json of these versions say), and `htp` (Qualcomm's HTP V73 and later); anything
/// else is the path of a file. Throws Error if it cannot be read.
RUNG_API std::string read_config(std::string_view name);
/// Returns the names of all of these, aliases last.
RUNG_API std::vector<std::string_view> config_names();

/// Parses AIMET's JSON configuration. Booleans may be JSON's or the strings "True" and "False".
/// `rules` hold where the file's key "rung" says nothing else. Throws Error naming `source`, the
/// JSON path, what is allowed and what was found; unknown keys and missing sections are errors.
RUNG_API QuantSimConfig parse_config(std::string_view json, std::string_view source,
                                     const ConfigRules& rules = {});

}  // namespace rung
