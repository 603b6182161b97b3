#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace rung {

/// The weight of a layer: what makes its output channels.
struct Weighted {
  std::size_t weight = 1;  ///< the input that it is
  /// The input that is added to the output channels; a node may lack it. None: no node has one, and
  /// the op is no layer whose channels can be scaled one by one.
  std::optional<std::size_t> bias = 2;
  /// The axis of the weight that the output channels lie along; -1: the last one.
  std::int64_t output_axis = 0;
};

/// What the numbers of an op's first output are. From `some_of_input` on the encoding of the first
/// input holds behind the op, too.
enum class Result {
  computed,        ///< numbers of its own
  truth,           ///< 1 and 0: they have no range
  some_of_input,   ///< numbers of the first input, some perhaps repeated, and zeros
  all_of_input,    ///< each number of the first input once, in another order
  input_in_order,  ///< each number of the first input once, in the order that it had
};

/// How the parameters of an op begin (nn::init_parameters); each is named after its inputs.
enum class FirstValues {
  given,       ///< as they were when they were added
  image,       ///< weight and bias by InitOptions::conv
  matrix,      ///< weight and bias by InitOptions::linear
  uniform,     ///< weight and bias uniform by the fan in, whatever the scheme
  recurrent,   ///< weight, recurrence and bias uniform by the size of the state
  statistics,  ///< weight 1, bias 0, mean 0, variance 1
};

/// What passes over a graph have to know of an op without knowing the op.
struct Traits {
  std::optional<Weighted> weighted = {};
  Result result = Result::computed;
  FirstValues first_values = FirstValues::given;
  /// Adds, subtracts, multiplies or divides two tensors number by number: runtimes have constants
  /// among them with one scale.
  bool arithmetic = false;

  /// True if an encoding of the first input holds behind the op. AIMET: grid-preserving ops.
  constexpr bool grid_preserving() const { return result >= Result::some_of_input; }
  /// True if the op only gives numbers another shape or order. AIMET: math-invariant ops.
  constexpr bool math_invariant() const { return result >= Result::all_of_input; }
};

}  // namespace rung
