#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_sim.h"
#include "rung/exec/executor.h"
#include "rung/nn/data.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/quantsim.h"
#include "support/ptq_helpers.h"

using namespace rung;

namespace {

constexpr std::int64_t kImages = 22;  // in batches of 8: the last one is smaller

/// Random images; image `bad` is NaN.
class Noise final : public nn::Dataset {
 public:
  explicit Noise(Shape shape, std::int64_t bad = -1) : shape_(std::move(shape)), bad_(bad) {}
  std::int64_t size() const override { return kImages; }
  Shape image_shape() const override { return shape_; }
  std::int64_t num_classes() const override { return 1; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    Rng rng = Rng(3).split(static_cast<std::uint64_t>(index));
    image.resize(shape_[0], shape_[1], shape_[2]);
    for (float& p : image.pixels) p = static_cast<float>(rng.normal() + 0.5);
    if (index == bad_) image.pixels[0] = std::numeric_limits<float>::quiet_NaN();
    return 0;
  }

 private:
  Shape shape_;
  std::int64_t bad_;
};

nn::DataLoader loader(const Shape& image, std::int64_t bad = -1) {
  return nn::DataLoader(
      {.dataset = std::make_shared<Noise>(image, bad), .batch_size = 8, .workers = 0});
}

const Shape kImage{3, 6, 6};

/// dropout -> conv1 -> bn1 -> relu -> conv2 -> bn2
Graph two_norms(bool with_dropout = true) {
  Graph graph;
  Var x = graph.input("x", {1, 3, 6, 6});
  if (with_dropout) x = nn::dropout(x, {}, "dropout");
  x = nn::conv2d(x, {.out_channels = 5, .kernel = 3, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
  x = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv2");
  graph.set_outputs({nn::batch_norm2d(x, {.momentum = 0.25f}, "bn2")});
  randomize(graph, Rng(1));
  return graph;
}

/// All running statistics, in order.
std::vector<float> statistics(const Graph& graph) {
  std::vector<float> all;
  for (const Parameter* parameter : graph.parameters(Role::buffer))
    for (const float v : parameter->value().data()) all.push_back(v);
  return all;
}

/// The average over the first batches of what a training forward with momentum 1 leaves behind.
std::vector<float> expected_statistics(const Graph& graph, std::int64_t batches) {
  Graph copy = graph.clone();
  for (Node* node : copy.nodes())
    if (auto* norm = node->as<BatchNormalization>()) norm->momentum = 1.0f, norm->frozen = false;
  copy.touch();
  Executor executor(copy);
  std::vector<double> sums(statistics(copy).size());
  nn::DataLoader images = loader(kImage);
  for (const nn::Batch& batch : images.take(batches)) {
    executor.forward(batch.images, Mode::train);
    const std::vector<float> one = statistics(copy);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += one[i];
  }
  std::vector<float> result;
  for (const double sum : sums) result.push_back(static_cast<float>(sum / double(batches)));
  return result;
}

}  // namespace

TEST_SUITE("ptq: re-estimating batch norms") {
  TEST_CASE("statistics become the plain average of the batches' means and unbiased variances") {
    Graph graph;
    graph.set_outputs({nn::batch_norm2d(graph.input("x", {1, 3, 6, 6}), {}, "bn")});
    randomize(graph, Rng(1));
    Executor executor(graph);
    nn::DataLoader images = loader(kImage);
    std::vector<double> means(3), variances(3);
    for (const nn::Batch& batch : images) {
      const std::int64_t n = batch.size(), count = n * 36;
      for (std::int64_t c = 0; c < 3; ++c) {
        double sum = 0, squares = 0;
        const auto each = [&](const auto& body) {
          for (std::int64_t i = 0; i < n; ++i)
            for (std::int64_t p = 0; p < 36; ++p)
              body(double{batch.images.data()[static_cast<std::size_t>((i * 3 + c) * 36 + p)]});
        };
        each([&](double v) { sum += v; });
        each([&](double v) { squares += std::pow(v - sum / double(count), 2); });
        means[static_cast<std::size_t>(c)] += sum / double(count) / 3;
        variances[static_cast<std::size_t>(c)] += squares / double(count - 1) / 3;
      }
    }
    ptq::reestimate_bn_stats(executor, images);
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(graph.parameter("bn.running_mean").value().data()[c] ==
            doctest::Approx(means[c]).epsilon(1e-5));
      CHECK(graph.parameter("bn.running_var").value().data()[c] ==
            doctest::Approx(variances[c]).epsilon(1e-5));
    }
  }

  TEST_CASE("batch norms feed each other with batch statistics, dropout does not run") {
    Graph graph = two_norms();
    Executor executor(graph);
    nn::DataLoader images = loader(kImage);
    std::vector<std::string> progress;
    ptq::reestimate_bn_stats(
        executor, images, {.on_progress = [&](std::int64_t batch, std::int64_t batches) {
          progress.push_back(std::to_string(batch) + "/" + std::to_string(batches));
        }});
    CHECK(statistics(graph) == expected_statistics(two_norms(false), 3));
    CHECK(progress == std::vector<std::string>{"1/3", "2/3", "3/3"});

    Graph fewer = two_norms();
    Executor other(fewer);
    nn::DataLoader again = loader(kImage);
    ptq::reestimate_bn_stats(other, again, {.num_batches = 2});
    CHECK(statistics(fewer) == expected_statistics(two_norms(false), 2));
  }

  TEST_CASE("only the statistics change, of frozen batch norms too; old ones that are NaN go") {
    Graph graph = two_norms();
    graph.node("bn1").as<BatchNormalization>()->frozen = true;
    graph.touch();
    graph.parameter("bn2.running_var").edit().fill(std::numeric_limits<float>::quiet_NaN());
    Graph before = graph.clone();
    Executor executor(graph);
    nn::DataLoader images = loader(kImage);
    ptq::reestimate_bn_stats(executor, images);
    CHECK(statistics(graph) == expected_statistics(two_norms(false), 3));
    CHECK(graph.to_string() == before.to_string());  // momentum, frozen
    for (const Parameter* parameter : graph.parameters())
      if (parameter->role() != Role::buffer)
        CHECK(values(parameter->value()) == values(before.parameter(parameter->name()).value()));

    // Evaluation uses the new statistics, training moves them by momentum again.
    const std::vector<float> now = statistics(graph);
    executor.forward(random_input({4, 3, 6, 6}, Rng(8)));
    CHECK(statistics(graph) == now);
    executor.forward(random_input({4, 3, 6, 6}, Rng(8)), Mode::train);
    const std::vector<float> later = statistics(graph);
    CHECK(later != now);
    CHECK(later[0] == now[0]);  // bn1 is frozen
  }

  TEST_CASE("undo puts the old statistics back, once") {
    Graph graph = two_norms();
    const std::vector<float> old = statistics(graph);
    const Tensor x = random_input({4, 3, 6, 6}, Rng(8));
    Executor executor(graph);
    const std::vector<float> output = values(executor.forward(x));
    nn::DataLoader images = loader(kImage);
    ptq::ReestimationHandle handle = ptq::reestimate_bn_stats(executor, images);
    const std::vector<float> fresh = statistics(graph);
    CHECK(fresh != old);
    CHECK(values(executor.forward(x)) != output);
    handle.undo();
    CHECK(statistics(graph) == old);
    CHECK(values(executor.forward(x)) == output);
    ptq::reestimate_bn_stats(executor, images);
    handle.undo();
    CHECK(statistics(graph) == fresh);

    ptq::ReestimationHandle late = ptq::reestimate_bn_stats(executor, images);
    ptq::fold_all_batch_norms(graph);
    check_refused(graph, "running_mean is gone", [&] { late.undo(); });
  }

  TEST_CASE("whatever goes wrong, the old statistics are back and evaluation is as before") {
    Graph graph = two_norms();
    const std::string before = fingerprint(graph);
    const Tensor x = random_input({4, 3, 6, 6}, Rng(8));
    Executor executor(graph);
    const std::vector<float> output = values(executor.forward(x));
    const auto check = [&](const std::string& text, nn::DataLoader images,
                           const ptq::ReestimateOptions& options = {}) {
      check_refused(graph, text, [&] { ptq::reestimate_bn_stats(executor, images, options); });
      CHECK(values(executor.forward(x)) == output);
    };
    check("bn1.running_mean of channel 0 became nan", loader(kImage, /*bad=*/9));
    check("input x must have rank", loader(kImage), {.forward = [](Executor& e, const nn::Batch&) {
            e.forward(Tensor(Shape{2, 2}));
          }});
    check("no data", loader(kImage), {.forward = [](Executor&, const nn::Batch&) {}});
    check("disk on fire", loader(kImage), {.on_progress = [](std::int64_t batch, std::int64_t) {
            if (batch == 2) throw Error("disk on fire");
          }});
    check("num_batches must be positive", loader(kImage), {.num_batches = 0});

    Graph none;
    none.set_outputs({nn::relu(none.input("x", {1, 3, 6, 6}), "relu")});
    Executor plain(none);
    nn::DataLoader images = loader(kImage);
    check_refused(none, "no batch norm", [&] { ptq::reestimate_bn_stats(plain, images); });
  }

  TEST_CASE("batch norms that folding has made trivial stay as they are") {
    Graph graph;
    Var x = nn::relu(nn::batch_norm2d(graph.input("x", {1, 3, 6, 6}), {}, "alone"), "relu");
    x = nn::add(nn::batch_norm2d(x, {}, "bn"), x, "add");
    graph.set_outputs({x});
    randomize(graph, Rng(1));
    ptq::fold_all_batch_norms(graph);
    Executor executor(graph);
    nn::DataLoader images = loader(kImage);
    check_refused(graph, "no batch norm", [&] { ptq::reestimate_bn_stats(executor, images); });
  }

  TEST_CASE("in a sim, statistics are those behind quantized weights and activations") {
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.folded || run.param_bw != 4 || !run.learns()) continue;
      CAPTURE(run.name);
      QuantizationSimModel sim = golden::make_sim(run);
      golden::calibrate(sim, run, data);
      const std::vector<float> old = statistics(sim.graph());
      const Tensor x = golden::tensor(data.at("x3"));
      const std::vector<float> output = values(sim.executor().forward(x));
      nn::DataLoader images = loader({3, 20, 20});
      const auto handle = ptq::reestimate_bn_stats(sim.executor(), images);

      // The first batch norm sees conv1 of quantized images with quantized weights.
      Graph conv;
      Var y = conv.input("x", {1, 3, 20, 20});
      y = nn::conv2d(y, {.out_channels = 8, .kernel = 3, .padding = 1, .bias = false}, "conv1");
      conv.set_outputs({nn::batch_norm2d(y, {}, "bn1")});
      conv.parameter("conv1.weight")
          .edit()
          .copy_from(quantize_dequantize(sim.graph().parameter("conv1.weight").value(),
                                         sim.quantizer("conv1.weight").encoding()));
      Executor executor(conv);
      nn::DataLoader same = loader({3, 20, 20});
      const Encoding input = sim.quantizer("conv1.input0").encoding();
      ptq::reestimate_bn_stats(executor, same,
                               {.forward = [&](Executor& e, const nn::Batch& batch) {
                                 e.forward(quantize_dequantize(batch.images, input));
                               }});
      for (const char* name : {"bn1.running_mean", "bn1.running_var"})
        check_equal(conv.parameter(name).value(), sim.graph().parameter(name).value(), 1e-5);
      CHECK(statistics(sim.graph()) != old);
      CHECK(values(sim.executor().forward(x)) != output);
      ptq::ReestimationHandle(handle).undo();
      CHECK(values(sim.executor().forward(x)) == output);
    }
  }

  TEST_CASE("AIMET's order after training with batch norms: re-estimate, fold to scale, evaluate") {
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    for (const golden::SimRun& run : golden::sim_runs()) {
      if (run.folded || !run.learns() || run.config != "default_config_per_channel") continue;
      CAPTURE(run.name);
      QuantizationSimModel sim = golden::make_sim(run);
      golden::calibrate(sim, run, data);
      nn::DataLoader images = loader({3, 20, 20});
      ptq::reestimate_bn_stats(sim.executor(), images);
      const Tensor x = golden::tensor(data.at("x3"));
      const Tensor before = sim.executor().forward(x);
      CHECK(ptq::fold_all_batch_norms_to_scale(sim).folded.size() == 9);
      const auto d = golden::difference(golden::doubles(before.data()),
                                        golden::doubles(sim.executor().forward(x).data()));
      CHECK(d.mean <= 1e-3);
    }
  }
}
