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

// Every op that files may contain, but for the members of families; sorted by name. An op that has
// a header stands there with its type; of any other its own file defines the function that makes
// one.
#define RUNG_OPS(PUBLIC, HIDDEN)                             \
  PUBLIC(Add)                                                \
  PUBLIC(AveragePool)                                        \
  PUBLIC(BatchNormalization)                                 \
  HIDDEN(Clip, make_clip)                                    \
  HIDDEN(Concat, make_concat)                                \
  PUBLIC(Conv)                                               \
  PUBLIC(ConvTranspose)                                      \
  HIDDEN(Div, make_div)                                      \
  HIDDEN(Dropout, make_dropout)                              \
  HIDDEN(Elu, make_elu)                                      \
  PUBLIC(Expand)                                             \
  HIDDEN(Flatten, make_flatten)                              \
  PUBLIC(FoldedBatchNormalization)                           \
  PUBLIC(FoldedBias)                                         \
  PUBLIC(FoldedWeight)                                       \
  HIDDEN(GRU, make_gru)                                      \
  PUBLIC(Gather)                                             \
  PUBLIC(Gemm)                                               \
  PUBLIC(GlobalAveragePool)                                  \
  HIDDEN(GroupNormalization, make_group_normalization)       \
  HIDDEN(HardSigmoid, make_hard_sigmoid)                     \
  HIDDEN(HardSwish, make_hard_swish)                         \
  HIDDEN(Identity, make_identity)                            \
  HIDDEN(InstanceNormalization, make_instance_normalization) \
  HIDDEN(LSTM, make_lstm)                                    \
  HIDDEN(LayerNormalization, make_layer_normalization)       \
  HIDDEN(LeakyRelu, make_leaky_relu)                         \
  HIDDEN(LogSoftmax, make_log_softmax)                       \
  HIDDEN(MatMul, make_matmul)                                \
  PUBLIC(MaxPool)                                            \
  HIDDEN(Mul, make_mul)                                      \
  HIDDEN(PRelu, make_prelu)                                  \
  PUBLIC(Pad)                                                \
  PUBLIC(QuantizeDequantize)                                 \
  HIDDEN(RNN, make_rnn)                                      \
  PUBLIC(ReduceMean)                                         \
  PUBLIC(Relu)                                               \
  HIDDEN(Reshape, make_reshape)                              \
  PUBLIC(Resize)                                             \
  HIDDEN(Shrink, make_shrink)                                \
  HIDDEN(Sigmoid, make_sigmoid)                              \
  HIDDEN(Softmax, make_softmax)                              \
  PUBLIC(Squeeze)                                            \
  HIDDEN(Sub, make_sub)                                      \
  HIDDEN(Tanh, make_tanh)                                    \
  PUBLIC(Transpose)                                          \
  PUBLIC(Unsqueeze)                                          \
  HIDDEN(Where, make_where)

#define RUNG_NOTHING(type)
#define RUNG_DECLARATION(type, make_it) std::unique_ptr<Op> make_it();
RUNG_OPS(RUNG_NOTHING, RUNG_DECLARATION)

namespace {

template <typename T>
std::unique_ptr<Op> make() {
  return std::make_unique<T>();
}

using Factory = std::unique_ptr<Op> (*)();

#define RUNG_ROW_OF_TYPE(type) {#type, make<type>},
#define RUNG_ROW(type, make_it) {#type, make_it},
constexpr std::array kOps =
    std::to_array<std::pair<std::string_view, Factory>>({RUNG_OPS(RUNG_ROW_OF_TYPE, RUNG_ROW)});

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
