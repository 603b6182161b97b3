#include "io/model/attributes.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "core/check.h"
#include "io/files/limits.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

constexpr std::size_t kMaxText = 1 << 16;

class Writer final : public AttributeVisitor {
 public:
  void operator()(std::string_view name, std::int64_t& value) override {
    check(name, value);
    put(name, value);
  }
  void operator()(std::string_view name, bool& value) override { put(name, value); }
  void operator()(std::string_view name, std::string& value) override { put(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    for (const std::int64_t each : value) check(name, each);
    require(value.size() <= kMaxList, "attribute {} has {} numbers, model files hold at most {}",
            name, value.size(), kMaxList);
    put(name, value);
  }
  void operator()(std::string_view name, float& value) override { put_number(name, value); }
  void operator()(std::string_view name, double& value) override { put_number(name, value); }
  Json take() { return std::move(object_); }

 private:
  static void check(std::string_view name, std::int64_t value) {
    require(value >= -kMaxAttribute && value <= kMaxAttribute,
            "attribute {} is {}, beyond 2^31: model files do not hold it", name, value);
  }
  void put(std::string_view name, Json value) { object_[std::string(name)] = std::move(value); }
  void put_number(std::string_view name, double value) {
    if (std::isfinite(value))
      put(name, value);
    else
      put(name, std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
  }

  Json object_ = Json::object();
};

class Reader final : public AttributeVisitor {
 public:
  Reader(const JsonPlace& place, Missing missing, std::span<const std::string_view> optional)
      : place_(place.object()), missing_(missing), optional_(optional) {}
  void operator()(std::string_view name, std::int64_t& value) override {
    if (has(name)) value = next(name).integer(-kMaxAttribute, kMaxAttribute);
  }
  void operator()(std::string_view name, bool& value) override {
    if (has(name)) value = next(name).boolean();
  }
  void operator()(std::string_view name, std::string& value) override {
    if (has(name)) value = next(name).string(kMaxText);
  }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    if (!has(name)) return;
    const JsonPlace list = next(name).array(kMaxList);
    value.clear();
    for (std::size_t i = 0; i < list.size(); ++i)
      value.push_back(list[i].integer(-kMaxAttribute, kMaxAttribute));
  }
  void operator()(std::string_view name, float& value) override {
    if (!has(name)) return;
    const JsonPlace place = next(name);
    const double number = number_at(place);
    if (std::isfinite(number) && std::abs(number) > std::numeric_limits<float>::max())
      place.refuse("does not fit into a float");
    value = static_cast<float>(number);
  }
  void operator()(std::string_view name, double& value) override {
    if (has(name)) value = number_at(next(name));
  }

  /// Refuses attributes that the op did not ask for.
  void finish() const {
    if (place_.size() == seen_.size()) return;
    for (const auto& [name, unused] : place_.json().items())
      if (!seen_.contains(name))
        place_.refuse("has " + shown_name(name) + ", which this op does not know");
  }

 private:
  bool has(std::string_view name) const {
    const bool may_miss =
        missing_ == Missing::keep_default || std::ranges::find(optional_, name) != optional_.end();
    return !may_miss || place_.has(name);
  }
  JsonPlace next(std::string_view name) {
    seen_.emplace(name);
    return place_[name];
  }
  static double number_at(const JsonPlace& place) {
    if (!place.json().is_string()) return place.number();
    const std::string& text = place.string();
    const bool infinite = text == "inf" || text == "-inf";
    if (!infinite && text != "nan") place.refuse("must be a number, \"inf\", \"-inf\" or \"nan\"");
    if (!infinite) return std::numeric_limits<double>::quiet_NaN();
    return text == "inf" ? std::numeric_limits<double>::infinity()
                         : -std::numeric_limits<double>::infinity();
  }

  JsonPlace place_;
  Missing missing_;
  std::span<const std::string_view> optional_;
  std::set<std::string, std::less<>> seen_;
};

}  // namespace

Json attributes_to_json(Op& op) {
  Writer writer;
  op.visit(writer);
  return writer.take();
}

void attributes_from_json(Op& op, const JsonPlace& place, Missing missing,
                          std::span<const std::string_view> optional) {
  Reader reader(place, missing, optional);
  op.visit(reader);
  reader.finish();
}

}  // namespace rung::io
