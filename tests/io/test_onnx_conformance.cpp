// ONNX's own test data (Debian's libonnx-testdata): every case whose operators are imported is run
// and compared, but for those listed here with the reason.

#include <doctest/doctest.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "io/onnx/constants/constant.h"
#include "io/onnx/import/importer.h"
#include "rung/core/error.h"
#include "rung/exec/executor.h"
#include "rung/io/onnx_import.h"
#include "support/temporary_folder.h"

using namespace rung;
namespace fs = std::filesystem;

namespace {

const fs::path kData = "/usr/share/libonnx-testdata/data";

template <typename Proto>
Proto read(const fs::path& path) {
  Proto proto;
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(proto.ParseFromIstream(&in), path.string());
  return proto;
}

std::int64_t opset_of(const onnx::ModelProto& model) {
  for (const auto& each : model.opset_import())
    if (each.domain().empty()) return each.version();
  return 0;
}

/// Leaves out what opset 7 took away, and gives slopes of channels the axes that they got then:
/// PyTorch exported these files in 2017, and for what they use opset 6 differs from 9 in nothing
/// else.
void make_opset_9(onnx::ModelProto& model) {
  for (auto& each : *model.mutable_opset_import()) each.set_version(9);
  for (auto& node : *model.mutable_graph()->mutable_node()) {
    if (node.op_type() == "PRelu") {
      const int rank = model.graph().input(0).type().tensor_type().shape().dim_size();
      for (auto& each : *model.mutable_graph()->mutable_initializer())
        while (each.name() == node.input(1) && each.dims_size() < rank - 1) each.add_dims(1);
    }
    for (int i = node.attribute_size(); i-- > 0;) {
      const std::string& name = node.attribute(i).name();
      if (name == "is_test" || name == "broadcast" || (name == "axis" && node.op_type() == "Add"))
        node.mutable_attribute()->DeleteSubrange(i, 1);
    }
  }
}

/// True if the operator computes with this input, so that it is fed; others are part of the layer.
bool is_fed(const onnx::ModelProto& model, const std::string& input, bool is_first) {
  static const std::set<std::string> kAllFed = {"Add", "Sub", "Mul", "Div", "MatMul", "Concat"};
  for (const auto& node : model.graph().node())
    for (const auto& each : node.input())
      if (each == input) return is_first || kAllFed.contains(node.op_type());
  return is_first;
}

struct Outcome {
  bool passed = false;
  std::string reason;
};

Outcome run_case(const fs::path& folder, const TemporaryFolder& scratch) {
  auto model = read<onnx::ModelProto>(folder / "model.onnx");
  const fs::path data = folder / "test_data_set_0";
  if (opset_of(model) < 9) make_opset_9(model);
  const std::string path = scratch.path("model.onnx");
  std::ofstream(path, std::ios::binary) << model.SerializeAsString();

  std::set<std::string> initializers;
  for (const auto& each : model.graph().initializer()) initializers.insert(each.name());
  io::OnnxImportOptions options;
  std::vector<Tensor> inputs;
  int index = 0;
  for (const auto& input : model.graph().input()) {
    if (initializers.contains(input.name())) continue;
    if (!input.type().has_tensor_type()) return {false, "no tensors"};
    const fs::path file = data / ("input_" + std::to_string(index) + ".pb");
    const bool is_first = index++ == 0;
    if (!fs::exists(file)) continue;
    const auto proto = read<onnx::TensorProto>(file);
    if (!io::onnx_import::is_float(proto.data_type()) &&
        !io::onnx_import::is_integer(proto.data_type()))
      return {false, "elements that are no numbers"};
    const Tensor tensor = io::onnx_import::decode(proto).tensor();
    if (is_fed(model, input.name(), is_first))
      inputs.push_back(tensor);
    else
      options.constants[input.name()] = tensor;
  }
  try {
    Graph graph = io::load_onnx(path, options);
    Executor executor(graph);
    const std::vector<Tensor> outputs = executor.forward(inputs, Mode::eval);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const auto file = data / ("output_" + std::to_string(i) + ".pb");
      const Tensor expected = io::onnx_import::decode(read<onnx::TensorProto>(file)).tensor();
      if (outputs[i].shape() != expected.shape())
        return {false, "WRONG: shape " + outputs[i].shape().to_string() + ", not " +
                           expected.shape().to_string()};
      for (std::size_t k = 0; k < expected.data().size(); ++k) {
        const float got = outputs[i].data()[k], want = expected.data()[k];
        const bool alike = got == want || (std::isnan(got) && std::isnan(want));
        if (!(std::abs(got - want) <= 1e-5f + 1e-3f * std::abs(want)) && !alike)
          return {false, "WRONG: element " + std::to_string(k) + " is " + std::to_string(got) +
                             ", not " + std::to_string(want)};
      }
    }
  } catch (const Error& error) {
    const std::string text = error.what();
    return {false, text.substr(text.find(": ") + 2)};
  }
  return {true, {}};
}

