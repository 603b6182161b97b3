#include <doctest/doctest.h>
#include <omp.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "rung/io/onnx_import.h"
#include "rung/nn/optim.h"
#include "rung/ops/layers.h"
#include "rung/quant/registry.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

struct Gradients {
  std::vector<float> dx, dmin, dmax;
};

/// The definition, number by number: y = Q(clip(x, min, alpha)), or clip(x, -alpha, alpha).
Gradients naive(const Tensor& x, const Tensor& dy, const Quantizer& quantizer,
                const std::vector<float>& min, const std::vector<float>& max) {
  const bool symmetric = quantizer.symmetry() != Symmetry::asymmetric;
  Gradients g{{}, std::vector<float>(min.size()), std::vector<float>(max.size())};
  std::vector<double> dalpha(max.size(), 0.0);
  const std::int64_t inner = x.size(1) * x.size(2), channels = std::ssize(min);
  for (std::int64_t i = 0; i < x.shape().numel(); ++i) {
    const auto c = static_cast<std::size_t>(channels == 1 ? 0 : i / inner);
    const float value = x.data()[static_cast<std::size_t>(i)];
    const float gradient = dy.data()[static_cast<std::size_t>(i)];
    const bool passes = min[c] <= value && value < max[c];
    g.dx.push_back(passes ? gradient : 0.0f);
    if (value >= max[c]) dalpha[c] += gradient;
    if (value < min[c] && symmetric) dalpha[c] -= gradient;
  }
  for (std::size_t c = 0; c < dalpha.size(); ++c) {
    g.dmax[c] = static_cast<float>(symmetric ? dalpha[c] / 2 : dalpha[c]);
    g.dmin[c] = static_cast<float>(symmetric ? -dalpha[c] / 2 : 0.0);
  }
  return g;
}

Gradients gradients(const Quantizer& quantizer, const Tensor& x, const Tensor& dy,
                    const std::vector<float>& min, const std::vector<float>& max) {
  Gradients g{std::vector<float>(x.data().size()), std::vector<float>(min.size()),
              std::vector<float>(max.size())};
  const std::vector<std::span<const float>> parameters{min, max};
  const std::vector<std::span<float>> wanted{g.dmin, g.dmax};
  quantizer.backward({x.data(), dy.data(), x.shape(), parameters, g.dx, wanted});
  return g;
}

Tensor row(std::vector<float> numbers) {
  Tensor tensor(Shape{1, 1, std::ssize(numbers)});
  std::ranges::copy(numbers, tensor.data().begin());
  return tensor;
}

const QuantScheme kPact{.estimator = "min_max", .quantizer = "pact", .learn = true};

}  // namespace

