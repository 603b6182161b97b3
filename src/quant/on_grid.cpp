#include "quant/on_grid.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>

#include "quant/channels.h"

// Numbers on a grid are whole multiples of its step, so the step is the largest magnitude divided
// by a whole number k. Which k? If some code is +-1, it is the largest magnitude over the smallest;
// if two codes follow each other, over the smallest gap. Both guesses of all blocks are tried on
// every block, for float32 moves each of them a little; the smallest k that fits as well as any is
// the coarsest grid. The median of number / code, then least squares, give the step.
//
// The float32 operations and the limits are those of AIMET 2.42, whose verdict near the limits
// hangs on them; sums are in double.

namespace rung {
namespace {

constexpr float kNothing = 1e-12f;      // smaller magnitudes count as zero
constexpr float kMostOff = 0.05f;       // share of a block's numbers that may miss the grid
constexpr float kAsFew = 0.005f;        // candidates that miss by so much more are as good
constexpr float kAsClose = 1.5f;        // so are those this many times as far away on average
constexpr double kMostFitting = 0.9;    // share of the blocks that must fit
constexpr double kLargestError = 1e-3;  // of the whole tensor, relative
constexpr std::int64_t kReach = 2;      // candidates on either side of a guess
constexpr int kRefinements = 4;

/// Numbers that share a scale.
struct Block {
  std::vector<float> x;
  float largest = 0.0f;   ///< magnitude
  float smallest = 0.0f;  ///< magnitude of what is not zero; 0: all are
  bool is_zero() const { return smallest == 0.0f; }
};

std::vector<Block> blocks_of(std::span<const float> x, const Shape& shape,
                             const Granularity& granularity) {
  std::vector<Block> blocks(static_cast<std::size_t>(granularity.count()));
  for_each_run(ChannelRuns(shape, granularity), x,
               [&](std::size_t channel, std::span<const float> run) {
                 Block& block = blocks[channel];
                 block.x.insert(block.x.end(), run.begin(), run.end());
               });
  for (Block& block : blocks)
    for (const float each : block.x) {
      const float magnitude = std::abs(each);
      block.largest = std::max(block.largest, magnitude);
      if (magnitude > 0.0f && (block.is_zero() || magnitude < block.smallest))
        block.smallest = magnitude;
    }
  return blocks;
}

std::vector<float> sorted_magnitudes(std::span<const float> x) {
  std::vector<float> magnitudes;
  for (const float each : x) magnitudes.push_back(std::abs(each));
  std::ranges::sort(magnitudes);
  return magnitudes;
}

/// True if the beginnings of the first blocks already have more magnitudes than a grid has.
bool has_too_many(const std::vector<Block>& blocks, std::size_t levels) {
  constexpr std::size_t kLooked = 64;
  return std::any_of(
      blocks.begin(), blocks.begin() + std::min(kLooked, blocks.size()), [&](const Block& block) {
        if (block.x.size() <= levels) return false;
        std::vector<float> seen =
            sorted_magnitudes(std::span(block.x).first(std::min(2 * levels, block.x.size())));
        seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
        return seen.size() > levels;
      });
}

/// Returns the relative error with which the numbers were stored: short floats leave the last bits
/// of all of them zero.
double storage_error(const std::vector<Block>& blocks) {
  std::uint32_t bits = 0;
  for (const Block& block : blocks)
    for (const float each : block.x)
      if (each != 0.0f) bits |= std::bit_cast<std::uint32_t>(each);
  if (bits == 0) return 0x1p-20;
  if ((bits & 0xffff) == 0) return 0x1p-8;   // bfloat16
  if ((bits & 0x1fff) == 0) return 0x1p-11;  // float16
  return 0x1p-20;
}

/// Returns the smallest gap between magnitudes; the largest one if there is none.
float smallest_gap(const Block& block) {
  const std::vector<float> sorted = sorted_magnitudes(block.x);
  float gap = std::numeric_limits<float>::infinity();
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (const float each = sorted[i] - sorted[i - 1]; each > kNothing) gap = std::min(gap, each);
  return std::isfinite(gap) ? gap : std::max(block.largest, kNothing);
}

/// Lists the divisors to try, in ascending order.
std::vector<std::int64_t> divisors(const std::vector<Block>& blocks, std::int64_t most) {
  std::set<std::int64_t> found{1, most};
  const auto guess = [&](float quotient) {
    if (quotient > static_cast<float>(most + kReach)) return;
    const auto middle = static_cast<std::int64_t>(std::nearbyint(quotient));
    for (std::int64_t k = std::max<std::int64_t>(middle - kReach, 1);
         k <= std::min(middle + kReach, most); ++k)
      found.insert(k);
  };
  for (const Block& block : blocks) {
    if (block.is_zero()) continue;
    guess(block.largest / std::max(block.smallest, kNothing));
    guess(block.largest / std::max(smallest_gap(block), kNothing));
  }
  return {found.begin(), found.end()};
}

/// How well a block's numbers are whole multiples of a step.
struct Fit {
  std::int64_t divisor = 1;
  float off = 1.0f;       ///< share of the numbers that miss by more than they were rounded
  float distance = 1.0f;  ///< mean, in steps
};

/// Returns how a divisor fits. `is_hasty`: nothing as soon as it cannot be one that is accepted.
std::optional<Fit> fit(const Block& block, std::int64_t divisor, float noise, bool is_hasty) {
  const float step = std::max(block.largest / static_cast<float>(divisor), kNothing);
  const double hopeless = (kMostOff + 2 * kAsFew) * static_cast<double>(block.x.size());
  std::int64_t off = 0, numbers = 0;
  double distance = 0.0;
  for (const float each : block.x) {
    if (!(std::abs(each) > kNothing)) continue;
    ++numbers;
    const float multiple = each / step;
    const float miss = std::abs(std::nearbyint(multiple) - multiple);
    distance += miss;
    if (std::abs(multiple) * noise<miss&& static_cast<double>(++off)> hopeless && is_hasty)
      return std::nullopt;
  }
  const auto count = static_cast<float>(std::max<std::int64_t>(numbers, 1));
  return Fit{divisor, static_cast<float>(off) / count, static_cast<float>(distance) / count};
}

/// Returns the smallest divisor that is as good as any.
Fit best_fit(const Block& block, std::span<const std::int64_t> divisors, float noise,
             bool is_hasty) {
  std::vector<Fit> fits;
  float least_off = 1.0f;
  for (const std::int64_t divisor : divisors)
    if (const std::optional<Fit> each = fit(block, divisor, noise, is_hasty)) {
      fits.push_back(*each);
      least_off = std::min(least_off, each->off);
    }
  std::erase_if(fits, [&](const Fit& each) { return each.off > least_off + kAsFew; });
  if (fits.empty()) return {};
  const float closest = std::ranges::min(fits, {}, &Fit::distance).distance;
  return *std::ranges::find_if(
      fits, [&](const Fit& each) { return each.distance <= closest * kAsClose; });
}

float code(float x, float scale, const Grid& grid) {
  return std::clamp(std::nearbyint(x / scale), static_cast<float>(grid.qmin),
                    static_cast<float>(grid.qmax));
}

double squared_error(const Block& block, float scale, const Grid& grid) {
  double sum = 0.0;
  for (const float each : block.x) {
    const float error = code(each, scale, grid) * scale - each;
    sum += double{error} * error;
  }
  return sum;
}

/// Returns the lower median of number / code, the codes being those of a first guess.
float median_scale(const Block& block, float guess, const Grid& grid) {
  std::vector<float> ratios;
  for (const float each : block.x)
    if (const float c = code(each, guess, grid); c != 0.0f && std::abs(each) > kNothing)
      ratios.push_back(std::abs(each / c));
  if (ratios.empty()) return guess;
  const auto middle = ratios.begin() + (std::ssize(ratios) - 1) / 2;
  std::ranges::nth_element(ratios, middle);
  return *middle > 0.0f ? *middle : guess;
}

float refined_scale(const Block& block, std::int64_t divisor, const Grid& grid) {
  float scale = median_scale(block, block.largest / static_cast<float>(divisor), grid);
  float best = scale;
  double least = squared_error(block, best, grid);
  for (int i = 0; i < kRefinements; ++i) {
    double products = 0.0, squares = 0.0;
    for (const float each : block.x) {
      const float c = code(each, scale, grid);
      products += double{each} * c;
      squares += double{c} * c;
    }
    const auto fitted = static_cast<float>(products / std::max(squares, double{kNothing}));
    if (fitted > kNothing) scale = fitted;
    const double error = squared_error(block, scale, grid);
    if (error >= least) continue;
    least = error;
    best = scale;
  }
  return best;
}

/// True if the codes mean the numbers, all blocks together.
bool means_the_same(const std::vector<Block>& blocks, std::span<const float> scales,
                    const Grid& grid, double storage) {
  double error = 0.0, norm = 0.0;
  bool has_code = false;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    error += squared_error(blocks[b], scales[b], grid);
    for (const float each : blocks[b].x) {
      norm += double{each} * each;
      has_code = has_code || code(each, scales[b], grid) != 0.0f;
    }
  }
  const double relative = std::sqrt(error) / std::max(std::sqrt(norm), double{kNothing});
  return has_code && relative <= std::max(5.0 * storage, kLargestError);
}

}  // namespace

