#include "analysis/match_tensors.h"

#include <algorithm>
#include <map>
#include <string>

#include "analysis/dump_index.h"

namespace rung::analysis {
namespace {

using Info = TensorSource::Info;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

std::map<std::string, std::size_t> places(const std::vector<Info>& tensors, bool as_file_names) {
  std::map<std::string, std::size_t> places;
  for (std::size_t i = 0; i < tensors.size(); ++i)
    places.emplace(as_file_names ? safe_file_name(tensors[i].name) : tensors[i].name, i);
  return places;
}

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
    by_name(false);
    by_name(true);
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
  /// `as_file_names`: names that only differ in characters that names of files do not have.
  void by_name(bool as_file_names) {
    const auto others = places(second_, as_file_names);
    for (std::size_t i = 0; i < first_.size(); ++i) {
      if (partner_[i] != kNone) continue;
      const auto found =
          others.find(as_file_names ? safe_file_name(first_[i].name) : first_[i].name);
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
