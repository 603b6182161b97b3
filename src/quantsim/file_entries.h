#pragma once

#include <string>
#include <vector>

#include "rung/graph/graph.h"
#include "rung/io/encodings.h"
#include "rung/quant/quantizer.h"
#include "rung/quantsim/quantizer_handle.h"

// Between quantizers and what stands about them in AIMET's files: the only place that translates.

namespace rung::quantsim {

/// Returns what stands in the files for the encoding of a tensor: unsigned codes and the effective
/// range. In version 2.0.0 parameters around zero have signed codes, activations never (AIMET:
/// force_activation_as = "unsigned").
io::TensorEncoding file_entry(std::string name, const Encoding& encoding, bool is_parameter);

/// Returns min and max to store so that encoding_from_range() gives exactly this scale and offset
/// (of the grid's codes) again; the nearest ones if float32 has none.
Range stored_range(float scale, std::int64_t offset, int bitwidth, Symmetry symmetry);

/// What a quantizer must be set to so that it means the same as an entry of a file.
struct EntrySettings {
  int bitwidth = 8;
  Symmetry symmetry = Symmetry::asymmetric;
  std::vector<Range> ranges;  ///< one per channel
  friend bool operator==(const EntrySettings&, const EntrySettings&) = default;
};

/// Returns the settings for `quantizer`. If `states_symmetry` is false (version 2.0.0) the
/// quantizer's own symmetry is kept where it can mean the entry. Throws Error without the tensor's
/// name if the entry has no numbers, contradicts itself, or does not fit the granularity.
EntrySettings entry_settings(const io::TensorEncoding& entry, const Quantizer& quantizer,
                             bool states_symmetry);

/// Returns the names that the entry of a quantizer may have in a file keyed by tensor, best first:
/// its tensor, and for one of several edges the output of its own node.
std::vector<std::string> tensor_keys(const QuantizerHandle& quantizer);

/// A place in a file keyed by module.
struct ModuleKey {
  std::string module;
  io::ModuleEncoding::Side side = io::ModuleEncoding::Side::output;
  std::int64_t index = 0;
  /// Returns AIMET's name, e.g. "conv1.input_quantizers.0".
  std::string to_string() const;
};

/// Returns where an activation quantizer stands in a file keyed by module: one place, or one per
/// reader for the quantizer of a graph input.
std::vector<ModuleKey> module_keys(const QuantizerHandle& quantizer);

}  // namespace rung::quantsim
