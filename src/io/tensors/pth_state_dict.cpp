#include "io/tensors/pth_state_dict.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string_view>

#include "core/check.h"
#include "core/join.h"
#include "io/files/names.h"

namespace rung::io {
namespace {

using Kind = PickledValue::Kind;
using Index = Pickle::Index;

constexpr std::size_t kMaxDepth = 4;
constexpr std::size_t kListed = 5;  // names that a message shows

/// Where checkpoints have the weights, the more telling names first.
constexpr auto kUsualNames = std::to_array<std::string_view>(
    {"state_dict", "model_state_dict", "model_state", "model", "net", "network", "module",
     "weights", "params", "state_dict_ema", "model_ema", "ema"});

/// What torch makes tensors of that are no plain numbers in rows and columns.
std::string_view unread_tensor(std::string_view maker) {
  static constexpr auto kMakers = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"torch._utils _rebuild_qtensor", "a quantized tensor: save it dequantized"},
      {"torch._utils _rebuild_sparse_tensor", "a sparse tensor: save its to_dense()"},
      {"torch._utils _rebuild_sparse_csr_tensor", "a sparse tensor: save its to_dense()"},
      {"torch._utils _rebuild_nested_tensor", "a nested tensor, which is not read"},
      {"torch._utils _rebuild_meta_tensor_no_storage", "a meta tensor: it has no numbers"},
      {"torch._utils _rebuild_wrapper_subclass", "a tensor of a class of its own: save its data"},
      {"torch._tensor _rebuild_from_type", "a tensor of a class of its own: save its data"},
      {"torch._utils _rebuild_device_tensor_from_numpy", "a tensor of a device: save it as .cpu()"},
      {"torch._utils _rebuild_device_tensor_from_cpu_tensor",
       "a tensor of a device: save it as .cpu()"},
      {"torch ComplexFloatStorage", "a complex tensor: save its real and imaginary parts"},
      {"torch ComplexDoubleStorage", "a complex tensor: save its real and imaginary parts"},
  });
  for (const auto& [name, what] : kMakers)
    if (name == maker) return what;
  if (maker.starts_with("torch Q")) return "a quantized tensor: save it dequantized";
  if (maker.starts_with("torch ") && maker.ends_with("Storage"))
    return "a tensor of a type that is not read";
  return {};
}

class Finder {
 public:
  Finder(const Pickle& pickle, const std::string& path) : pickle_(pickle), path_(path) {}

  FoundStateDict find() {
    FoundStateDict found{tensors_in(pickle_.root, 0), {}};
    if (found.tensors.empty()) refuse();
    found.others = std::move(others_);
    return found;
  }

 private:
  const PickledValue& value(Index index) const { return pickle_.values[index]; }
  const std::string* text(Index index) const {
    return value(index).kind == Kind::text ? &pickle_.texts[value(index).at] : nullptr;
  }
  /// The class of an object, or the function that would have made it.
  const std::string& maker(Index index) const {
    return pickle_.texts[static_cast<std::size_t>(value(index).integer)];
  }
  /// An optimizer's momentum is no network's weight.
  static bool is_optimizer(const std::string& name) { return name.find("optim") != name.npos; }
  bool has_items(Index index) const {
    return value(index).kind == Kind::dict || value(index).kind == Kind::object;
  }

  /// The tensors that stand in a dict itself.
  NamedViews own_tensors(Index dict) const {
    NamedViews tensors;
    for (const auto& [key, entry] : pickle_.dicts[value(dict).at]) {
      const std::string* name = text(key);
      if (name == nullptr) continue;
      if (value(entry).kind == Kind::tensor)
        tensors.emplace_back(*name, pickle_.tensors[value(entry).at]);
      else if (value(entry).kind == Kind::object)
        if (const std::string_view kind = unread_tensor(maker(entry)); !kind.empty())
          fail("{}: {} is {}", path_, shown_name(*name), kind);
    }
    return tensors;
  }

  /// A dict may hold itself, and many times: each is looked into once.
  NamedViews tensors_in(Index index, std::size_t depth) {
    if (!has_items(index) || depth > kMaxDepth || !seen_.insert(value(index).at).second) return {};
    const auto& entries = pickle_.dicts[value(index).at];
    for (const std::string_view usual : kUsualNames)
      for (const auto& [key, entry] : entries)
        if (const std::string* name = text(key); name != nullptr && *name == usual)
          if (NamedViews found = tensors_in(entry, depth + 1); !found.empty()) {
            note_others(index, entry, depth);
            return found;
          }
    if (NamedViews own = own_tensors(index); !own.empty()) return own;
    return only_dict_in(index, depth);
  }

  /// Notes the dicts of tensors that stand beside the one that is taken: averages over the steps.
  void note_others(Index dict, Index taken, std::size_t depth) {
    for (const auto& [key, entry] : pickle_.dicts[value(dict).at]) {
      const std::string* name = text(key);
      if (name == nullptr || entry == taken || is_optimizer(*name)) continue;
      if (holds_tensors(entry, depth + 1)) others_.push_back(*name);
    }
  }

  bool holds_tensors(Index index, std::size_t depth) {
    if (!has_items(index) || depth > kMaxDepth || !seen_.insert(value(index).at).second)
      return false;
    const auto& entries = pickle_.dicts[value(index).at];
    return std::ranges::any_of(entries, [&](const auto& item) {
      return value(item.second).kind == Kind::tensor || holds_tensors(item.second, depth + 1);
    });
  }

  NamedViews only_dict_in(Index index, std::size_t depth) {
    NamedViews found;
    std::vector<std::string> names;
    for (const auto& [key, entry] : pickle_.dicts[value(index).at]) {
      const std::string* name = text(key);
      if (name == nullptr || is_optimizer(*name)) continue;
      NamedViews tensors = tensors_in(entry, depth + 1);
      if (tensors.empty()) continue;
      names.push_back(shown_name(*name));
      found = std::move(tensors);
    }
    if (names.size() > kListed) names.resize(kListed);
    require(names.size() < 2,
            "{}: holds several dicts of tensors ({}); save the one that is meant by itself", path_,
            join(names));
    return found;
  }

  [[noreturn]] void refuse() const {
    constexpr std::string_view kRemedy =
        "of which nothing is executed here: save model.state_dict() with torch.save";
    const auto class_of = [&](Index index) {
      std::string name = maker(index);
      std::ranges::replace(name, ' ', '.');
      return shown_name(name);
    };
    const Index root = pickle_.root;
    if (value(root).kind == Kind::object)
      fail("{}: is a whole pickled object of the class {}, {}", path_, class_of(root), kRemedy);
    if (value(root).kind == Kind::dict)
      for (const auto& [key, entry] : pickle_.dicts[value(root).at])
        if (text(key) != nullptr && value(entry).kind == Kind::object &&
            std::ranges::find(kUsualNames, *text(key)) != kUsualNames.end())
          fail("{}: its {} is a whole pickled object of the class {}, {}", path_,
               shown_name(*text(key)), class_of(entry), kRemedy);
    fail("{}: holds no dict of tensors, as model.state_dict() is", path_);
  }

  const Pickle& pickle_;
  const std::string& path_;
  std::set<std::uint32_t> seen_;
  std::vector<std::string> others_;
};

}  // namespace

FoundStateDict find_state_dict(const Pickle& pickle, const std::string& path) {
  return Finder(pickle, path).find();
}

}  // namespace rung::io
