#include "io/onnx/import/node_reader.h"

#include <algorithm>

#include "io/files/names.h"

namespace rung::io::onnx_import {
namespace {

using Attribute = ::onnx::AttributeProto;

void check_type(const Attribute& attribute, Attribute::AttributeType wanted) {
  require(attribute.type() == wanted, "attribute {} must be {}, got {}",
          shown_name(attribute.name()), Attribute::AttributeType_Name(wanted),
          Attribute::AttributeType_Name(attribute.type()));
}

void check_size(const Attribute& attribute, std::int64_t value) {
  require(value >= -kMaxAttribute && value <= kMaxAttribute, "attribute {} is {}, beyond 2^31",
          shown_name(attribute.name()), value);
}

}  // namespace

std::string NodeReader::title() const {
  const std::string& shown = !name().empty()            ? name()
                             : proto_.output_size() > 0 ? proto_.output(0)
                                                        : name();
  return fmt::format("[{} {}]", shown_name(type()), shown_name(shown));
}

const std::string& NodeReader::input(std::size_t i) const {
  require(has_input(i), "needs an input {}", i);
  return text(i);
}

const std::string& NodeReader::output(std::size_t i) const {
  require(has_output(i), "needs an output {}", i);
  return proto_.output(static_cast<int>(i));
}

const Attribute* NodeReader::find(std::string_view name) const {
  seen_.emplace(name);
  for (const Attribute& each : proto_.attribute())
    if (each.name() == name) return &each;
  return nullptr;
}

std::int64_t NodeReader::integer(std::string_view name, std::int64_t missing) const {
  const Attribute* found = find(name);
  if (found == nullptr) return missing;
  check_type(*found, Attribute::INT);
  check_size(*found, found->i());
  return found->i();
}

float NodeReader::number(std::string_view name, float missing) const {
  const Attribute* found = find(name);
  if (found == nullptr) return missing;
  check_type(*found, Attribute::FLOAT);
  return found->f();
}

std::string NodeReader::text(std::string_view name, std::string_view missing) const {
  const Attribute* found = find(name);
  if (found == nullptr) return std::string(missing);
  check_type(*found, Attribute::STRING);
  return found->s();
}

std::vector<std::int64_t> NodeReader::integers(std::string_view name,
                                               const std::vector<std::int64_t>& missing) const {
  const Attribute* found = find(name);
  if (found == nullptr) return missing;
  check_type(*found, Attribute::INTS);
  require(found->ints_size() <= static_cast<int>(kMaxList), "attribute {} has {} entries",
          shown_name(name), found->ints_size());
  return {found->ints().begin(), found->ints().end()};
}

std::vector<float> NodeReader::numbers(std::string_view name) const {
  const Attribute* found = find(name);
  if (found == nullptr) return {};
  check_type(*found, Attribute::FLOATS);
  return {found->floats().begin(), found->floats().end()};
}

std::vector<std::string> NodeReader::texts(std::string_view name) const {
  const Attribute* found = find(name);
  if (found == nullptr) return {};
  check_type(*found, Attribute::STRINGS);
  require(found->strings_size() <= static_cast<int>(kMaxList), "attribute {} has {} entries",
          shown_name(name), found->strings_size());
  return {found->strings().begin(), found->strings().end()};
}

std::optional<Constant> NodeReader::tensor(std::string_view name) const {
  const Attribute* found = find(name);
  if (found == nullptr) return std::nullopt;
  check_type(*found, Attribute::TENSOR);
  return decode(found->t());
}

void NodeReader::finish() const {
  for (const Attribute& each : proto_.attribute())
    require(seen_.contains(each.name()), "has the attribute {}, which is not known at opset {}",
            shown_name(each.name()), opset_);
}

}  // namespace rung::io::onnx_import
