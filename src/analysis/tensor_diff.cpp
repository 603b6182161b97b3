#include "rung/analysis/tensor_diff.h"

#include <algorithm>

#include "analysis/match_tensors.h"
#include "analysis/number_differences.h"
#include "core/check.h"

namespace rung::analysis {
namespace {

/// One pair of tensors and what was found so far.
struct Compared {
  TensorMatch match;
  NumberDifferences numbers;
  std::string misfit = {};
  bool is_done = false;  // of one that does not depend on images
};

/// Extents of 1 do not change which number is which: [8, 10, 1, 1] is [8, 10].
std::vector<std::int64_t> without_ones(const Shape& shape) {
  std::vector<std::int64_t> dims;
  for (const std::int64_t extent : shape.dims())
    if (extent != 1) dims.push_back(extent);
  return dims;
}

}  // namespace

const TensorDifference* TensorDiffResult::first() const {
  const auto found = std::ranges::find_if(tensors, &TensorDifference::differs);
  return found == tensors.end() ? nullptr : &*found;
}

struct TensorDiff::Impl {
  TensorSource &first, &second;
  std::vector<Compared> pairs;

  void compare(Compared& pair) {
    const auto [a, b, by_position] = pair.match;
    // What is stored is read as far as what is computed goes.
    Tensor expected, actual;
    if (first.runs() || !second.runs()) {
      expected = first.numbers(a, {});
      actual = second.numbers(b, expected);
    } else {
      actual = second.numbers(b, {});
      expected = first.numbers(a, actual);
    }
    if (without_ones(expected.shape()) != without_ones(actual.shape())) {
      pair.misfit = fmt::format("{} and {}", expected.shape(), actual.shape());
      return;
    }
    actual = actual.reshape(expected.shape());
    Tensor before = first.before(a);
    if (!before.defined()) before = second.before(b);
    if (before.defined() && before.numel() == expected.numel())
      before = before.reshape(expected.shape());
    pair.numbers.add(expected, actual, before);
  }
};

TensorDiff::TensorDiff(TensorSource& first, TensorSource& second, const TensorDiffOptions& options)
    : impl_(new Impl{first, second, {}}) {
  require(options.tolerance >= 0, "diff: the tolerance must not be negative, got {}",
          options.tolerance);
  for (const TensorMatch& match : match_tensors(first, second))
    impl_->pairs.push_back(
        {match,
         {options.tolerance, common_grid(first.tensors()[match.first].encoding,
                                         second.tensors()[match.second].encoding)}});
  require(!impl_->pairs.empty(),
          "diff: no tensor of one has the name of a tensor of the other: {} and {} for example",
          first.tensors().empty() ? "none" : first.tensors()[0].name,
          second.tensors().empty() ? "none" : second.tensors()[0].name);
}

TensorDiff::~TensorDiff() = default;

void TensorDiff::add(std::span<const Tensor> inputs) {
  const bool runs = impl_->first.runs() || impl_->second.runs();
  require(runs == !inputs.empty(), "diff: {}",
          runs ? "a network needs inputs" : "two folders take no inputs");
  impl_->first.next(inputs);
  impl_->second.next(inputs);
  for (Compared& pair : impl_->pairs) {
    if (pair.is_done || !pair.misfit.empty()) continue;
    impl_->compare(pair);
    pair.is_done = impl_->first.tensors()[pair.match.first].fixed ||
                   impl_->second.tensors()[pair.match.second].fixed;
  }
}

TensorDiffResult TensorDiff::result() const {
  TensorDiffResult result;
  const auto &first = impl_->first.tensors(), &second = impl_->second.tensors();
  std::vector<bool> in_first(first.size(), false), in_second(second.size(), false);
  for (const Compared& pair : impl_->pairs) {
    const TensorSource::Info &a = first[pair.match.first], &b = second[pair.match.second];
    TensorDifference difference{.name = a.name,
                                .other_name = b.name,
                                .type = a.type.empty() ? b.type : a.type,
                                .by_position = pair.match.by_position,
                                .misfit = pair.misfit};
    pair.numbers.put(difference);
    ++(pair.match.by_position ? result.by_position : result.by_name);
    in_first[pair.match.first] = in_second[pair.match.second] = true;
    result.tensors.push_back(std::move(difference));
  }
  for (std::size_t i = 0; i < first.size(); ++i)
    if (!in_first[i]) result.only_first.push_back(first[i].name);
  for (std::size_t i = 0; i < second.size(); ++i)
    if (!in_second[i]) result.only_second.push_back(second[i].name);
  return result;
}

}  // namespace rung::analysis
