#pragma once

#include <vector>

#include "rung/io/encodings.h"
#include "rung/ops/quantizer_handle.h"

// From what stands in AIMET's files to quantizers; file_entries.h is the way there.

namespace rung::quantsim {

/// What a quantizer must be set to so that it means the same as an entry of a file.
struct EntrySettings {
  int bitwidth = 8;
  Symmetry symmetry = Symmetry::asymmetric;
  std::vector<Range> ranges;  ///< one per scale; none for a float
  friend bool operator==(const EntrySettings&, const EntrySettings&) = default;
};

/// Returns the settings for `quantizer`. If `states_symmetry` is false (versions 2.0.0 and 2.1.0)
/// the quantizer's own symmetry is kept where it can mean the entry. Throws Error without the
/// tensor's name if the entry has no numbers, contradicts itself, or does not fit the quantizer's
/// data type or granularity.
EntrySettings entry_settings(const io::TensorEncoding& entry, const QuantizerHandle& quantizer,
                             bool states_symmetry);

}  // namespace rung::quantsim
