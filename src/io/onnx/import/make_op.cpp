#include "io/onnx/import/make_op.h"

#include <optional>

#include "core/check.h"
#include "rung/ops/ops.h"

namespace rung::io::onnx_import {
namespace {

using Attributes = std::map<std::string, AttributeValue, std::less<>>;

class Setter final : public AttributeVisitor {
 public:
  explicit Setter(Attributes& attributes) : left_(attributes) {}
  void operator()(std::string_view name, std::int64_t& value) override { set(name, value); }
  void operator()(std::string_view name, float& value) override { set(name, value); }
  void operator()(std::string_view name, bool& value) override { set(name, value); }
  void operator()(std::string_view name, std::string& value) override { set(name, value); }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    set(name, value);
  }
  void operator()(std::string_view name, double& value) override {
    float number = static_cast<float>(value);
    set(name, number);
    value = number;
  }

 private:
  template <typename T>
  void set(std::string_view name, T& value) {
    const auto found = left_.find(name);
    if (found == left_.end()) return;
    const T* given = std::get_if<T>(&found->second);
    require(given != nullptr, "attribute {} is of another type", name);
    value = *given;
    left_.erase(found);
  }

  Attributes& left_;
};

class Finder final : public AttributeVisitor {
 public:
  explicit Finder(std::string_view name) : name_(name) {}
  void operator()(std::string_view name, float& value) override {
    if (name == name_) found = value;
  }
  void operator()(std::string_view, std::int64_t&) override {}
  void operator()(std::string_view, double&) override {}
  void operator()(std::string_view, bool&) override {}
  void operator()(std::string_view, std::string&) override {}
  void operator()(std::string_view, std::vector<std::int64_t>&) override {}
  std::optional<float> found;

 private:
  std::string_view name_;
};

class AttributeReader final : public AttributeVisitor {
 public:
  explicit AttributeReader(const NodeReader& node) : node_(node) {}
  void operator()(std::string_view name, std::int64_t& value) override {
    value = node_.integer(name, value);
  }
  void operator()(std::string_view name, float& value) override {
    value = node_.number(name, value);
  }
  void operator()(std::string_view name, bool& value) override {
    value = node_.integer(name, value) != 0;
  }
  void operator()(std::string_view name, std::string& value) override {
    value = node_.text(name, value);
  }
  void operator()(std::string_view name, std::vector<std::int64_t>& value) override {
    value = node_.integers(name, value);
  }
  void operator()(std::string_view name, double& value) override {
    value = node_.number(name, static_cast<float>(value));
  }

 private:
  const NodeReader& node_;
};

}  // namespace

std::unique_ptr<Op> read_op(const NodeReader& node) {
  std::unique_ptr<Op> op = make_op(node.type());
  AttributeReader reader(node);
  op->visit(reader);
  return op;
}

float float_attribute(Op& op, std::string_view name) {
  Finder finder(name);
  op.visit(finder);
  require(finder.found.has_value(), "{} has no attribute {}", op.type(), name);
  return *finder.found;
}

std::unique_ptr<Op> make_op(std::string_view type, Attributes attributes) {
  std::unique_ptr<Op> op = rung::make_op(type);
  require(op != nullptr, "there is no op {}", type);
  Setter setter(attributes);
  op->visit(setter);
  require(attributes.empty(), "{} has no attribute {}", type,
          attributes.empty() ? "" : attributes.begin()->first);
  return op;
}

}  // namespace rung::io::onnx_import
