#pragma once

#include <string_view>
#include <vector>

#include "io/onnx/export/export_node.h"
#include "io/onnx/import/importer.h"

// Each operator of ONNX is read and written in the file of its family, which lists its rules.

namespace rung::io::onnx_ops {

using namespace onnx_import;

/// Turns one node of a file into nodes of the graph.
using Read = void (*)(Importer& importer, const NodeReader& node);
/// Writes one node of the graph, in Mode::eval.
using Write = void (*)(Export& to);

/// What there is to an operator, or to an op of ours.
struct OnnxRule {
  std::string_view type;
  Read read = nullptr;    ///< nullptr: no file may have it
  Write write = nullptr;  ///< nullptr: there is no such op here
  /// The opset in which it came to ONNX; 0 if every opset that is written has it.
  int since = 0;
  /// It gives every element another place and leaves it what it is, so that codes stay codes; of a
  /// maximum, codes and what they mean are in the same order.
  bool moves_codes = false;
};

// ---- the families: a line for each, and one in rules.cpp
std::vector<OnnxRule> clip_rules();
std::vector<OnnxRule> conv_rules();
std::vector<OnnxRule> elementwise_rules();
std::vector<OnnxRule> expand_rules();
std::vector<OnnxRule> matrix_rules();
std::vector<OnnxRule> norm_rules();
std::vector<OnnxRule> part_rules();
std::vector<OnnxRule> pool_rules();
std::vector<OnnxRule> prelu_rules();
std::vector<OnnxRule> quantize_rules();
std::vector<OnnxRule> recurrent_rules();
std::vector<OnnxRule> reduce_rules();
std::vector<OnnxRule> reshape_rules();
std::vector<OnnxRule> resize_rules();
std::vector<OnnxRule> shape_rules();

// ---- what several of them need
/// Reads an op of one input whose attributes have ONNX's names and defaults.
void read_unary(Importer& importer, const NodeReader& node);
/// Reads an op of two inputs; Max and Min have any number.
void read_binary(Importer& importer, const NodeReader& node);
/// Makes the output another name of the input.
void read_identity(Importer& importer, const NodeReader& node);
/// Writes an op whose inputs and attributes are ONNX's.
void write_plain(Export& to);

// ---- all of them
/// Lists every rule, sorted by type.
const std::vector<OnnxRule>& onnx_rules();
/// Returns the rule of a type; nullptr if there is none.
const OnnxRule* find_rule(std::string_view type);

}  // namespace rung::io::onnx_ops