std::optional<std::vector<Range>> ranges_of_grid(std::span<const float> x, const Shape& shape,
                                                 const Granularity& granularity, const Grid& grid) {
  const std::vector<Block> blocks = blocks_of(x, shape, granularity);
  const std::int64_t most = std::max(-grid.qmin, grid.qmax);
  if (blocks.empty() || has_too_many(blocks, static_cast<std::size_t>(most + 1)))
    return std::nullopt;
  const double storage = storage_error(blocks);
  const auto noise = static_cast<float>(3.0 * storage);
  const std::vector<std::int64_t> tried = divisors(blocks, most);
  const auto enough_fit = [&](std::size_t misfits) {  // a float32 mean, as AIMET's
    const auto all = static_cast<float>(blocks.size());
    return double{(all - static_cast<float>(misfits)) / all} >= kMostFitting;
  };

  std::vector<float> scales;
  std::size_t misfits = 0;
  for (const Block& block : blocks) {
    scales.push_back(grid.minimum_scale());
    if (block.is_zero()) continue;
    Fit best = best_fit(block, tried, noise, /*is_hasty=*/true);
    if (best.off > kMostOff) {
      if (!enough_fit(++misfits)) return std::nullopt;
      best = best_fit(block, tried, noise, /*is_hasty=*/false);
    }
    scales.back() = std::max(scales.back(), refined_scale(block, best.divisor, grid));
  }
  if (!means_the_same(blocks, scales, grid, storage)) return std::nullopt;
  std::vector<Range> ranges;
  for (const float scale : scales)
    ranges.push_back(
        {scale * static_cast<float>(grid.qmin), scale * static_cast<float>(grid.qmax)});
  return ranges;
}

}  // namespace rung
