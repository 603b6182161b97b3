#include "io/tensors/pickle.h"

#include <algorithm>
#include <charconv>

#include "io/files/names.h"
#include "io/tensors/pickle_machine.h"

namespace rung::io {
// ---- bytes

std::span<const std::byte> PickleMachine::take(std::uint64_t count) {
  if (count > bytes_.size() - at_) refuse("it ends too early");
  const auto taken = bytes_.subspan(at_, static_cast<std::size_t>(count));
  at_ += taken.size();
  return taken;
}

std::uint64_t PickleMachine::little(int count) {
  std::uint64_t value = 0;
  const auto bytes = take(static_cast<std::uint64_t>(count));
  for (int i = 0; i < count; ++i)
    value |= std::uint64_t{std::to_integer<std::uint8_t>(bytes[static_cast<std::size_t>(i)])}
             << 8 * i;
  return value;
}

std::string PickleMachine::text(std::uint64_t count) {
  const auto bytes = take(count);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string PickleMachine::line(std::size_t longest) {
  std::string result;
  for (char c = 0; (c = static_cast<char>(little(1))) != '\n';) {
    if (result.size() == longest) refuse("a line is longer than {}", longest);
    result += c;
  }
  return result;
}

std::uint64_t PickleMachine::line_number() {
  const std::string digits = line(kMaxName);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty())
    refuse("{} is no number", shown_name(digits));
  return value;
}

// ---- values

Pickle::Index PickleMachine::add(PickledValue value) {
  if (out_.values.size() >= kMaxValues) refuse("it has more than {} values", kMaxValues);
  out_.values.push_back(value);
  return static_cast<Index>(out_.values.size() - 1);
}

void PickleMachine::push(Kind kind, std::int64_t integer) {
  stack_.push_back(add({.kind = kind, .at = 0, .integer = integer}));
}

/// What 64 bits do not hold stays a text; only torch's magic number needs to be known.
void PickleMachine::push_long(std::string_view digits) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || error == std::errc::invalid_argument)
    refuse("{} is no number", shown_name(digits));
  if (error == std::errc{}) return push_integer(value);
  push_text(std::string(digits));
}

void PickleMachine::push_tuple(std::size_t count) {
  std::vector<Index> items(count);
  while (count-- > 0) items[count] = pop();
  push_tuple(std::move(items));
}

void PickleMachine::push_global(const std::string& module, const std::string& name) {
  if (std::max(module.size(), name.size()) > kMaxName) refuse("a name is longer than {}", kMaxName);
  push(Kind::global, out_.texts, module + " " + name);
}

Pickle::Index PickleMachine::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) refuse("the stack is empty");
  const Index top = stack_.back();
  stack_.pop_back();
  return top;
}

Pickle::Index PickleMachine::top() {
  const Index index = pop();
  stack_.push_back(index);
  return index;
}

void PickleMachine::mark() {
  if (marks_.size() >= kMaxObjects) refuse("it has more than {} marks", kMaxObjects);
  marks_.push_back(stack_.size());
}

std::vector<Pickle::Index> PickleMachine::pop_to_mark() {
  if (marks_.empty()) refuse("there is no mark");
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<Index> items(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return items;
}

const PickledValue& PickleMachine::expect(Index index, Kind kind, std::string_view what) const {
  if (!is(index, kind)) refuse("expected {}", what);
  return out_.values[index];
}

const std::string& PickleMachine::expect_text(Index index, Kind kind, std::string_view what) const {
  return out_.texts[expect(index, kind, what).at];
}

const std::vector<Pickle::Index>& PickleMachine::expect_arguments(Index index,
                                                                  std::string_view what) const {
  const std::vector<Index>& items = out_.lists[expect(index, Kind::tuple, what).at];
  if (items.size() > kMaxArguments) refuse("{}: there are {}", what, items.size());
  return items;
}

std::uint64_t PickleMachine::count_of(Index index, std::string_view what) const {
  const std::int64_t value = expect(index, Kind::integer, what).integer;
  if (value < 0) refuse("{} must not be negative, got {}", what, value);
  return static_cast<std::uint64_t>(value);
}

std::vector<std::uint64_t> PickleMachine::counts_of(Index index, std::string_view what) const {
  std::vector<std::uint64_t> counts;
  for (const Index item : expect_arguments(index, what)) counts.push_back(count_of(item, what));
  return counts;
}

void PickleMachine::set_items(Index dict, const std::vector<Index>& items) {
  if (!is(dict, Kind::object)) expect(dict, Kind::dict, "a dict");
  auto& entries = out_.dicts[out_.values[dict].at];
  if (items.size() % 2 != 0) refuse("a dict has a key without a value");
  for (std::size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
}

void PickleMachine::append(Index list, const std::vector<Index>& items) {
  if (is(list, Kind::object)) return;
  auto& all = out_.lists[expect(list, Kind::list, "a list").at];
  all.insert(all.end(), items.begin(), items.end());
}

void PickleMachine::remember(std::uint64_t slot) {
  if (memo_.size() >= kMaxObjects) refuse("it remembers more than {} values", kMaxObjects);
  memo_[slot] = top();
}

void PickleMachine::get(std::uint64_t slot) {
  const auto found = memo_.find(slot);
  if (found == memo_.end()) refuse("nothing was remembered as {}", slot);
  stack_.push_back(found->second);
}

Pickle PickleMachine::run() {
  while (step()) {
  }
  if (stack_.size() != 1) refuse("it ends with {} values on the stack", stack_.size());
  out_.root = stack_[0];
  out_.length = at_;
  return std::move(out_);
}

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& where) {
  return PickleMachine(bytes, where).run();
}

}  // namespace rung::io
