#include "io/files/json.h"

#include <cmath>
#include <exception>
#include <limits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

/// Builds the value while the parser walks the text, so that every limit stops it at once.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  Builder(std::string_view source, JsonLimits limits) : source_(source), limits_(limits) {}
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(std::int64_t value) override { return add(value); }
  bool number_unsigned(std::uint64_t value) override { return add(value); }
  bool number_float(double value, const std::string& text) override {
    require(text.find_first_of(".eE") != std::string::npos,
            "{}: the integer {} does not fit into 64 bits", source_, shown_name(text));
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    require(!open_.back()->contains(name), "{}: the key {} appears twice", source_,
            shown_name(name));
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception&) override {
    fail("{}: not valid JSON at byte {}, near {}", source_, position, shown_name(token));
  }

 private:
  Json* place(Json&& value) {
    require(++count_ <= limits_.values, "{}: more than {} JSON values", source_, limits_.values);
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_object()) return &(parent[std::exchange(key_, {})] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }
  bool add(Json&& value) {
    place(std::move(value));
    return true;
  }
  bool open(Json&& value) {
    require(open_.size() < limits_.depth, "{}: JSON nested deeper than {} levels", source_,
            limits_.depth);
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::string source_;
  JsonLimits limits_;
  Json root_;
  std::vector<Json*> open_;  // a parent does not grow while its child is open: stable addresses
  std::string key_;
  std::size_t count_ = 0;
};

}  // namespace

Json parse_json(std::string_view text, std::string_view source, JsonLimits limits) {
  require(text.size() <= limits.bytes, "{}: {} bytes of JSON, at most {} are read", source,
          text.size(), limits.bytes);
  Builder builder(source, limits);
  require(Json::sax_parse(text.begin(), text.end(), &builder), "{}: not valid JSON", source);
  return builder.take();
}

std::string dump_json(const Json& json, std::string_view source, int indent) {
  try {
    return json.dump(indent, ' ', /*ensure_ascii=*/true);
  } catch (const Json::exception&) {  // the only one: a string that is not UTF-8
    fail("{}: a name or text is not valid UTF-8", source);
  }
}

void JsonPlace::refuse(std::string_view what) const {
  fail("{}: {} {}", source_, path_.empty() ? "the top level" : path_, what);
}

void JsonPlace::expected(std::string_view what) const {
  refuse(fmt::format("must be {}, got {}", what, json_->type_name()));
}

JsonPlace JsonPlace::operator[](std::string_view key) const {
  object();
  const auto found = json_->find(std::string(key));
  if (found == json_->end()) refuse(fmt::format("has no {}", shown_name(key)));
  const bool plain = !key.empty() &&
                     key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos;
  std::string path = plain ? path_ + (path_.empty() ? "" : ".") + std::string(key)
                           : fmt::format("{}[{}]", path_, shown_name(key));
  return {*found, source_, std::move(path)};
}

JsonPlace JsonPlace::operator[](std::size_t index) const {
  array();
  if (index >= json_->size()) refuse(fmt::format("has no element {}", index));
  return {(*json_)[index], source_, fmt::format("{}[{}]", path_, index)};
}

bool JsonPlace::has(std::string_view key) const {
  object();
  return json_->contains(std::string(key));
}

const JsonPlace& JsonPlace::object() const {
  if (!json_->is_object()) expected("an object");
  return *this;
}

const JsonPlace& JsonPlace::array(std::size_t max_size) const {
  if (!json_->is_array()) expected("an array");
  if (json_->size() > max_size)
    refuse(fmt::format("has {} elements, at most {} are read", json_->size(), max_size));
  return *this;
}

const std::string& JsonPlace::string(std::size_t max_size) const {
  if (!json_->is_string()) expected("a string");
  const std::string& text = json_->get_ref<const std::string&>();
  if (text.size() > max_size)
    refuse(fmt::format("has {} bytes, at most {} are read", text.size(), max_size));
  return text;
}

std::int64_t JsonPlace::integer(std::int64_t min, std::int64_t max) const {
  if (!json_->is_number_integer()) expected("an integer");
  const bool fits = !json_->is_number_unsigned() || json_->get<std::uint64_t>() <= INT64_MAX;
  const std::int64_t value = fits ? json_->get<std::int64_t>() : 0;
  if (!fits || value < min || value > max)
    refuse(fmt::format("must be an integer in [{}, {}], got {}", min, max, json_->dump()));
  return value;
}

double JsonPlace::number() const {
  if (!json_->is_number()) expected("a number");
  return json_->get<double>();
}

double JsonPlace::float32() const {
  const double value = number();
  if (!(std::abs(value) <= std::numeric_limits<float>::max()))
    refuse(fmt::format("must be a number that float32 holds, got {}", value));
  return value;
}

bool JsonPlace::boolean() const {
  if (!json_->is_boolean()) expected("true or false");
  return json_->get<bool>();
}

}  // namespace rung::io
