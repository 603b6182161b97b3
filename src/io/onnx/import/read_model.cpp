#include "io/onnx/import/read_model.h"

#include <google/protobuf/io/coded_stream.h>

#include <set>
#include <string>

#include "core/check.h"
#include "io/files/file.h"
#include "io/files/file_kind.h"
#include "io/files/limits.h"
#include "io/files/names.h"
#include "io/onnx/import/external_data.h"
#include "io/onnx/import/scan.h"

namespace rung::io::onnx_import {
namespace {

constexpr std::int64_t kOldestIr = 3, kNewestIr = 13;
constexpr int kMaxDepth = 32;

std::int64_t default_opset(const ::onnx::ModelProto& proto) {
  std::int64_t opset = 0;
  for (const auto& each : proto.opset_import())
    if (each.domain().empty() || each.domain() == "ai.onnx") {
      require(opset == 0 || opset == each.version(), "imports the default opset twice");
      opset = each.version();
    }
  require(opset != 0, "does not say which opset it uses");
  require(opset >= kOldestOpset,
          "has opset {}, read are {} to {}: convert it with onnx.version_converter or export it "
          "again with a newer opset",
          opset, kOldestOpset, kNewestOpset);
  require(opset <= kNewestOpset,
          "has opset {}, read are {} to {}: export it again with opset_version = {}", opset,
          kOldestOpset, kNewestOpset, kNewestOpset);
  return opset;
}

void check_ir(const ::onnx::ModelProto& proto) {
  require(proto.has_ir_version() && proto.has_graph(), "is no ONNX model: it has no {}",
          proto.has_graph() ? "ir_version" : "graph");
  require(proto.ir_version() >= kOldestIr && proto.ir_version() <= kNewestIr,
          "has IR version {}, read are {} to {}", proto.ir_version(), kOldestIr, kNewestIr);
  require(proto.functions_size() == 0, "defines functions, which are not imported: inline them");
  require(proto.graph().sparse_initializer_size() == 0, "has sparse tensors, which are not read");
  require(proto.graph().node_size() <= static_cast<int>(kMaxNodes), "has {} nodes, more than {}",
          proto.graph().node_size(), kMaxNodes);
}

}  // namespace

Model read_model(const std::filesystem::path& path, std::uint64_t max_bytes) {
  Model model;
  {
    const InputFile file(path);
    constexpr std::uint64_t kLimit = (std::uint64_t{1} << 31) - 1;  // protobuf's
    const std::uint64_t most = std::min(max_bytes, kLimit);
    require(file.size() <= most, "has {} bytes, more than {}", file.size(), most);
    require_format(file, {FileFormat::onnx}, "an ONNX model");
    model.bytes = file.size();
    std::string bytes(static_cast<std::size_t>(file.size()), '\0');
    file.read(0, std::as_writable_bytes(std::span(bytes)));
    scan_model(bytes);
    model.proto = std::make_unique<::onnx::ModelProto>();
    google::protobuf::io::CodedInputStream stream(
        reinterpret_cast<const std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size()));
    stream.SetRecursionLimit(kMaxDepth);
    require(model.proto->ParseFromCodedStream(&stream) && stream.ConsumedEntireMessage(),
            "is no ONNX model, or damaged");
  }
  check_ir(*model.proto);
  model.opset = default_opset(*model.proto);
  model.bytes += read_external_data(*model.proto, path.parent_path());
  return model;
}

}  // namespace rung::io::onnx_import
