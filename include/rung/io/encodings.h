#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "rung/core/export.h"

// AIMET's encodings files as plain data: no graph, no quantizer, only what stands in the file.
// Codes are AIMET's: value = (code + offset) * scale with code in [0, 2^bitwidth - 1], so that a
// symmetric int8 encoding has offset -128 and an asymmetric one round(min / scale) <= 0. Versions
// 2.0.0 and 2.1.0 have ONNX's view of the same: value = (code - zero_point) * scale, with signed or
// unsigned codes; it is translated when it is read and written.

namespace rung::io {

/// The file layouts that are read and written. 0.6.1 cannot express block quantization; 2.0.0 and
/// 2.1.0 only have 2, 4, 8, 16 and (for biases) 32 bits, and do not say whether a grid is meant
/// symmetric. These two differ in how low power block quantization stands in them.
enum class EncodingsVersion { v0_6_1, v1_0_0, v2_0_0, v2_1_0 };
/// Returns the text that stands in the file, e.g. "1.0.0".
RUNG_API std::string_view to_string(EncodingsVersion version);
/// Returns the version of this text; throws Error listing the known ones.
RUNG_API EncodingsVersion encodings_version(std::string_view text);
/// True for 2.0.0 and 2.1.0, which have one list of all tensors.
RUNG_API bool is_version_2(EncodingsVersion version);

/// AIMET's dtype: `integer` is a uniform grid, `floating` a floating-point format of that bitwidth.
enum class EncodingDtype { integer, floating };

/// AIMET's enc_type: how many scales a tensor has. `lpbq` is low power block quantization: a float
/// scale per channel times a small integer scale per block.
enum class EncodingType { per_tensor, per_channel, per_block, lpbq };

/// The encoding of one tensor. min, max, scale and offset have one element per tensor, channel or
/// block (row-major), or are empty where the file does not say (floating, bitwidth only).
struct TensorEncoding {
  std::string name = {};
  EncodingDtype dtype = EncodingDtype::integer;
  EncodingType type = EncodingType::per_tensor;
  std::int64_t bitwidth = 8;
  bool is_symmetric = false;
  std::vector<double> min = {},
                      max = {};  ///< version 1.0.0 has none: read as offset * scale in float32
  std::vector<double> scale = {};
  std::vector<std::int64_t> offset = {};
  std::int64_t block_size = 0;           ///< per_block and lpbq only
  std::int64_t compressed_bitwidth = 0;  ///< lpbq only; bitwidth is the decompressed one
  std::vector<std::int64_t> per_block_int_scale = {};  ///< lpbq only

  // What only versions 2.0.0 and 2.1.0 tell; the others leave it as it is here.
  std::optional<std::int64_t> axis = {};  ///< of the channels; with blocks: along which they lie
  std::vector<std::int64_t> block_shape = {};  ///< blocks along each axis of the tensor
  bool is_signed = false;       ///< codes are written as int8, not as uint8; see zero points above
  std::string float_type = {};  ///< floating: "float16", "bfloat16", "float8e4m3fn", ...

  friend bool operator==(const TensorEncoding&, const TensorEncoding&) = default;
};

/// AIMET's quantizer_args: how the simulation was set up.
struct QuantizerArgs {
  std::int64_t activation_bitwidth = 8, param_bitwidth = 8;
  std::string dtype = "int";
  bool is_symmetric = true;  ///< of parameters
  bool per_channel_quantization = false;
  std::string quant_scheme = "post_training_tf";

  friend bool operator==(const QuantizerArgs&, const QuantizerArgs&) = default;
};

/// The program that wrote a file, as AIMET's of today say it.
struct Producer {
  std::string package = {}, version = {};

  friend bool operator==(const Producer&, const Producer&) = default;
};

/// A file keyed by tensor name (AIMET's <prefix>.encodings). Version 1.0.0 keeps the order of the
/// lists, 0.6.1 sorts by name. Versions 2.0.0 and 2.1.0 have one list that does not tell
/// activations from parameters: it is written in this order, and read into `activations`.
struct EncodingsFile {
  EncodingsVersion version = EncodingsVersion::v1_0_0;
  std::optional<Producer> producer = {};
  std::vector<TensorEncoding> activations = {}, parameters = {};
  std::vector<std::string> excluded_layers = {};
  std::optional<QuantizerArgs> quantizer_args = {};

  friend bool operator==(const EncodingsFile&, const EncodingsFile&) = default;
};

/// An activation encoding keyed by the input or output of a module.
struct ModuleEncoding {
  enum class Side { input, output };
  std::string module = {};  ///< e.g. "layer1.0.conv1"
  Side side = Side::output;
  std::int64_t index = 0;
  TensorEncoding encoding = {};  ///< per_tensor; its name is not used

  friend bool operator==(const ModuleEncoding&, const ModuleEncoding&) = default;
};

/// A file keyed by module name (AIMET's <prefix>_torch.encodings, which load_encodings reads). The
/// entries always have the 0.6.1 layout, whatever `version` says; without a version it is the
/// shorter file of save_encodings_to_json, which has neither excluded_layers nor quantizer_args.
struct ModuleEncodingsFile {
  std::optional<EncodingsVersion> version = EncodingsVersion::v1_0_0;
  std::optional<Producer> producer = {};
  std::vector<ModuleEncoding> activations = {};
  std::vector<TensorEncoding> parameters = {};
  std::vector<std::string> excluded_layers = {};
  std::optional<QuantizerArgs> quantizer_args = {};

  friend bool operator==(const ModuleEncodingsFile&, const ModuleEncodingsFile&) = default;
};

/// Returns the file's text: keys sorted, indented by 4, numbers that read back exactly. Throws
/// Error naming the tensor if an encoding is inconsistent, appears twice, or the version cannot
/// express it.
RUNG_API std::string encodings_text(const EncodingsFile& file);
RUNG_API std::string encodings_text(const ModuleEncodingsFile& file);

/// Reads such a text. `source` (a path) begins every Error, which names the place inside the file,
/// e.g. `param_encodings["conv1.weight"][0].scale`.
RUNG_API EncodingsFile parse_encodings(std::string_view text, std::string_view source);
RUNG_API ModuleEncodingsFile parse_module_encodings(std::string_view text, std::string_view source);

/// Reads a file of either keying, told apart by its layout. A file that is only a table of
/// parameters (AIMET's old AdaRound export) is read as keyed by module.
RUNG_API std::variant<EncodingsFile, ModuleEncodingsFile> parse_any_encodings(
    std::string_view text, std::string_view source);

}  // namespace rung::io
