#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/core/tensor.h"
#include "rung/graph/graph.h"
#include "support/message_of.h"

// What the tests of ptq have in common.

/// Gives every parameter values that a careless formula would not survive.
inline void randomize(rung::Graph& graph, rung::Rng rng) {
  for (rung::Parameter* parameter : graph.parameters()) {
    const bool positive = parameter->name().ends_with("running_var");
    for (float& v : parameter->edit().data())
      v = static_cast<float>(positive ? rng.uniform(0.2, 3.0) : rng.normal());
  }
}

inline rung::Tensor random_input(const rung::Shape& shape, rung::Rng rng) {
  rung::Tensor x(shape);
  for (float& v : x.data()) v = static_cast<float>(rng.normal());
  return x;
}

/// Checks that two tensors differ by at most `tolerance` of the largest element.
inline void check_equal(const rung::ConstTensor& a, const rung::ConstTensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0, worst = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const auto k = static_cast<std::size_t>(i);
    largest = std::max<double>(largest, std::abs(a.data()[k]));
    worst = std::max<double>(worst, std::abs(a.data()[k] - b.data()[k]));
  }
  CHECK(largest > 0);
  CHECK(worst <= tolerance * largest);
}

inline std::vector<float> values(const rung::ConstTensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

/// Everything that folding may change, as text: structure, attributes and every number.
inline std::string fingerprint(const rung::Graph& graph) {
  std::string text = graph.to_string();
  for (const rung::Parameter* parameter : graph.parameters()) {
    text += parameter->name();
    for (const float v : parameter->value().data()) {
      char number[32];
      std::snprintf(number, sizeof number, " %a", double{v});
      text += number;
    }
    text += '\n';
  }
  return text;
}

inline std::size_t count(const rung::Graph& graph, std::string_view type) {
  return static_cast<std::size_t>(std::ranges::count_if(
      graph.nodes(), [&](const rung::Node* node) { return node->type() == type; }));
}

/// Checks that `call` throws an Error that contains `text` and leaves the graph as it was.
inline void check_refused(const rung::Graph& graph, const std::string& text, const auto& call) {
  const std::string before = fingerprint(graph);
  const std::string message = message_of(call);
  CHECK_MESSAGE(message.find(text) != std::string::npos, message);
  CHECK(fingerprint(graph) == before);
  graph.check();
}
