// From which step to which a buffer lives: what backward reads stays, as codes where it can, and
// place.cpp lets buffers whose lives do not touch share an address.

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "exec/plan.h"

namespace rung {

// ---- what forward leaves for backward

// Returns the buffers of the forward pass that a backward step reads.
std::vector<int> Plan::needed(const Step& step) const {
  std::vector<int> list;
  if (step.kind != StepKind::backward) return list;
  const Needs needs = compiled_[step.node].kernel->needs;
  const auto add = [&](std::span<const int> buffers, std::uint32_t bits) {
    for (std::size_t i = 0; i < buffers.size() && i < 32; ++i)
      if ((bits >> i & 1) != 0 && buffers[i] >= 0) list.push_back(buffers[i]);
  };
  add(step.inputs, needs.input_bits);
  add(step.outputs, needs.output_bits);
  return list;
}

// Where a quantizer wrote what backward reads, keeps a byte per number instead of a float: it is
// packed right behind its kernel, and unpacked into a buffer of its own before its first reader.
void Plan::keep_as_codes() {
  std::map<int, int> again;  // what backward reads instead of a buffer
  std::map<int, Step> unpack;
  std::set<int> fixed;  // what has other readers
  for (const Buffer& buffer : buffers_) fixed.insert(buffer.alias);
  for (const auto& [name, buffer] : watched_) fixed.insert(buffer);
  std::set<int> read;
  for (const Step& step : backward_)
    for (const int buffer : needed(step)) read.insert(buffer);

  std::vector<Step> forward;
  for (Step& step : forward_) {
    forward.push_back(std::move(step));
    const Step& producer = forward.back();
    if (producer.kind != StepKind::forward || !compiled_[producer.node].kernel->packs()) continue;
    const int buffer = producer.outputs[0];
    const Buffer original = buffers_[buffer];
    if (!read.contains(buffer) || fixed.contains(buffer) || original.alias >= 0 ||
        original.storage != Storage::arena)
      continue;
    const int codes =
        new_buffer(original.name + " codes", Shape{(original.count + 3) / 4}, Format::plain);
    again[buffer] = new_buffer(original.name, original.shape, original.format);
    Step pack{.kind = StepKind::pack, .name = producer.name, .node = producer.node};
    pack.inputs = {buffer};
    pack.outputs = {codes};
    Step back{.kind = StepKind::unpack, .name = producer.name, .node = producer.node};
    back.inputs = {codes};
    back.outputs = {again[buffer]};
    unpack.emplace(buffer, std::move(back));
    forward.push_back(std::move(pack));
  }
  forward_ = std::move(forward);

  std::vector<Step> backward;
  for (Step& step : backward_) {
    for (const int buffer : needed(step))
      if (const auto found = unpack.find(buffer); found != unpack.end()) {
        backward.push_back(std::move(found->second));
        unpack.erase(found);
      }
    if (step.kind == StepKind::backward)
      for (std::vector<int>* list : {&step.inputs, &step.outputs})
        for (int& buffer : *list)
          if (const auto found = again.find(buffer); found != again.end()) buffer = found->second;
    backward.push_back(std::move(step));
  }
  backward_ = std::move(backward);
}

// ---- lifetimes

void Plan::find_lifetimes(MemoryPolicy policy) {
  const auto root = [&](int buffer) {
    while (buffers_[buffer].alias >= 0) buffer = buffers_[buffer].alias;
    return buffer;
  };
  const int turn = static_cast<int>(forward_.size());
  const int end = turn + static_cast<int>(backward_.size());
  const auto use = [&](int buffer, int position) {
    if (buffer < 0) return;
    Buffer& b = buffers_[root(buffer)];
    if (b.first < 0 || position < b.first) b.first = position;
    b.last = std::max(b.last, position);
  };
  for (const int buffer : inputs_) use(buffer, 0);
  for (int i = 0; i < turn; ++i) {
    for (const int buffer : forward_[i].inputs) use(buffer, i);
    for (const int buffer : forward_[i].outputs) use(buffer, i);
    use(forward_[i].workspace, i);
    use(forward_[i].scratch, i);
  }
  for (const auto& [name, buffer] : watched_) use(buffer, end);
  for (const auto& [name, buffer] : watched_gradients_) use(buffer, end);
  for (const int buffer : output_gradients_) use(buffer, turn);
  for (int i = turn; i < end; ++i) {
    const Step& step = backward_[i - turn];
    if (step.kind != StepKind::backward) {
      for (const int buffer : step.inputs) use(buffer, i);
      for (const int buffer : step.outputs) use(buffer, i);
      continue;
    }
    for (const int buffer : needed(step)) use(buffer, i);
    for (const int buffer : step.output_grads) use(buffer, i);
    for (const int buffer : step.input_grads) use(buffer, i);
    use(step.workspace, i);
    use(step.scratch, i);
  }
  for (Buffer& buffer : buffers_) {
    if (buffer.alias >= 0) buffer.alias = root(buffer.alias);
    if (buffer.alias >= 0 || buffer.storage != Storage::arena) continue;
    if (policy == MemoryPolicy::keep_all) buffer.first = 0, buffer.last = end;
    if (buffer.first < 0) buffer.first = buffer.last = 0;
    unplanned_floats_ += buffer.count;
  }
  for (Buffer& buffer : buffers_)
    if (buffer.storage == Storage::kept && buffer.alias < 0)
      buffer.kept = Tensor(Shape{buffer.count});
}

}  // namespace rung
