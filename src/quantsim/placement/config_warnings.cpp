#include "quantsim/placement/config_warnings.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <set>
#include <sstream>

#include "core/check.h"
#include "io/files/names.h"
#include "quantsim/placement/target.h"
#include "quantsim/placement/units.h"
#include "rung/core/closest.h"
#include "rung/ops/ops.h"

namespace rung::quantsim {

namespace {

/// ONNX operators, and the names beyond them that AIMET's configurations use.
constexpr std::string_view kOpTypes = R"(
Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool
BatchNormalization BatchPermutation BatchToSpace Bernoulli BitShift BitwiseAnd BitwiseNot
BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad ChannelShuffle Clip
Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose
Cos Cosh CropAndResize CumSum DFT DeformConv DepthToSpace DequantizeLinear Det Div Dropout
DynamicQuantizeLinear Einsum Elu Embedding Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
GreaterOrEqual GridSample GroupNorm GroupNormalization HammingWindow HannWindow HardSigmoid
HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul
MatMulInteger Max MaxPool MaxRoiPool MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min
Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression NonZero Not OneHot
Optional Or PRelu Pad PixelShuffle Pow QLinearConv QLinearMatMul QuantizeLinear RMSNormalization
RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1
ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare RegexFullMatch Relu Relu6 Reshape Resize ReverseSequence RoiAlign RotaryEmbedding
Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty
SequenceErase SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size
Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign SpaceToBatch SpaceToDepth Split
SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh
TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor)";

/// PyTorch's names of layers, which people write, and what ONNX calls them.
struct TorchName {
  std::string_view layer, op_type;
};
constexpr TorchName kTorchNames[] = {{"AdaptiveAvgPool2d", "GlobalAveragePool"},
                                     {"AvgPool2d", "AveragePool"},
                                     {"BatchNorm1d", "BatchNormalization"},
                                     {"BatchNorm2d", "BatchNormalization"},
                                     {"BatchNorm3d", "BatchNormalization"},
                                     {"Conv1d", "Conv"},
                                     {"Conv2d", "Conv"},
                                     {"Conv3d", "Conv"},
                                     {"ConvTranspose2d", "ConvTranspose"},
                                     {"FullyConnected", "Gemm"},
                                     {"LayerNorm", "LayerNormalization"},
                                     {"Linear", "Gemm"},
                                     {"MaxPool2d", "MaxPool"},
                                     {"ReLU6", "Clip"},
                                     {"SiLU", "Swish"}};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Returns the op type that was probably meant by a name that is none; empty if it resembles none.
std::string meant_by(const std::string& name, const std::set<std::string>& known) {
  const auto torch = std::ranges::find(kTorchNames, name, &TorchName::layer);
  if (torch != std::end(kTorchNames)) return std::string(torch->op_type);
  std::string best;
  std::size_t allowed = name.size() < 4 ? 0 : name.size() < 8 ? 1 : 2;
  for (const std::string& type : known) {
    if (name.size() > type.size() + allowed) continue;  // also spares us endless names
    const std::size_t distance = edit_distance(lower(name), lower(type));
    if (distance > allowed || (!best.empty() && distance == allowed)) continue;
    best = type;
    allowed = distance;
  }
  return best;
}

}  // namespace

std::vector<std::string> config_warnings(const QuantSimConfig& config, const Graph& graph) {
  std::istringstream types{std::string(kOpTypes)};
  std::set<std::string> known(std::istream_iterator<std::string>(types), {});
  for (const std::string_view type : op_types()) known.emplace(type);
  for (const Node* node : graph.nodes()) known.emplace(node->type());  // a user's own, too

  std::vector<std::string> warnings;
  const auto check_type = [&](const std::string& path, const std::string& type) {
    if (known.contains(type)) return;
    const std::string meant = meant_by(type, known);
    warnings.push_back(fmt::format(
        "{}: there is no op type {}{}", path, io::shown_name(type),
        meant.empty() ? " in ONNX and none in this network: what is said of it has no effect"
                      : fmt::format("; did you mean {}?", meant)));
  };
  for (const auto& [type, op] : config.op_type) check_type("op_type", type);
  for (std::size_t i = 0; i < config.supergroups.size(); ++i)
    for (const std::string& type : config.supergroups[i])
      check_type(fmt::format("supergroups[{}].op_list", i), type);

  if (!config.hw_version.empty() && !is_known_hardware(config.hw_version))
    warnings.push_back(fmt::format("defaults.hw_version: {} is unknown, so it has no rules",
                                   io::shown_name(config.hw_version)));
  for (std::size_t i = 0; i < config.supergroup_passes.size(); ++i)
    if (!is_known_pass(config.supergroup_passes[i]))
      warnings.push_back(fmt::format("supergroup_pass_list[{}]: {} is unknown, so it is not run", i,
                                     io::shown_name(config.supergroup_passes[i])));
  return warnings;
}

}  // namespace rung::quantsim
