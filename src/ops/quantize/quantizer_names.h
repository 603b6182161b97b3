#pragma once

#include <string>
#include <string_view>

#include "rung/graph/graph.h"
#include "rung/ops/quantize_dequantize.h"

// What quantizers are called when nobody gives them a name. A name says nothing: where a quantizer
// stands is QuantizeDequantize::place(). Only files without that are read by the names in them.

namespace rung {

/// Returns the name of a node that quantizes a value for all its readers: "relu1.qdq".
std::string quantizer_name(const Value& value);
/// Returns the name of a node that quantizes a value for one reader: "conv1.input0.qdq".
std::string quantizer_name(const Use& edge);
/// Returns a node's name without the suffix that the others here end with.
std::string_view quantized_name(std::string_view node);
/// True if the name ends with that suffix.
bool has_quantizer_suffix(std::string_view node);

/// Returns the place that a node of this name has if files say nothing else.
QuantizerPlace place_by_name(std::string_view node, const Value& source);

}  // namespace rung
