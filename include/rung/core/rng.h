#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "rung/core/export.h"

namespace rung {

/// A small, portable random generator (SplitMix64): the same seed gives the same numbers on every
/// machine, and its whole state is one integer, so that it can be stored and restored.
class RUNG_API Rng {
 public:
  explicit Rng(std::uint64_t seed = 0) : state_(seed) {}

  /// Returns an independent generator for a purpose ("init", "data") or an index; does not advance
  /// this one, so that adding a purpose never changes the numbers of another.
  Rng split(std::string_view purpose) const;
  Rng split(std::uint64_t index) const;

  std::uint64_t next();                     ///< 64 random bits
  double uniform();                         ///< in [0, 1), 53 bits
  double uniform(double low, double high);  ///< in [low, high)
  std::uint64_t below(std::uint64_t n);     ///< in [0, n), unbiased; n > 0
  double normal();                          ///< mean 0, standard deviation 1 (Box-Muller)
  bool bernoulli(double probability) { return uniform() < probability; }
  void shuffle(std::span<std::int64_t> values);  ///< Fisher-Yates

  std::uint64_t state() const { return state_; }
  void set_state(std::uint64_t state) { state_ = state; }

 private:
  std::uint64_t state_;
};

}  // namespace rung
