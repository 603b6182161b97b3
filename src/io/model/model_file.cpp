#include "rung/io/model_file.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "core/check.h"
#include "io/files/checksum.h"
#include "io/files/file_kind.h"
#include "io/files/names.h"
#include "io/model/check_values.h"
#include "io/model/graph_json.h"
#include "rung/io/safetensors.h"

namespace rung::io {
namespace {

constexpr int kVersion = 2;
constexpr int kFirstWithChecksum = 2;
// Ops have got further attributes since; their defaults are what the ops did before.
constexpr int kFirstWithAllAttributes = 2;
constexpr std::string_view kChecksum = "rung.checksum";
constexpr std::string_view kFormat = "rung";
constexpr std::string_view kSection = "rung.section.";
constexpr std::string_view kExtra = "extra:";

/// Returns the version of the file; throws Error if this program cannot read it.
int version_of(const std::map<std::string, std::string>& metadata, const std::string& path) {
  const auto format = metadata.find("format");
  require(format != metadata.end() && format->second == kFormat,
          "{}: is a safetensors file, but no model file: load_weights reads plain weights", path);
  const auto found = metadata.find("rung.version");
  require(found != metadata.end(), "{}: its metadata has no rung.version", path);
  const std::string& text = found->second;
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  require(error == std::errc() && end == text.data() + text.size() && version >= 1,
          "{}: rung.version must be a number from 1 on, got {}", path, shown_name(text));
  require(version <= kVersion,
          "{}: has model file version {}, this program reads versions up to {}: update it", path,
          version, kVersion);
  return version;
}

/// Throws Error unless the file is as it was written.
void check_checksum(const SafetensorsFile& file, const NamedTensors& tensors) {
  std::map<std::string, std::string> texts = file.metadata();
  const auto stored = texts.extract(std::string(kChecksum));
  require(!stored.empty(), "{}: its metadata has no {}", file.path().string(), kChecksum);
  const std::string actual = checksum(texts, tensors);
  require(stored.mapped() == actual,
          "{}: its checksum is {}, but its contents give {}: the file is damaged, or another "
          "program has changed it",
          file.path().string(), shown_name(stored.mapped()), actual);
}

/// Adds what it reads to `used`.
Graph read_graph(const SafetensorsFile& file, int version, std::map<std::string, Tensor>& used) {
  const auto text = file.metadata().find("rung.graph");
  require(text != file.metadata().end(), "its metadata has no rung.graph");
  const Json json = parse_json(text->second, "rung.graph");
  const Missing missing =
      version < kFirstWithAllAttributes ? Missing::keep_default : Missing::refuse;
  const auto value_of = [&](const std::string& name) {
    require(file.info(name).dtype == Dtype::F32, "{} has dtype {}, expected F32", shown_name(name),
            to_string(file.info(name).dtype));
    // Twice the same name is refused by the graph, but only after the tensor has been read.
    const auto [place, is_new] = used.emplace(name, Tensor());
    require(is_new, "the parameter {} appears twice", shown_name(name));
    return place->second = file.tensor(name);
  };
  return graph_from_json(JsonPlace(json, "rung.graph"), value_of, missing);
}

}  // namespace

void save_model(const std::filesystem::path& path, const Graph& graph, const ModelExtras& extras) {
  SafetensorsContent content;
  content.metadata["format"] = kFormat;
  content.metadata["rung.version"] = std::to_string(kVersion);
  content.metadata["rung.graph"] = dump_json(graph_to_json(graph, path.string()), path.string());
  for (const auto& [name, text] : extras.sections)
    content.metadata[std::string(kSection) + name] = text;
  const std::map<std::string, Tensor> legal = legal_ranges(graph);
  for (const Parameter* parameter : graph.parameters()) {
    require(!parameter->name().starts_with(kExtra), "{}: the parameter {} must not begin with {}",
            path.string(), shown_name(parameter->name()), kExtra);
    const auto found = legal.find(parameter->name());
    content.tensors.emplace_back(parameter->name(), parameter->value());
    if (found != legal.end()) content.tensors.back().second = found->second;
  }
  for (const auto& [name, tensor] : extras.tensors)
    content.tensors.emplace_back(std::string(kExtra) + name, tensor);
  for (const auto& [name, tensor] : content.tensors)
    require(tensor.defined(), "{}: the tensor {} is undefined", path.string(), shown_name(name));
  content.metadata[std::string(kChecksum)] = checksum(content.metadata, content.tensors);
  save_safetensors(path, content);
}

ModelFile load_model(const std::filesystem::path& path) {
  require_format(InputFile(path), {FileFormat::model, FileFormat::safetensors},
                 "a model file of Rung, *.rung");
  const SafetensorsFile file(path);
  const int version = version_of(file.metadata(), path.string());
  ModelFile model;
  std::map<std::string, Tensor> used;
  try {
    model.graph = read_graph(file, version, used);
  } catch (const Error& error) {
    // Graph and ops know names, but no file.
    const std::string_view what = error.what();
    if (what.starts_with(path.string())) throw;
    fail("{}: {}", path.string(), what);
  }
  NamedTensors tensors;
  for (const TensorInfo& info : file.tensors()) {
    if (const auto found = used.find(info.name); found != used.end()) {
      tensors.emplace_back(*found);
      continue;
    }
    require(info.name.starts_with(kExtra), "{}: the tensor {} belongs to nothing in the graph",
            path.string(), shown_name(info.name));
    model.tensors.emplace_back(info.name.substr(kExtra.size()), file.tensor(info.name));
    tensors.emplace_back(info.name, model.tensors.back().second);
  }
  if (version >= kFirstWithChecksum) check_checksum(file, tensors);
  for (const auto& [key, text] : file.metadata())
    if (key.starts_with(kSection)) model.sections[key.substr(kSection.size())] = text;
  try {  // behind the checksum: damage is told as what it is
    check_values(model.graph);
  } catch (const Error& error) {
    fail("{}: {}", path.string(), error.what());
  }
  return model;
}

std::string hash_of(const ModelFile& file, const std::vector<std::string>& without) {
  std::map<std::string, std::string> texts = file.sections;
  for (const std::string& name : without) texts.erase(name);
  texts["rung.graph"] = dump_json(graph_to_json(file.graph, "hash_of"), "hash_of");
  NamedTensors tensors;
  for (const Parameter* parameter : file.graph.parameters())
    tensors.emplace_back(parameter->name(), parameter->value());
  for (const auto& [name, tensor] : file.tensors)
    tensors.emplace_back(std::string(kExtra) + name, tensor);
  return checksum(texts, tensors);
}

}  // namespace rung::io
