// A quantizer of one's own: its scale is a power of two, so that hardware divides by shifting. It is
// chosen by name, trained, saved and exported like those of the library.

#include <rung/rung.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string_view>
#include <vector>

using namespace rung;

namespace {

/// An affine grid whose scale is the next larger power of two. RangeQuantizer has the rest: "min"
/// and "max" as parameters, rounding, and gradients that take the step for its own rounding.
class PowerOfTwoScale final : public RangeQuantizer {
 public:
  explicit PowerOfTwoScale(const QuantizerOptions& options) : RangeQuantizer(options) {}

  // 1. Its name, which files and schemes know it by.
  std::string_view kind() const override { return "power_of_two_scale"; }

  // 2. What its parameters mean: from a range to scale and offset, per channel or for the tensor.
  Encoding encoding(ParameterView parameters) const override {
    const auto min = parameters[0], max = parameters[1];
    Encoding e = encoding_from_range(min, max, bitwidth(), resolved_symmetry(), granularity());
    for (std::size_t c = 0; c < e.scale.size(); ++c) {
      e.scale[c] = std::exp2(std::ceil(std::log2(e.scale[c])));
      if (e.symmetry == Symmetry::asymmetric)
        e.offset[c] = static_cast<std::int64_t>(std::nearbyint(min[c] / e.scale[c]));
    }
    return e;
  }

  std::unique_ptr<Quantizer> clone() const override {
    return std::make_unique<PowerOfTwoScale>(*this);
  }
};

}  // namespace

int main() {
  // 3. Known by name from here on. rung's own command line does not load code; a program does this.
  register_quantizer("power_of_two_scale", [](const QuantizerOptions& options) {
    return std::make_unique<PowerOfTwoScale>(options);
  });

  // 4. A scheme is three choices: who finds ranges, who quantizes, and whether training moves them.
  const QuantScheme scheme{
      .estimator = "min_max", .quantizer = "power_of_two_scale", .learn = true};
  Graph model = models::lenet({.in_channels = 1, .num_classes = 4, .image_size = 28}, Rng(1));
  QuantizationSimModel sim(model, {.quant_scheme = scheme, .default_output_bw = 4});
  Tensor images(Shape{8, 1, 28, 28});
  Rng rng(2);
  for (float& pixel : images.data()) pixel = static_cast<float>(rng.normal());
  sim.compute_encodings([&](Executor& executor) { executor.forward(images); });
  for (const QuantizerHandle& each : sim.quantizers())
    std::cout << each.name() << ": " << each.encoding() << "\n";

  // 5. Its ranges are parameters: any optimizer trains them.
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.01});
  const Tensor logits = sim.executor().forward(images, Mode::train);
  const std::vector<std::int64_t> labels{0, 1, 2, 3, 0, 1, 2, 3};
  const nn::Loss loss = nn::cross_entropy(logits, labels);
  sim.executor().backward(loss.gradient);
  sgd.step();

  // 6. What is saved comes back, for programs that have registered the name.
  const auto path = std::filesystem::temp_directory_path() / "rung_tutorial_quantizer.rung";
  save_checkpoint(sim, path.string());
  QuantizationSimModel back = load_checkpoint(path.string());
  std::filesystem::remove(path);
  const bool same = equal(back.executor().forward(images), sim.executor().forward(images));
  std::cout << (same ? "the loaded model computes the same\n" : "the loaded model differs\n");
  return same ? 0 : 1;
}