TEST_SUITE("quant: PACT") {
  TEST_CASE("by hand: alpha gets the gradients of what lies at it or above") {
    const auto behind_relu = make_quantizer("pact", {.bitwidth = 4});
    const Gradients g = gradients(*behind_relu, row({0.0f, 0.2f, 1.0f, 1.5f, 2.0f, -0.5f}),
                                  row({1, 2, 3, 4, 5, 6}), {0.0f}, {1.5f});
    CHECK(g.dx == std::vector<float>{1, 2, 3, 0, 0, 0});
    CHECK(g.dmax == std::vector<float>{9});
    CHECK(g.dmin == std::vector<float>{0});

    const auto weight = make_quantizer("pact", {.bitwidth = 4, .symmetry = Symmetry::symmetric});
    const Gradients both = gradients(*weight, row({-3.0f, -0.5f, 0.5f, 1.0f, 4.0f}),
                                     row({1, 2, 3, 4, 5}), {-1.0f}, {1.0f});
    CHECK(both.dx == std::vector<float>{0, 2, 3, 0, 0});
    CHECK(both.dmax == std::vector<float>{4});  // (4 + 5 - 1) / 2: alpha = (max - min) / 2
    CHECK(both.dmin == std::vector<float>{-4});
  }

  TEST_CASE("it rounds as affine does, and its gradients are those of the definition") {
    for (const Symmetry symmetry :
         {Symmetry::asymmetric, Symmetry::symmetric, Symmetry::strict_symmetric})
      for (const bool per_channel : {false, true}) {
        const QuantizerOptions options{
            .bitwidth = 4,
            .symmetry = symmetry,
            .axis = per_channel ? std::optional<std::int64_t>(0) : std::nullopt,
            .channels = per_channel ? 3 : 1};
        const auto pact = make_quantizer("pact", options);
        pact->resolve({-1, 1});
        const Tensor x = normal({3, 50, 400}, 1), dy = normal({3, 50, 400}, 2);
        const std::size_t count = per_channel ? 3 : 1;
        std::vector<float> min(count), max(count);
        for (std::size_t c = 0; c < count; ++c) {
          max[c] = 0.8f + 0.3f * static_cast<float>(c);
          min[c] = symmetry == Symmetry::asymmetric ? -0.5f : -max[c];
        }
        const Gradients wanted = naive(x, dy, *pact, min, max);
        const int before = omp_get_max_threads();
        for (const int threads : {1, 2}) {
          omp_set_num_threads(threads);
          const Gradients got = gradients(*pact, x, dy, min, max);
          CHECK(got.dx == wanted.dx);
          for (std::size_t c = 0; c < count; ++c) {
            CHECK(got.dmax[c] == doctest::Approx(wanted.dmax[c]).epsilon(1e-5));
            CHECK(got.dmin[c] == doctest::Approx(wanted.dmin[c]).epsilon(1e-5));
          }
        }
        omp_set_num_threads(before);

        const std::vector<std::span<const float>> parameters{min, max};
        Tensor affine(x.shape()), own(x.shape());
        const auto reference = make_quantizer("affine", options);
        reference->resolve({-1, 1});
        reference->forward({x.data(), x.shape(), parameters, affine.data()});
        pact->forward({x.data(), x.shape(), parameters, own.data()});
        CHECK(std::ranges::equal(own.data(), affine.data()));
      }
  }

  TEST_CASE("a sim trains alpha, keeps min, comes back from a file and exports its codes") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = kPact, .default_output_bw = 4});
    calibrate_small_net(sim);
    const QuantizerHandle relu = sim.quantizer("relu1");
    CHECK(to_string(relu.op().quantizer()) == "pact");
    CHECK_FALSE(relu.parameters()[0]->requires_grad());
    CHECK(relu.parameters()[1]->requires_grad());
    CHECK(sim.quantizer("conv1.weight").parameters()[0]->requires_grad());

    // alpha of what is clipped follows its gradient: the sum over the positions it clips.
    sim.quantizer("relu1").set_range({0.0f, 0.5f});
    const Tensor x = random_tensor({4, 2, 6, 6}, 3);
    const Tensor y = sim.executor().forward(x, Mode::train);
    const Tensor dy = random_tensor(y.shape(), 4);
    for (Parameter* parameter : sim.graph().parameters()) parameter->zero_grad();
    sim.executor().backward(dy);
    CHECK(relu.parameters()[1]->grad().item() != 0.0f);
    const float before = relu.ranges()[0].max;
    nn::Sgd(sim.graph().parameters(Role::encoding), {.lr = 0.01}).step();
    CHECK(relu.ranges()[0].max ==
          doctest::Approx(before - 0.01f * relu.parameters()[1]->grad().item()));
    CHECK(relu.ranges()[0].min == 0.0f);

    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("pact.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("pact.rung"));
    CHECK(back.options().quant_scheme == kPact);
    CHECK(fingerprint(back) == fingerprint(sim));
    CHECK(run_small_net(back) == run_small_net(sim));
    sim.export_to(folder.path(), "pact", {.export_qdq_onnx = true});
    Graph imported = io::load_onnx(folder.path("pact_qdq.onnx"));
    Executor executor(imported);
    const std::vector<float> own = run_small_net(sim);
    const Tensor out = executor.forward(random_tensor({4, 2, 6, 6}, 3));
    for (std::size_t i = 0; i < own.size(); ++i)
      CHECK(out.data()[i] == doctest::Approx(own[i]).epsilon(1e-4));
  }
}
