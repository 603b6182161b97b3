#pragma once

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "io/files/json.h"

// Structures as JSON and back, by one list of their members for both directions: a function
// visit(v, T&) that calls v("key", member) for each. Numbers, texts, vectors, maps by name, other
// such structures; an optional that is empty is left out.

namespace rung::analysis {

using io::Json;
using io::JsonPlace;

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};

/// Makes an object of the members that visit(v, T&) shows.
class Writer {
 public:
  template <typename T>
  void operator()(const char* key, T& member) {
    if constexpr (IsOptional<T>::value) {
      if (member) json_[key] = to(*member);
    } else {
      json_[key] = to(member);
    }
  }
  Json take() { return std::move(json_); }

  template <typename T>
  static Json to(T& member) {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(member)) return "nan";
      if (std::isinf(member)) return member > 0 ? "inf" : "-inf";
      return member;
    } else if constexpr (IsVector<T>::value) {
      Json list = Json::array();
      for (auto& each : member) list.push_back(to(each));
      return list;
    } else if constexpr (IsMap<T>::value) {
      Json object = Json::object();
      for (auto& [key, value] : member) object[key] = to(value);
      return object;
    } else if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string>) {
      Writer writer;
      visit(writer, member);
      return writer.take();
    } else {
      return member;
    }
  }

 private:
  Json json_ = Json::object();
};

/// Reads such an object, trusting nothing in it.
class Reader {
 public:
  explicit Reader(const JsonPlace& place) : place_(place) { place.object(); }

  template <typename T>
  void operator()(const char* key, T& member) {
    known_.insert(key);
    if constexpr (IsOptional<T>::value) {
      if (place_.has(key)) from(place_[key], member.emplace());
    } else {
      from(place_[key], member);
    }
  }
  void know(const char* key) { known_.insert(key); }
  /// Throws Error for a key that nobody asked for.
  void check_keys() const {
    for (const auto& [key, value] : place_.json().items())
      if (!known_.contains(key)) place_[key].refuse("is an unknown key");
  }

 private:
  static double number(const JsonPlace& place) {
    if (!place.json().is_string()) return place.number();
    const std::string& text = place.string(4);
    if (text == "inf") return std::numeric_limits<double>::infinity();
    if (text == "-inf") return -std::numeric_limits<double>::infinity();
    if (text != "nan") place.refuse("must be a number, \"inf\", \"-inf\" or \"nan\"");
    return std::numeric_limits<double>::quiet_NaN();
  }

  template <typename T>
  static void from(const JsonPlace& place, T& member) {
    if constexpr (std::is_same_v<T, bool>) {
      member = place.boolean();
    } else if constexpr (std::is_integral_v<T>) {
      member = static_cast<T>(
          place.integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
    } else if constexpr (std::is_floating_point_v<T>) {
      const double x = number(place);
      const bool fits = !std::isfinite(x) || std::abs(x) <= std::numeric_limits<T>::max();
      if (!fits) place.refuse("must fit into 32 bits");
      member = static_cast<T>(x);
    } else if constexpr (std::is_same_v<T, std::string>) {
      member = place.string();
    } else if constexpr (IsVector<T>::value) {
      place.array();
      for (std::size_t i = 0; i < place.size(); ++i) from(place[i], member.emplace_back());
    } else if constexpr (IsMap<T>::value) {
      for (const auto& [key, value] : place.object().json().items()) from(place[key], member[key]);
    } else {
      Reader reader(place);
      visit(reader, member);
      reader.check_keys();
    }
  }

  const JsonPlace& place_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace rung::analysis
