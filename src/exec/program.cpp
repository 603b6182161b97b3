#include "exec/program.h"

#include "kernels/reorder.h"

namespace rung {

std::string Group::name() const {
  std::string name = node->name();
  for (const Node* each : joined) name += " + " + each->name();
  return name;
}

int Program::new_buffer(std::string name, const Shape& shape, Format format) {
  buffers.push_back({.name = std::move(name),
                     .shape = shape,
                     .format = format,
                     .count = kernels::padded_count(shape, format)});
  return static_cast<int>(buffers.size()) - 1;
}

int Program::new_bytes(std::string name, std::int64_t bytes) {
  if (bytes <= 0) return -1;
  buffers.push_back(
      {.name = std::move(name), .shape = Shape{bytes}, .element = Element::u8, .count = bytes});
  return static_cast<int>(buffers.size()) - 1;
}

int Program::in_format(int buffer, Format format, std::vector<Step>& steps) {
  if (buffers[buffer].format == format) return buffer;
  if (const auto found = reordered.find({buffer, format}); found != reordered.end())
    return found->second;
  const Buffer source = buffers[buffer];
  const int copy = new_buffer(source.name, source.shape, format);
  buffers[copy].codes = source.codes;
  steps.push_back(
      {.kind = StepKind::reorder, .name = source.name, .inputs = {buffer}, .outputs = {copy}});
  reordered[{buffer, format}] = copy;
  return copy;
}

int Program::root(int buffer) const {
  while (buffers[buffer].alias >= 0) buffer = buffers[buffer].alias;
  return buffer;
}

std::vector<int> Program::needed(const Step& step) const {
  std::vector<int> list;
  if (step.kind != StepKind::backward) return list;
  const Needs needs = nodes[step.node].kernel->needs;
  const auto add = [&](std::span<const int> of, std::uint32_t bits) {
    for (std::size_t i = 0; i < of.size() && i < 32; ++i)
      if ((bits >> i & 1) != 0 && of[i] >= 0) list.push_back(of[i]);
  };
  add(step.inputs, needs.input_bits);
  add(step.outputs, needs.output_bits);
  return list;
}

}  // namespace rung
