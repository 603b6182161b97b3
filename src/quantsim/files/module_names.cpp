#include "quantsim/files/module_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "quantsim/files/file_entries.h"
#include "rung/ops/quantizer_handle.h"

namespace rung::quantsim {

namespace {

/// What PyTorch calls functions whose ONNX type is not the same but for case and underscores.
constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kFunctions = {{
    {"adaptive_avg_pool2d", "GlobalAveragePool"},
    {"avg_pool2d", "AveragePool"},
    {"cat", "Concat"},
    {"hardtanh", "Clip"},
    {"interpolate", "Resize"},
    {"max_pool2d", "MaxPool"},
    {"mean", "ReduceMean"},
    {"relu6", "Clip"},
    {"subtract", "Sub"},
    {"truediv", "Div"},
}};

std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name)
    if (c != '_') text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_of_type(std::string_view function, std::string_view type) {
  const auto* known = std::ranges::find(kFunctions, function,
                                        &std::pair<std::string_view, std::string_view>::first);
  return known != kFunctions.end() ? known->second == type : plain(function) == plain(type);
}

std::string parent_of(const std::string& module) {
  const std::size_t dot = module.rfind('.');
  return dot == std::string::npos ? std::string() : module.substr(0, dot);
}

/// What a module's name says about a call: "layer1.0.module_relu_1" is the function relu, call 1.
struct Call {
  std::string function;
  std::uint64_t number = 0;
};

Call call_of(const std::string& module) {
  constexpr std::string_view kMade = "module_";
  constexpr std::size_t kMostDigits = 9;
  std::string name = module.substr(module.rfind('.') + 1);  // npos + 1 is 0
  if (name.starts_with(kMade)) name.erase(0, kMade.size());
  const std::size_t end = name.find_last_not_of("0123456789");
  const bool is_numbered = end != std::string::npos && name[end] == '_' && end > 0;
  const std::size_t digits = name.size() - end - 1;
  if (!is_numbered || digits == 0 || digits > kMostDigits) return {std::move(name)};
  return {name.substr(0, end), std::stoull(name.substr(end + 1))};
}

struct Group {
  std::string parent, type;
  friend auto operator<=>(const Group&, const Group&) = default;
};

/// Returns the nodes that have activation quantizers and are not among `theirs`, in network order.
std::map<Group, std::vector<std::string>> unnamed_nodes(const std::set<std::string>& theirs,
                                                        const Graph& graph) {
  std::map<Group, std::vector<std::string>> groups;
  for (const QuantizerHandle& each : find_quantizers(graph)) {
    if (each.place() == QuantizerPlace::parameter) continue;
    for (const ModuleKey& key : module_keys(each)) {
      const Node* node = graph.find_node(key.module);
      if (node == nullptr || theirs.contains(key.module)) continue;
      std::vector<std::string>& names = groups[{parent_of(key.module), std::string(node->type())}];
      if (std::ranges::find(names, key.module) == names.end()) names.push_back(key.module);
    }
  }
  return groups;
}

}  // namespace

std::map<std::string, std::string> renamed_modules(const std::set<std::string>& theirs,
                                                   const Graph& graph) {
  const std::map<Group, std::vector<std::string>> ours = unnamed_nodes(theirs, graph);
  std::map<Group, std::multimap<std::uint64_t, std::string>> calls;
  for (const std::string& module : theirs) {
    if (graph.find_node(module) != nullptr) continue;
    const Call call = call_of(module);
    for (const auto& [group, unused] : ours)
      if (group.parent == parent_of(module) && is_of_type(call.function, group.type))
        calls[group].emplace(call.number, module);
  }
  std::map<std::string, std::string> renamed;
  for (const auto& [group, modules] : calls) {
    const std::vector<std::string>& names = ours.at(group);
    const auto same = [](const auto& a, const auto& b) { return a.first == b.first; };
    const bool is_ordered = std::ranges::adjacent_find(modules, same) == modules.end();
    if (names.size() != modules.size() || !is_ordered) continue;
    auto name = names.begin();
    for (const auto& [number, module] : modules) renamed.emplace(module, *name++);
  }
  return renamed;
}

std::set<std::string> modules_of(const FileContent& content) {
  std::set<std::string> modules;
  for (const FileEntry& entry : content.entries)
    if (!entry.module.empty()) modules.insert(entry.module);
  return modules;
}

std::map<std::string, std::string> rename_modules(FileContent& content, const Graph& graph) {
  const std::map<std::string, std::string> renamed = renamed_modules(modules_of(content), graph);
  for (FileEntry& entry : content.entries) {
    const auto found = renamed.find(entry.module);
    if (found == renamed.end()) continue;
    entry.key.replace(0, entry.module.size(), found->second);
    entry.module = found->second;
  }
  return renamed;
}

}  // namespace rung::quantsim