/// Why cases do not run: part of the message, what that means, and how many there are.
struct Skip {
  std::string_view text, reason;
  std::size_t count;
};

constexpr std::array kSkips = std::to_array<Skip>({
    {"only floats are fed", "integers as inputs", 48},
    {"no tensors", "sequences and optional values", 2},
    {"elements that are no numbers", "texts", 3},
    {"to string", "texts as outputs", 1},
    {"works on [N, C, L]", "three spatial axes of ConvTranspose", 1},
    {"is not computed here", "masks of dropout, statistics of norms as outputs", 26},
    {"writes the places", "places of maxima as outputs", 2},
    {"only computed from constants", "Range of activations", 1},
    {"as integers", "codes as outputs", 2},
    {"that is no constant to uint8", "codes as outputs", 3},
    {"depends on the batch size", "shapes as outputs", 6},
    {"has no inputs", "constants as outputs", 1},
    {"extent of 0", "empty tensors", 1},
    {"leaves nothing", "empty tensors as outputs", 1},
    {"makes a part of 0", "empty tensors as outputs", 1},
    {"got tf_crop_and_resize", "cropping while resizing", 1},
});

/// Cases whose numbers are other ones, with the reason.
const std::map<std::string, std::string, std::less<>> kOther = {
    {"node/test_cast_BFLOAT16_to_FLOAT", "the data hold bfloat16 as uint16"},
    {"node/test_cast_FLOAT_to_BFLOAT16", "the data hold bfloat16 as uint16"},
    {"node/test_castlike_BFLOAT16_to_FLOAT_expanded", "the data hold bfloat16 as uint16"},
    {"node/test_castlike_FLOAT_to_BFLOAT16_expanded", "the data hold bfloat16 as uint16"},
    {"node/test_lstm_with_peepholes", "peepholes"},
    {"node/test_resize_downsample_scales_cubic_align_corners",
     "ONNX Runtime answers as we do: the last pixel stays the last"},
    {"node/test_resize_downsample_scales_linear_align_corners",
     "ONNX Runtime answers as we do: the last pixel stays the last"},
    {"node/test_training_dropout", "dropout is the identity in Mode::eval"},
    {"node/test_training_dropout_default", "dropout is the identity in Mode::eval"},
};

}  // namespace

TEST_SUITE("io onnx conformance") {
  TEST_CASE("ONNX's own test cases give the numbers that stand beside them") {
    if (!fs::exists(kData)) {
      MESSAGE("libonnx-testdata is not installed: nothing was compared");
      return;
    }
    const TemporaryFolder scratch;
    std::size_t passed = 0;
    std::map<std::string, std::string> skipped;
    for (const char* kind : {"node", "pytorch-converted", "pytorch-operator", "simple"})
      for (const auto& entry : fs::directory_iterator(kData / kind)) {
        const auto model = read<onnx::ModelProto>(entry.path() / "model.onnx");
        if (!std::ranges::all_of(model.graph().node(), io::onnx_import::is_known)) continue;
        const std::string name = std::string(kind) + "/" + entry.path().filename().string();
        CAPTURE(name);
        const Outcome outcome = run_case(entry.path(), scratch);
        if (outcome.passed)
          ++passed;
        else
          skipped[name] = outcome.reason;
      }
    std::vector<std::size_t> counts(kSkips.size(), 0);
    std::size_t others = 0;
    for (const auto& [name, message] : skipped) {
      CAPTURE(name);
      CAPTURE(message);
      const auto found = std::ranges::find_if(
          kSkips, [&](const Skip& skip) { return message.find(skip.text) != std::string::npos; });
      if (found != kSkips.end()) {
        ++counts[static_cast<std::size_t>(found - kSkips.begin())];
      } else {
        CHECK(kOther.contains(name));
        ++others;
      }
    }
    CHECK(others == kOther.size());
    std::string table;
    for (std::size_t i = 0; i < kSkips.size(); ++i) {
      CAPTURE(kSkips[i].reason);
      CHECK(counts[i] == kSkips[i].count);
      table += "\n  " + std::to_string(counts[i]) + " " + std::string(kSkips[i].reason);
    }
    for (const auto& [name, reason] : kOther) table += "\n  " + name + ": " + reason;
    CHECK(passed == 580);
    MESSAGE(passed << " cases passed, " << skipped.size() << " skipped:" << table);
  }
}
