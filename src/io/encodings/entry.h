#pragma once

#include "io/files/json.h"
#include "rung/io/encodings.h"

// What the readers and writers of the layouts have in common.

namespace rung::io {

inline constexpr std::int64_t kMaxEncodingBitwidth = 32;

/// Fills min and max from scale and offset, in float32 as a quantizer computes its effective range.
/// Refuses the entry if that does not hold them.
void fill_ranges(TensorEncoding& encoding, const JsonPlace& entry);

/// Returns a number that float32 must hold and that must be larger than 0.
double positive_at(const JsonPlace& place);

/// Throws Error naming the tensor unless the encoding's lists fit each other.
void check_consistent(const TensorEncoding& encoding);

/// One entry of the list of versions 2.0.0 and 2.1.0.
TensorEncoding parse_entry_2(const JsonPlace& entry);
Json entry_2(const TensorEncoding& encoding, EncodingsVersion version);

}  // namespace rung::io
