#pragma once

#include "io/onnx/import/importer.h"

// The converters, one for each operator or family of operators.

namespace rung::io::onnx_import {

/// True if both mean the same of their codes.
bool are_equal(Importer& importer, const Quantized& a, const Quantized& b);
/// Returns what codes mean, adding a QuantizeDequantize node for them if there is none yet; its
/// name is `tensor`, the result's, if that is one of a quantizer. `is_alone`: nothing else reads
/// the codes.
Value& dequantized(Importer& importer, Quantized& codes, const std::string& tensor, bool is_alone);
/// Makes the node's output the codes that a Clip of `tensor` from `low` to `high` leaves.
void clip_codes(Importer& importer, const NodeReader& node, const std::string& tensor,
                std::int64_t low, std::int64_t high);

/// Returns a matrix with rows and columns exchanged.
Tensor transposed(const Tensor& tensor);

void convert_arithmetic(Importer& importer, const NodeReader& node);
void convert_batch_normalization(Importer& importer, const NodeReader& node);
void convert_binary(Importer& importer, const NodeReader& node);
void convert_cast(Importer& importer, const NodeReader& node);
void convert_clip(Importer& importer, const NodeReader& node);
void convert_concat(Importer& importer, const NodeReader& node);
void convert_constant_of_shape(Importer& importer, const NodeReader& node);
void convert_conv(Importer& importer, const NodeReader& node);
void convert_conv_transpose(Importer& importer, const NodeReader& node);
void convert_depth_to_space(Importer& importer, const NodeReader& node);
void convert_dequantize_linear(Importer& importer, const NodeReader& node);
void convert_dropout(Importer& importer, const NodeReader& node);
void convert_expand(Importer& importer, const NodeReader& node);
void convert_flatten(Importer& importer, const NodeReader& node);
void convert_function(Importer& importer, const NodeReader& node);
void convert_gather(Importer& importer, const NodeReader& node);
void convert_gemm(Importer& importer, const NodeReader& node);
void convert_global_average_pool(Importer& importer, const NodeReader& node);
void convert_global_max_pool(Importer& importer, const NodeReader& node);
void convert_group_normalization(Importer& importer, const NodeReader& node);
void convert_identity(Importer& importer, const NodeReader& node);
void convert_instance_normalization(Importer& importer, const NodeReader& node);
void convert_layer_normalization(Importer& importer, const NodeReader& node);
void convert_lp_normalization(Importer& importer, const NodeReader& node);
void convert_matmul(Importer& importer, const NodeReader& node);
void convert_min_max(Importer& importer, const NodeReader& node);
void convert_pad(Importer& importer, const NodeReader& node);
void convert_pool(Importer& importer, const NodeReader& node);
void convert_prelu(Importer& importer, const NodeReader& node);
void convert_quantize_linear(Importer& importer, const NodeReader& node);
void convert_recurrent(Importer& importer, const NodeReader& node);
void convert_reduce(Importer& importer, const NodeReader& node);
void convert_reshape(Importer& importer, const NodeReader& node);
void convert_resize(Importer& importer, const NodeReader& node);
void convert_slice(Importer& importer, const NodeReader& node);
void convert_softmax(Importer& importer, const NodeReader& node);
void convert_space_to_depth(Importer& importer, const NodeReader& node);
void convert_split(Importer& importer, const NodeReader& node);
void convert_squeeze(Importer& importer, const NodeReader& node);
void convert_sum(Importer& importer, const NodeReader& node);
void convert_tile(Importer& importer, const NodeReader& node);
void convert_transpose(Importer& importer, const NodeReader& node);
void convert_unary(Importer& importer, const NodeReader& node);
void convert_unsqueeze(Importer& importer, const NodeReader& node);
void convert_upsample(Importer& importer, const NodeReader& node);
void convert_volume_conv(Importer& importer, const NodeReader& node);
void convert_volume_pool(Importer& importer, const NodeReader& node);
void convert_where(Importer& importer, const NodeReader& node);

}  // namespace rung::io::onnx_import
