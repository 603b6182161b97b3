#include <algorithm>
#include <array>
#include <utility>

#include "io/onnx/import/convert.h"
#include "ops/elementwise/families.h"

namespace rung::io::onnx_import {
namespace {

/// Every operator that becomes nodes of the graph, but for the members of families; sorted by name.
constexpr std::array kConverters = std::to_array<std::pair<std::string_view, Converter>>({
    {"Add", convert_arithmetic},
    {"AveragePool", convert_pool},
    {"BatchNormalization", convert_batch_normalization},
    {"Cast", convert_cast},
    {"Clip", convert_clip},
    {"Concat", convert_concat},
    {"ConstantOfShape", convert_constant_of_shape},
    {"Conv", convert_conv},
    {"ConvTranspose", convert_conv_transpose},
    {"DepthToSpace", convert_depth_to_space},
    {"DequantizeLinear", convert_dequantize_linear},
    {"Div", convert_arithmetic},
    {"Dropout", convert_dropout},
    {"Elu", convert_unary},
    {"Expand", convert_expand},
    {"Flatten", convert_flatten},
    {"GRU", convert_recurrent},
    {"Gather", convert_gather},
    {"Gemm", convert_gemm},
    {"GlobalAveragePool", convert_global_average_pool},
    {"GlobalMaxPool", convert_global_max_pool},
    {"GroupNormalization", convert_group_normalization},
    {"HardSigmoid", convert_unary},
    {"HardSwish", convert_unary},
    {"Identity", convert_identity},
    {"InstanceNormalization", convert_instance_normalization},
    {"LSTM", convert_recurrent},
    {"LayerNormalization", convert_layer_normalization},
    {"LeakyRelu", convert_unary},
    {"LogSoftmax", convert_softmax},
    {"LpNormalization", convert_lp_normalization},
    {"MatMul", convert_matmul},
    {"Max", convert_min_max},
    {"MaxPool", convert_pool},
    {"Min", convert_min_max},
    {"Mul", convert_arithmetic},
    {"PRelu", convert_prelu},
    {"Pad", convert_pad},
    {"QuantizeLinear", convert_quantize_linear},
    {"RNN", convert_recurrent},
    {"ReduceMean", convert_reduce},
    {"Relu", convert_unary},
    {"Reshape", convert_reshape},
    {"Resize", convert_resize},
    {"Sigmoid", convert_unary},
    {"Slice", convert_slice},
    {"Softmax", convert_softmax},
    {"SpaceToDepth", convert_space_to_depth},
    {"Split", convert_split},
    {"Squeeze", convert_squeeze},
    {"Sub", convert_arithmetic},
    {"Sum", convert_sum},
    {"Tanh", convert_unary},
    {"Tile", convert_tile},
    {"Transpose", convert_transpose},
    {"Unsqueeze", convert_unsqueeze},
    {"Upsample", convert_upsample},
    {"Where", convert_where},
});

/// Operators that are rows of a family (rung/ops/functions.h).
struct Family {
  const std::vector<FamilyMember>& (*members)();
  Converter converter;
};
constexpr Family kFamilies[] = {{unary_functions, convert_function},
                                {binary_functions, convert_binary},
                                {reductions, convert_reduce}};

}  // namespace

Converter find_converter(std::string_view type) {
  for (const auto& [name, converter] : kConverters)
    if (name == type) return converter;
  for (const Family& family : kFamilies)
    for (const FamilyMember& member : family.members())
      if (member.type == type) return family.converter;
  return nullptr;
}

const std::vector<std::string_view>& converted_ops() {
  static const std::vector<std::string_view> types = [] {
    std::vector<std::string_view> made;
    for (const auto& entry : kConverters) made.push_back(entry.first);
    for (const Family& family : kFamilies)
      for (const FamilyMember& member : family.members()) made.push_back(member.type);
    std::ranges::sort(made);
    return made;
  }();
  return types;
}

}  // namespace rung::io::onnx_import
