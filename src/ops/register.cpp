#include <algorithm>
#include <array>
#include <utility>

#include "ops/elementwise/families.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ops/pool.h"
#include "rung/ops/quantize_dequantize.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"

namespace rung {

// Defined in the files of the ops that have no header.
std::unique_ptr<Op> make_clip();
std::unique_ptr<Op> make_concat();
std::unique_ptr<Op> make_div();
std::unique_ptr<Op> make_dropout();
std::unique_ptr<Op> make_elu();
std::unique_ptr<Op> make_flatten();
std::unique_ptr<Op> make_group_normalization();
std::unique_ptr<Op> make_gru();
std::unique_ptr<Op> make_hard_sigmoid();
std::unique_ptr<Op> make_hard_swish();
std::unique_ptr<Op> make_identity();
std::unique_ptr<Op> make_instance_normalization();
std::unique_ptr<Op> make_layer_normalization();
std::unique_ptr<Op> make_leaky_relu();
std::unique_ptr<Op> make_log_softmax();
std::unique_ptr<Op> make_lstm();
std::unique_ptr<Op> make_matmul();
std::unique_ptr<Op> make_mul();
std::unique_ptr<Op> make_prelu();
std::unique_ptr<Op> make_reshape();
std::unique_ptr<Op> make_rnn();
std::unique_ptr<Op> make_sigmoid();
std::unique_ptr<Op> make_softmax();
std::unique_ptr<Op> make_sub();
std::unique_ptr<Op> make_tanh();
std::unique_ptr<Op> make_where();

namespace {

template <typename T>
std::unique_ptr<Op> make() {
  return std::make_unique<T>();
}

using Factory = std::unique_ptr<Op> (*)();

/// Every op that files may contain, but for the members of families; sorted by name.
constexpr std::array kOps = std::to_array<std::pair<std::string_view, Factory>>({
    {"Add", make<Add>},
    {"AveragePool", make<AveragePool>},
    {"BatchNormalization", make<BatchNormalization>},
    {"Clip", make_clip},
    {"Concat", make_concat},
    {"Conv", make<Conv>},
    {"ConvTranspose", make<ConvTranspose>},
    {"Div", make_div},
    {"Dropout", make_dropout},
    {"Elu", make_elu},
    {"Expand", make<Expand>},
    {"Flatten", make_flatten},
    {"FoldedBatchNormalization", make<FoldedBatchNormalization>},
    {"FoldedBias", make<FoldedBias>},
    {"FoldedWeight", make<FoldedWeight>},
    {"GRU", make_gru},
    {"Gather", make<Gather>},
    {"Gemm", make<Gemm>},
    {"GlobalAveragePool", make<GlobalAveragePool>},
    {"GroupNormalization", make_group_normalization},
    {"HardSigmoid", make_hard_sigmoid},
    {"HardSwish", make_hard_swish},
    {"Identity", make_identity},
    {"InstanceNormalization", make_instance_normalization},
    {"LSTM", make_lstm},
    {"LayerNormalization", make_layer_normalization},
    {"LeakyRelu", make_leaky_relu},
    {"LogSoftmax", make_log_softmax},
    {"MatMul", make_matmul},
    {"MaxPool", make<MaxPool>},
    {"Mul", make_mul},
    {"PRelu", make_prelu},
    {"Pad", make<Pad>},
    {"QuantizeDequantize", make<QuantizeDequantize>},
    {"RNN", make_rnn},
    {"ReduceMean", make<ReduceMean>},
    {"Relu", make<Relu>},
    {"Reshape", make_reshape},
    {"Resize", make<Resize>},
    {"Sigmoid", make_sigmoid},
    {"Softmax", make_softmax},
    {"Squeeze", make<Squeeze>},
    {"Sub", make_sub},
    {"Tanh", make_tanh},
    {"Transpose", make<Transpose>},
    {"Unsqueeze", make<Unsqueeze>},
    {"Where", make_where},
});

}  // namespace

std::unique_ptr<Op> make_op(std::string_view type) {
  for (const auto& [name, factory] : kOps)
    if (name == type) return factory();
  for (const auto* family : {&unary_functions(), &binary_functions(), &reductions()})
    for (const FamilyMember& member : *family)
      if (member.type == type) return member.make();
  return nullptr;
}

std::vector<std::string_view> op_types() {
  std::vector<std::string_view> types;
  for (const auto& entry : kOps) types.push_back(entry.first);
  for (const auto* family : {&unary_functions(), &binary_functions(), &reductions()})
    for (const FamilyMember& member : *family) types.push_back(member.type);
  std::ranges::sort(types);
  return types;
}

}  // namespace rung
