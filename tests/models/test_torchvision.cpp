#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "core/check.h"
#include "golden/golden.h"
#include "rung/exec/executor.h"
#include "rung/models.h"

// The models against torchvision's: tests/golden/zoo/make.py says how weights and images are made.

namespace rung::test {
namespace {

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t value = 0xcbf29ce484222325;
  for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return value;
}

/// Fills with float32 in [-1, 1) that depend on name and index only.
void fill_uniform(std::span<float> out, std::string_view name) {
  std::uint64_t state = fnv1a(name);
  for (float& value : out) {
    std::uint64_t h = state += 0x9e3779b97f4a7c15;
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9;
    h = (h ^ (h >> 27)) * 0x94d049bb133111eb;
    h ^= h >> 31;
    value = static_cast<float>(h >> 40) * 0x1p-23f - 1.0f;
  }
}

void fill_parameter(Parameter& parameter, double gain) {
  const std::string& name = parameter.name();
  const std::span<float> values = parameter.edit().data();
  fill_uniform(values, name);
  const Shape& shape = parameter.shape();
  if (name.ends_with(".weight") && shape.rank() > 1) {
    const auto fan_in = static_cast<double>(shape.numel() / shape[0]);
    const auto a = static_cast<float>(std::sqrt(3.0 * gain / fan_in));
    for (float& value : values) value *= a;
    return;
  }
  const bool around_one = name.ends_with(".weight") || name.ends_with(".running_var");
  for (float& value : values) value = value * 0.25f + (around_one ? 1.0f : 0.0f);
}

std::string names_hash(const Graph& graph) {
  std::string lines;
  for (const Parameter* parameter : graph.parameters())
    lines += fmt::format("{} {}\n", parameter->name(), fmt::join(parameter->shape().dims(), ","));
  return fmt::format("{:016x}", fnv1a(lines));
}

}  // namespace

TEST_SUITE("models") {
  TEST_CASE("models answer what torchvision's answer, with its names, shapes and counts") {
    const nlohmann::json expected = golden::json("zoo/expected.json");
    std::map<std::string, std::int64_t> counts;
    for (const models::ModelInfo& info : models::list()) counts[info.name] = info.parameters;
    golden::Report report("torchvision's models");
    double worst = 0.0;
    for (const auto& [name, model] : expected.items()) {
      CAPTURE(name);
      CHECK(counts.at(name) == model.at("parameters_with_1000_classes").get<std::int64_t>());
      const std::int64_t size = model.at("size");
      Graph graph = models::build(name, {.num_classes = 10, .image_size = size});
      REQUIRE(names_hash(graph) == model.at("names").get<std::string>());
      for (Parameter* parameter : graph.parameters()) fill_parameter(*parameter, model.at("gain"));

      Tensor images(Shape{model.at("images"), 3, size, size});
      fill_uniform(images.data(), "input");
      Executor executor(graph);
      const Tensor logits = executor.forward(images, Mode::eval);
      std::vector<double> wanted;
      for (const auto& row : model.at("logits"))
        for (const double value : row) wanted.push_back(value);
      REQUIRE(static_cast<std::size_t>(logits.numel()) == wanted.size());
      double scale = 0.0, difference = 0.0;
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        scale = std::max(scale, std::abs(wanted[i]));
        difference = std::max(difference, std::abs(logits.data()[i] - wanted[i]));
      }
      CHECK(difference <= 1e-4 * scale);
      worst = std::max(worst, difference / scale);
      report.add(wanted.size());
    }
    report.note(fmt::format("worst difference {:.1e} of the largest logit", worst));
  }
}

}  // namespace rung::test
