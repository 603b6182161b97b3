#include "io/onnx/import/sort_nodes.h"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <queue>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/check.h"
#include "core/join.h"
#include "io/onnx/import/node_reader.h"

namespace rung::io::onnx_import {
namespace {

class Sorter {
 public:
  explicit Sorter(const ::onnx::GraphProto& file)
      : file_(file), waits_for_(static_cast<std::size_t>(file.node_size()), 0) {
    for (int i = 0; i < file.node_size(); ++i)
      for (const std::string& output : file.node(i).output())
        if (!output.empty()) producers_.emplace(output, i);
    for (int i = 0; i < file.node_size(); ++i)
      for (const std::string& input : file.node(i).input())
        if (const auto found = producers_.find(input); found != producers_.end()) {
          readers_[found->second].push_back(i);
          ++waits_for_[static_cast<std::size_t>(i)];
        }
  }

  std::vector<const ::onnx::NodeProto*> run() {
    // The earliest of those that wait for nothing: what is sorted stays as it is.
    std::priority_queue<int, std::vector<int>, std::greater<>> ready;
    for (int i = 0; i < file_.node_size(); ++i)
      if (waits_for_[static_cast<std::size_t>(i)] == 0) ready.push(i);
    std::vector<const ::onnx::NodeProto*> sorted;
    while (!ready.empty()) {
      const int node = ready.top();
      ready.pop();
      sorted.push_back(&file_.node(node));
      for (const int reader : readers_[node])
        if (--waits_for_[static_cast<std::size_t>(reader)] == 0) ready.push(reader);
    }
    if (static_cast<int>(sorted.size()) < file_.node_size()) refuse_cycle();
    return sorted;
  }

 private:
  /// Every node that is left reads another that is left: going back, one comes again.
  [[noreturn]] void refuse_cycle() const {
    const auto is_left = [&](int i) { return waits_for_[static_cast<std::size_t>(i)] > 0; };
    int node = 0;
    while (!is_left(node)) ++node;
    std::vector<int> path;
    while (std::ranges::find(path, node) == path.end()) {
      path.push_back(node);
      for (const std::string& input : file_.node(node).input()) {
        const auto found = producers_.find(input);
        if (found == producers_.end() || !is_left(found->second)) continue;
        node = found->second;
        break;
      }
      if (path.size() > kShown * 1000) break;  // long enough to name its beginning
    }
    path.erase(path.begin(), std::ranges::find(path, node));
    std::vector<std::string> titles;
    for (const int each : path)
      if (titles.size() < kShown) titles.push_back(NodeReader(file_.node(each), 0).title());
    fail("has nodes that wait for each other: {} reads{} the first of these",
         join(titles, " reads "), path.size() > kShown ? " ... reads" : "");
  }

  static constexpr std::size_t kShown = 5;

  const ::onnx::GraphProto& file_;
  std::unordered_map<std::string_view, int> producers_;
  std::unordered_map<int, std::vector<int>> readers_;
  std::vector<int> waits_for_;
};

}  // namespace

std::vector<const ::onnx::NodeProto*> sorted_nodes(const ::onnx::GraphProto& file) {
  return Sorter(file).run();
}

}  // namespace rung::io::onnx_import
