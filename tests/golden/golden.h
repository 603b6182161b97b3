#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "doctest/doctest.h"
#include "support/paths.h"

// Golden data: numbers that this project did not write. Those of October 2024 are in tests/golden,
// those of AIMET 2.42 in its folder aimet_2_42, of nearly the same layout. The environment variable
// RUNG_GOLDEN_DIR names another folder of either layout, whose info.json says which (none: October
// 2024); it replaces the data of that version, or, if analyzer_net.json lies in it, ptq/ alone.
// Whatever is missing is a failure.

namespace golden {

inline constexpr std::string_view kAimet242 = "aimet_2_42/";

/// The folder that RUNG_GOLDEN_DIR names; empty: none.
inline std::string other_dir() {
  const char* dir = std::getenv("RUNG_GOLDEN_DIR");
  return dir == nullptr ? std::string() : std::string(dir);
}

/// Returns whether that folder holds data of AIMET 2.42.
inline bool other_is_2_42() {
  std::ifstream in(other_dir() + "/info.json");
  return in && nlohmann::json::parse(in).contains("aimet_torch");
}

/// Returns whether that folder holds what ptq/ does, and nothing else.
inline bool other_is_ptq() { return std::ifstream(other_dir() + "/analyzer_net.json").good(); }

/// Returns the path of a golden file, e.g. path("quantizers/range_estimators.json") or
/// path("aimet_2_42/quantizers/on_grid.json"). Other October data have the folders export, network
/// and quantizers; the rest is always the project's own.
inline std::string path(std::string_view file) {
  const std::string own = paths::golden_dir() + "/" + std::string(file);
  const std::string other = other_dir();
  if (other.empty()) return own;
  if (file.starts_with(kAimet242))
    return other_is_2_42() ? other + "/" + std::string(file.substr(kAimet242.size())) : own;
  if (file.starts_with("ptq/"))
    return other_is_ptq() ? other + "/" + std::string(file.substr(4)) : own;
  bool shared = false;
  for (const std::string_view folder : {"export/", "network/", "quantizers/"})
    shared = shared || file.starts_with(folder);
  return shared && !other_is_2_42() && !other_is_ptq() ? other + "/" + std::string(file) : own;
}

/// Reads a whole file; throws if it is missing.
inline std::string bytes(std::string_view file) {
  std::ifstream in(path(file), std::ios::binary);
  if (!in) throw std::runtime_error("golden file is missing: " + path(file));
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline nlohmann::json json(std::string_view file) { return nlohmann::json::parse(bytes(file)); }

/// Reads the list "cases" of a file. By value: a range-for over json(file).at("cases") would walk a
/// list that is gone already.
inline nlohmann::json cases(std::string_view file) { return json(file).at("cases"); }

/// A tensor of a safetensors file; floats or integers are filled, according to its dtype.
struct Tensor {
  std::string dtype;  ///< "F32", "F64", "I32", "I64", ...
  std::vector<std::int64_t> shape;
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
};

/// The tensors of one file; remembers which were asked for.
class Tensors {
 public:
  void add(std::string name, Tensor tensor) { all_.emplace(std::move(name), std::move(tensor)); }
  /// Returns the named tensor; throws if it is missing.
  const Tensor& at(const std::string& name) const {
    const auto found = all_.find(name);
    if (found == all_.end()) throw std::runtime_error("golden tensor is missing: " + name);
    used_.insert(name);
    return found->second;
  }
  std::span<const float> floats(const std::string& name) const { return at(name).floats; }
  bool contains(const std::string& name) const { return all_.contains(name); }
  const std::map<std::string, Tensor>& all() const { return all_; }
  std::size_t size() const { return all_.size(); }
  /// Lists the tensors that at() never returned: cases that nobody listed.
  std::vector<std::string> unused() const {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : all_)
      if (!used_.contains(name)) names.push_back(name);
    return names;
  }

 private:
  std::map<std::string, Tensor> all_;
  mutable std::set<std::string> used_;
};

namespace detail {

template <typename T, typename U>
std::vector<U> convert(std::string_view raw) {
  std::vector<T> values(raw.size() / sizeof(T));
  std::memcpy(values.data(), raw.data(), values.size() * sizeof(T));
  return {values.begin(), values.end()};
}

}  // namespace detail

/// Reads a safetensors file: 8 bytes length, a JSON header, the data. Throws if it is damaged.
inline Tensors tensors(std::string_view file) {
  const std::string data = bytes(file);
  const auto damaged = [&] { return std::runtime_error("golden file is damaged: " + path(file)); };
  std::uint64_t length = 0;
  if (data.size() < sizeof length) throw damaged();
  std::memcpy(&length, data.data(), sizeof length);
  if (length > data.size() - sizeof length) throw damaged();
  const auto header = nlohmann::json::parse(data.substr(sizeof length, length));
  const std::string_view body = std::string_view(data).substr(sizeof length + length);
  Tensors result;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    Tensor tensor{entry.at("dtype"), entry.at("shape"), {}, {}};
    const std::size_t begin = entry.at("data_offsets").at(0), end = entry.at("data_offsets").at(1);
    if (begin > end || end > body.size()) throw damaged();
    const std::string_view raw = body.substr(begin, end - begin);
    if (tensor.dtype == "F32") tensor.floats = detail::convert<float, float>(raw);
    if (tensor.dtype == "F64") tensor.floats = detail::convert<double, float>(raw);
    if (tensor.dtype == "I32") tensor.integers = detail::convert<std::int32_t, std::int64_t>(raw);
    if (tensor.dtype == "I64") tensor.integers = detail::convert<std::int64_t, std::int64_t>(raw);
    if (tensor.dtype == "U8" || tensor.dtype == "BOOL")
      tensor.integers = detail::convert<std::uint8_t, std::int64_t>(raw);
    std::size_t numel = 1;
    for (const std::int64_t extent : tensor.shape) numel *= static_cast<std::size_t>(extent);
    if (tensor.floats.size() + tensor.integers.size() != numel) throw damaged();
    result.add(name, std::move(tensor));
  }
  return result;
}

/// Counts comparisons of a suite and keeps its worst difference. Prints the line that says how much
/// was compared when it goes out of scope, and makes "nothing" a failure.
class Report {
 public:
  explicit Report(std::string suite) : suite_(std::move(suite)) {}
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() {
    std::printf("%s: compared %lld values%s\n", suite_.c_str(), static_cast<long long>(values_),
                notes_.c_str());
    CHECK_MESSAGE(values_ > 0, suite_ << " compared nothing");
  }
  void add(std::size_t values = 1) { values_ += static_cast<std::int64_t>(values); }
  /// Appends to the printed line.
  void note(const std::string& text) { notes_ += ", " + text; }
  std::int64_t values() const { return values_; }

 private:
  std::string suite_, notes_;
  std::int64_t values_ = 0;
};

/// Fails if a file holds tensors that no listed case has looked at.
inline void check_all_used(const Tensors& tensors) {
  for (const std::string& name : tensors.unused())
    FAIL_CHECK("golden tensor belongs to no listed case: " << name);
}

}  // namespace golden
