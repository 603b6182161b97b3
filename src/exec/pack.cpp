#include <map>
#include <set>
#include <utility>
#include <vector>

#include "exec/passes.h"

namespace rung {
namespace {

/// A quantizer's output is packed right behind its kernel, and unpacked into a buffer of its own
/// before its first reader in backward.
class Pack {
 public:
  explicit Pack(Program& program) : program_(program) {
    for (const Buffer& buffer : program.buffers) fixed_.insert(buffer.alias);
    for (const auto& [name, buffer] : program.watched) fixed_.insert(buffer);
    for (const Step& step : program.backward)
      for (const int buffer : program.needed(step)) read_.insert(buffer);
  }

  void run() {
    std::vector<Step> forward;
    for (Step& step : program_.forward) {
      forward.push_back(std::move(step));
      if (can_pack(forward.back())) forward.push_back(pack(forward.back()));
    }
    program_.forward = std::move(forward);

    std::vector<Step> backward;
    for (Step& step : program_.backward) {
      for (const int buffer : program_.needed(step))
        if (const auto found = unpack_.find(buffer); found != unpack_.end()) {
          backward.push_back(std::move(found->second));
          unpack_.erase(found);
        }
      if (step.kind == StepKind::backward)
        for (std::vector<int>* list : {&step.inputs, &step.outputs})
          for (int& buffer : *list)
            if (const auto found = again_.find(buffer); found != again_.end())
              buffer = found->second;
      backward.push_back(std::move(step));
    }
    program_.backward = std::move(backward);
  }

 private:
  bool can_pack(const Step& step) const {
    if (step.kind != StepKind::forward || !program_.nodes[step.node].kernel->packs()) return false;
    const int buffer = step.outputs[0];
    const Buffer& original = program_.buffers[buffer];
    return read_.contains(buffer) && !fixed_.contains(buffer) && original.alias < 0 &&
           original.storage == Storage::arena;
  }

  /// Returns the step that packs what this one writes, and notes the one that unpacks it.
  Step pack(const Step& producer) {
    const int buffer = producer.outputs[0];
    const Buffer original = program_.buffers[buffer];
    const int codes =
        program_.new_buffer(original.name + " codes", original.shape, original.format);
    program_.buffers[codes].element = Element::u8;
    again_[buffer] = program_.new_buffer(original.name, original.shape, original.format);
    Step unpack{.kind = StepKind::unpack, .name = producer.name, .node = producer.node};
    unpack.inputs = {codes};
    unpack.outputs = {again_[buffer]};
    unpack_.emplace(buffer, std::move(unpack));
    Step pack{.kind = StepKind::pack, .name = producer.name, .node = producer.node};
    pack.inputs = {buffer};
    pack.outputs = {codes};
    return pack;
  }

  Program& program_;
  std::map<int, int> again_;  // what backward reads instead of a buffer
  std::map<int, Step> unpack_;
  std::set<int> fixed_, read_;  // what has other readers; what backward reads
};

}  // namespace

void pack(Program& program, const Source& source) {
  if (program.mode == Mode::train && source.options.memory == MemoryPolicy::arena)
    Pack(program).run();
}

}  // namespace rung
