#include "ops/linear/conv_reach.h"

#include <limits>

#include "kernels/quantize.h"

namespace rung {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::infinity();
// Far below the largest float: there is room for what convolutions make on their way, Winograd's
// transforms among it, and for rounding.
constexpr double kLimit = 1e30;

double known(const View& x) { return x.reach == nullptr ? kUnknown : *x.reach; }

double look(const View& x) {
  const double largest = kernels::largest_magnitude(x.data, x.count);
  if (x.reach != nullptr) *x.reach = largest;
  return largest;
}

// Of a tensor that seldom changes, and tells so by its version.
double magnitude(const View& x, double& largest, std::uint64_t& version) {
  if (x.version == 0 || x.version != version) {
    largest = kernels::largest_magnitude(x.data, x.count);
    version = x.version;
  }
  return largest;
}

}  // namespace

double ConvReach::of(const Inputs& in, bool looks) {
  double x = known(in.x), added = in.added == nullptr ? 0.0 : known(*in.added);
  if (!looks && (x >= kLimit || added >= kLimit)) return kUnknown;
  const std::int64_t outputs = (*in.weights.shape)[0];
  const double row = static_cast<double>(in.weights.count / outputs);
  const double taps = row * magnitude(in.weights, taps_, weights_version_);
  const double bias = in.bias == nullptr ? 0.0 : magnitude(*in.bias, bias_, bias_version_);
  const auto within = [&] {
    const double y = x * taps + bias + added;
    return x < kLimit && added < kLimit && y < kLimit ? y * 1.01 : kUnknown;
  };
  if (!looks || within() < kLimit) return within();
  x = look(in.x);
  if (in.added != nullptr && within() == kUnknown) added = look(*in.added);
  return within();
}

}  // namespace rung
