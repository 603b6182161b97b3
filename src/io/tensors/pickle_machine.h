#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/check.h"
#include "io/tensors/pickle.h"

namespace rung::io {

/// A machine with a stack, after Python's pickletools and torch's own restricted unpickler
/// (torch/_weights_only_unpickler.py): every opcode makes at most one value. Calls of functions are
/// looked up in a short list (pickle_calls.cpp); what is not there becomes an object without
/// content.
class PickleMachine {
 public:
  PickleMachine(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  Pickle run();

 private:
  using Kind = PickledValue::Kind;
  using Index = Pickle::Index;

  static constexpr std::size_t kMaxName = 256;         // of a Python module or class
  static constexpr std::size_t kMaxObjects = 1 << 20;  // of each kind: some need one byte
  static constexpr std::size_t kMaxValues = 1 << 23;   // a value needs one byte, and takes 16
  static constexpr std::size_t kMaxTensors = 1 << 18;  // five bytes can name a long shape
  static constexpr std::size_t kMaxArguments = 64;     // of a call, or dimensions: they are copied

  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> text, Args&&... args) const {
    fail("{}: byte {} of the pickle: {}", where_, at_,
         fmt::format(text, std::forward<Args>(args)...));
  }

  // ---- bytes
  std::span<const std::byte> take(std::uint64_t count);
  std::uint64_t little(int count);
  std::string text(std::uint64_t count);
  /// Up to the end of the line, which is taken, too.
  std::string line(std::size_t longest);
  /// A number in decimal digits, up to the end of the line.
  std::uint64_t line_number();

  // ---- values
  Index add(PickledValue value);
  void push(Kind kind, std::int64_t integer = 0);
  /// Puts what a value contains into its list, and the value on the stack.
  template <typename Content>
  void push(Kind kind, std::vector<Content>& list, Content content, std::int64_t integer = 0) {
    constexpr std::size_t kMost =
        std::is_same_v<Content, PickledTensor> ? kMaxTensors : kMaxObjects;
    if (list.size() >= kMost) refuse("it has more than {} objects", kMost);
    list.push_back(std::move(content));
    stack_.push_back(
        add({.kind = kind, .at = static_cast<Index>(list.size() - 1), .integer = integer}));
  }
  void push_integer(std::int64_t integer) { push(Kind::integer, integer); }
  void push_text(std::string text) { push(Kind::text, out_.texts, std::move(text)); }
  void push_long(std::string_view digits);
  void push_tuple(std::vector<Index> items) { push(Kind::tuple, out_.lists, std::move(items)); }
  void push_tuple(std::size_t count);
  void push_global(const std::string& module, const std::string& name);
  /// `type` is a global or another object, whose class or function the new one shares.
  void push_object(Index type);
  Index pop();
  Index top();
  std::vector<Index> pop_to_mark();
  void mark();

  const PickledValue& expect(Index index, Kind kind, std::string_view what) const;
  const std::string& expect_text(Index index, Kind kind, std::string_view what) const;
  const std::vector<Index>& expect_arguments(Index index, std::string_view what) const;
  std::uint64_t count_of(Index index, std::string_view what) const;
  std::vector<std::uint64_t> counts_of(Index index, std::string_view what) const;
  bool is(Index index, Kind kind) const { return out_.values[index].kind == kind; }

  void set_items(Index dict, const std::vector<Index>& items);
  void append(Index list, const std::vector<Index>& items);
  void remember(std::uint64_t slot);
  void get(std::uint64_t slot);

  // ---- opcodes: each returns false if the opcode is none of its kind
  bool scalar(std::uint8_t opcode);
  bool text_or_bytes(std::uint8_t opcode);
  bool container(std::uint8_t opcode);
  bool item(std::uint8_t opcode);
  bool object(std::uint8_t opcode);
  bool memory(std::uint8_t opcode);
  /// Runs one opcode; returns false at the end.
  bool step();

  // ---- objects and calls, in pickle_calls.cpp
  void load_storage();
  void call(Index function, Index arguments);
  void make_dict(const std::vector<Index>& arguments);
  void rebuild_tensor(const std::vector<Index>& arguments);
  void rebuild_typed_tensor(const std::vector<Index>& arguments);

  std::span<const std::byte> bytes_;
  const std::string& where_;
  std::size_t at_ = 0;
  Pickle out_;
  std::vector<Index> stack_;
  std::vector<std::size_t> marks_;
  std::map<std::uint64_t, Index> memo_;
};

}  // namespace rung::io
