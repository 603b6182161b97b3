#include "analysis/match_tensors.h"

#include <algorithm>
#include <map>
#include <string>

#include "analysis/dump_index.h"

namespace rung::analysis {
namespace {

using Info = TensorSource::Info;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

/// What a tensor is called: how it is matched with others.
using Naming = std::string (*)(const Info&);
std::string own_name(const Info& tensor) { return tensor.name; }
std::string value_name(const Info& tensor) {
  return tensor.value.empty() ? tensor.name : tensor.value;
}
std::string file_name(const Info& tensor) { return safe_file_name(tensor.name); }
std::string value_file_name(const Info& tensor) { return safe_file_name(value_name(tensor)); }

/// True if two tensors of different names can be the same: of one type, and for one image of one
/// shape.
bool can_be_same(const Info& a, const Info& b) {
  if (a.type != b.type || a.type == "edge" || a.fixed != b.fixed) return false;
  const auto x = a.shape.dims(), y = b.shape.dims();
  if (a.fixed || x.empty() || y.empty()) return a.shape == b.shape;
  return std::ranges::equal(x.subspan(1), y.subspan(1));
}

class Matcher {
 public:
  Matcher(const TensorSource& first, const TensorSource& second)
      : first_(first.tensors()),
        second_(second.tensors()),
        partner_(first_.size(), kNone),
        is_taken_(second_.size(), false),
        by_position_(first_.size(), false) {
    // Another tool's file of an ONNX graph has what is before a quantizer under a name of its own.
    const bool is_foreign = !first.is_ordered() || !second.is_ordered();
    if (is_foreign)
      for (const Naming naming : {value_name, value_file_name}) by_name(naming);
    for (const Naming naming : {own_name, file_name}) by_name(naming);
    if (first.is_ordered() && second.is_ordered()) by_place();
  }

  std::vector<TensorMatch> matches(bool in_order_of_second) const {
    std::vector<TensorMatch> matches;
    for (std::size_t i = 0; i < partner_.size(); ++i)
      if (partner_[i] != kNone) matches.push_back({i, partner_[i], by_position_[i]});
    if (in_order_of_second) std::ranges::sort(matches, {}, &TensorMatch::second);
    return matches;
  }

 private:
  void by_name(Naming naming) {
    std::map<std::string, std::size_t> others;
    for (std::size_t i = 0; i < second_.size(); ++i)
      if (!is_taken_[i]) others.emplace(naming(second_[i]), i);
    for (std::size_t i = 0; i < first_.size(); ++i) {
      if (partner_[i] != kNone) continue;
      const auto found = others.find(naming(first_[i]));
      if (found != others.end() && !is_taken_[found->second]) pair(i, found->second);
    }
  }

  void pair(std::size_t first, std::size_t second) {
    partner_[first] = second;
    is_taken_[second] = true;
  }

  /// Looks at what is left between two tensors that follow each other in both.
  void by_place() {
    std::size_t first = 0, second = 0;
    for (std::size_t i = 0; i <= first_.size(); ++i) {
      const bool ends = i == first_.size();
      if (!ends && (partner_[i] == kNone || partner_[i] < second)) continue;
      const std::size_t other = ends ? second_.size() : partner_[i];
      gap(first, i, second, other);
      first = i + 1;
      second = other + 1;
    }
  }

  void gap(std::size_t first, std::size_t first_end, std::size_t second, std::size_t second_end) {
    std::vector<std::size_t> left, others;
    for (; first < first_end; ++first)
      if (partner_[first] == kNone && first_[first].type != "edge") left.push_back(first);
    for (; second < second_end; ++second)
      if (!is_taken_[second] && second_[second].type != "edge") others.push_back(second);
    const bool fit = std::ranges::equal(left, others, [&](std::size_t a, std::size_t b) {
      return can_be_same(first_[a], second_[b]);
    });
    if (!fit) return;
    for (std::size_t i = 0; i < left.size(); ++i) {
      pair(left[i], others[i]);
      by_position_[left[i]] = true;
    }
  }

  const std::vector<Info>& first_;
  const std::vector<Info>& second_;
  std::vector<std::size_t> partner_;  // of the first source's tensors
  std::vector<bool> is_taken_;        // of the second's
  std::vector<bool> by_position_;
};

}  // namespace

std::vector<TensorMatch> match_tensors(const TensorSource& first, const TensorSource& second) {
  return Matcher(first, second).matches(!first.is_ordered() && second.is_ordered());
}

}  // namespace rung::analysis
