#pragma once

#include <string>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/io/encodings.h"
#include "rung/ops/quantizer_handle.h"

// From quantizers to what stands about them in AIMET's files; entry_settings.h is the way back.

namespace rung::quantsim {

/// Returns what stands in the files for the encoding of a tensor: unsigned codes and the effective
/// range. From version 2.0.0 on parameters around zero have signed codes, activations not (AIMET:
/// force_activation_as = "unsigned").
io::TensorEncoding file_entry(const Value& tensor, const Encoding& encoding);
/// The same as one list of all scales, for files keyed by module, which know nothing of blocks: the
/// quantizer that reads it does.
io::TensorEncoding flat_file_entry(const Value& tensor, const Encoding& encoding);

/// Returns ONNX's name of a format ("float8e4m3fn"), as versions 2.0.0 and 2.1.0 write it.
std::string float_type(const FloatFormat& format);

/// Returns the names that the entry of a quantizer may have in a file keyed by tensor, best first:
/// its tensor, for one of several edges the output of its own node, and behind a batch norm that is
/// folded in simulation the layer's output.
std::vector<std::string> tensor_keys(const QuantizerHandle& quantizer);

/// A place in a file keyed by module.
struct ModuleKey {
  std::string module;
  io::ModuleEncoding::Side side = io::ModuleEncoding::Side::output;
  std::int64_t index = 0;
  /// Returns AIMET's name, e.g. "conv1.input_quantizers.0".
  std::string to_string() const;
};

/// Returns where an activation quantizer stands in a file keyed by module: one place, one per
/// reader for the quantizer of a graph input, or batch norm and layer if the one is folded in
/// simulation.
std::vector<ModuleKey> module_keys(const QuantizerHandle& quantizer);

}  // namespace rung::quantsim
