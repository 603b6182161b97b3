// The folders form layers: each may include only those that stand above it (README, "Where things
// are"). This test reads the #include lines of the sources.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/paths.h"

namespace {

namespace fs = std::filesystem;
const fs::path kRoot = paths::source_dir();

// What each folder may include besides itself.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"core", {}},
    {"kernels", {"core"}},
    {"quant", {"core", "kernels"}},
    {"graph", {"core"}},
    {"backend", {"core", "graph"}},
    {"ops", {"core", "quant", "graph", "kernels", "backend"}},
    {"io", {"core", "quant", "graph", "ops"}},
    {"exec", {"core", "graph", "kernels", "backend", "ops"}},
    {"nn", {"core", "graph", "ops", "io", "exec"}},
    {"quantsim", {"core", "quant", "graph", "ops", "io", "exec"}},
    {"ptq", {"core", "quant", "graph", "ops", "exec", "quantsim", "nn"}},
    {"models", {"core", "graph", "ops", "models"}},
    {"datasets", {"core", "io", "nn", "datasets"}},
};

std::vector<fs::path> sources(const fs::path& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.path().extension() == ".cpp" || entry.path().extension() == ".h")
      found.push_back(entry.path());
  return found;
}

std::vector<std::string> includes(const fs::path& file) {
  std::ifstream in(file);
  std::vector<std::string> found;
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("#include ")) continue;
    const std::size_t begin = line.find_first_of("<\"") + 1;
    found.push_back(line.substr(begin, line.find_first_of(">\"", begin) - begin));
  }
  return found;
}

// "rung/ops/layers.h" and "ops/common.h" -> "ops"; "rung/models.h" -> "models"; else "".
std::string layer_of(std::string include) {
  if (include.starts_with("rung/")) include = include.substr(5);
  const std::string first = include.substr(0, include.find_first_of("/."));
  return kAllowed.contains(first) ? first : "";
}

void check_folder(const std::string& layer, const fs::path& folder, std::size_t& checked) {
  for (const fs::path& file : sources(folder))
    for (const std::string& include : includes(file)) {
      const std::string other = layer_of(include);
      ++checked;
      if (other.empty() || other == layer) continue;
      CHECK_MESSAGE(kAllowed.at(layer).contains(other), file.string()
                                                            << " must not include " << include);
    }
}

}  // namespace

TEST_SUITE("layers") {
  TEST_CASE("each folder includes only what stands above it") {
    std::size_t checked = 0;
    for (const auto& [layer, allowed] : kAllowed) {
      if (layer == "models" || layer == "datasets") {
        check_folder(layer, kRoot / layer, checked);
        continue;
      }
      check_folder(layer, kRoot / "src" / layer, checked);
      if (fs::exists(kRoot / "include/rung" / layer))
        check_folder(layer, kRoot / "include/rung" / layer, checked);
    }
    CHECK(checked > 300);
  }

  TEST_CASE("the allowed includes have no cycle") {
    // Repeatedly takes away the layers that need nothing that is left.
    std::map<std::string, std::set<std::string>> left = kAllowed;
    while (!left.empty()) {
      std::vector<std::string> free;
      for (const auto& [layer, allowed] : left) {
        bool waits = false;
        for (const std::string& other : allowed)
          waits = waits || (other != layer && left.contains(other));
        if (!waits) free.push_back(layer);
      }
      REQUIRE(!free.empty());
      for (const std::string& layer : free) left.erase(layer);
    }
  }

  TEST_CASE("public headers show none of the libraries behind them") {
    for (const fs::path& file : sources(kRoot / "include"))
      for (const std::string& include : includes(file))
        for (const char* hidden :
             {"dnnl", "Eigen", "nlohmann/json.hpp", "CLI", "fmt/", "onnx/", "omp.h"})
          CHECK_MESSAGE(include.find(hidden) == std::string::npos, file.string()
                                                                       << " includes " << include);
  }

  TEST_CASE("only one file speaks to oneDNN and only one to OpenMP") {
    for (const char* folder : {"src", "include", "models", "datasets", "apps"})
      for (const fs::path& file : sources(kRoot / folder)) {
        const std::string name = file.filename().string();
        for (const std::string& include : includes(file)) {
          if (include.find("dnnl") != std::string::npos) CHECK(name == "onednn.cpp");
          if (include == "omp.h") CHECK(name == "parallel.cpp");
        }
        std::ifstream in(file);
        for (std::string line; std::getline(in, line);)
          if (line.starts_with("#pragma omp")) CHECK(name == "parallel.h");
      }
  }
}
