// What calibrations see: each executor its own, in one thread or several, merged and saved.

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/ops/quantize_dequantize.h"
#include "support/message_of.h"
#include "support/quantsim_net.h"

using namespace rung;

namespace {

std::vector<Tensor> batches(std::uint64_t first) {
  std::vector<Tensor> all;
  for (std::uint64_t i = 0; i < 6; ++i) {
    all.push_back(random_tensor({4, 2, 6, 6}, first + i));
    for (float& value : all.back().data()) value *= static_cast<float>(first);
  }
  return all;
}

/// Observers of every quantizer behind a value.
Observers all_of(QuantizationSimModel& sim) {
  Observers observers;
  for (const QuantizerHandle& each : sim.quantizers())
    if (each.place() != QuantizerPlace::parameter) observers.observe(each.node(), each.name());
  return observers;
}

/// What an executor of its own sees of these batches.
std::string seen_by(QuantizationSimModel& sim, const std::vector<Tensor>& data) {
  Observers observers = all_of(sim);
  Executor executor(sim.graph());
  const auto observing = executor.observe(observers);
  for (const Tensor& batch : data) (void)executor.forward(batch);
  return calibration_state(observers);
}

QuantizationSimModel small_sim(QuantScheme scheme = QuantScheme::post_training_sqnr) {
  QuantizationSimModel sim(small_net(), {.quant_scheme = scheme});
  sim.compute_param_encodings();
  return sim;
}

/// x -> conv -> relu -> quantizer: one kernel in training.
struct Fused {
  Graph graph;
  Fused() {
    graph.set_seed(3);
    const Var x = graph.input("x", {2, 3, 8, 8});
    const Var y =
        nn::relu(nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv"), "relu");
    const Var q =
        nn::quantize_dequantize(y, std::make_unique<AffineQuantizer>(), make_min_max(), "q");
    graph.set_outputs({nn::conv2d(q, {.out_channels = 4, .kernel = 3}, "last")});
  }
  Node& node() { return graph.node("q"); }
  QuantizeDequantize& op() { return *node().as<QuantizeDequantize>(); }
};

}  // namespace

TEST_SUITE("quantsim: observers") {
  TEST_CASE("two executors that calibrate one graph do not mix, in turns and in two threads") {
    for (const QuantScheme& scheme :
         {QuantScheme::post_training_tf, QuantScheme::post_training_tf_enhanced,
          QuantScheme::post_training_percentile}) {
      QuantizationSimModel sim = small_sim(scheme);
      const std::vector<Tensor> small = batches(1), large = batches(50);
      const std::string alone_small = seen_by(sim, small), alone_large = seen_by(sim, large);
      REQUIRE(alone_small != alone_large);

      Observers a = all_of(sim), b = all_of(sim);
      Executor first(sim.graph()), second(sim.graph());
      {
        const auto in_first = first.observe(a), in_second = second.observe(b);
        for (std::size_t i = 0; i < small.size(); ++i) {
          (void)first.forward(small[i]);
          (void)second.forward(large[i]);
        }
      }
      CHECK(calibration_state(a) == alone_small);
      CHECK(calibration_state(b) == alone_large);

      std::string in_thread;
      std::thread thread([&] { in_thread = seen_by(sim, large); });
      const std::string here = seen_by(sim, small);
      thread.join();
      CHECK(here == alone_small);
      CHECK(in_thread == alone_large);
    }
  }

  TEST_CASE("another executor goes on quantizing while one is calibrated") {
    QuantizationSimModel sim = small_sim();
    calibrate_small_net(sim);
    Executor other(sim.graph());
    const Tensor x = random_tensor({4, 2, 6, 6}, 9);
    const Tensor quantized = other.forward(x);
    Observers observers = all_of(sim);
    const auto observing = sim.executor().observe(observers);
    CHECK(equal(other.forward(x), quantized));
    CHECK(observers.all().begin()->second.count() == 0);
    CHECK_FALSE(equal(sim.executor().forward(x), quantized));  // activations pass here
    CHECK(observers.all().begin()->second.count() > 0);
  }

  TEST_CASE("compute_encodings sees what its own executor runs, and what is merged") {
    const std::vector<Tensor> data = batches(2);
    QuantizationSimModel one = small_sim(QuantScheme::post_training_tf);
    one.compute_encodings([&](Executor& executor) {
      for (const Tensor& batch : data) (void)executor.forward(batch);
    });
    QuantizationSimModel two = small_sim(QuantScheme::post_training_tf);
    calibrate_small_net(two);  // so that others can quantize meanwhile
    two.compute_encodings([&](Executor& executor) {
      Executor other(two.graph());
      for (const Tensor& batch : batches(100)) (void)other.forward(batch);  // not seen
      Observers more = executor.observers()->fresh();
      std::thread thread([&] {
        Executor worker(two.graph());
        const auto observing = worker.observe(more);
        for (std::size_t i = 0; i < data.size(); i += 2) (void)worker.forward(data[i]);
      });
      for (std::size_t i = 1; i < data.size(); i += 2) (void)executor.forward(data[i]);
      thread.join();
      executor.observers()->merge(more);
    });
    CHECK(two.executor().observers() == nullptr);
    CHECK(fingerprint(one) == fingerprint(two));
    CHECK(one.quantizer("relu1").ranges()[0].max > 0.0f);
  }

  TEST_CASE("merging counts everything, and refuses others with nothing changed") {
    QuantizationSimModel sim = small_sim();
    Observers a = all_of(sim), b = all_of(sim);
    Executor executor(sim.graph());
    for (Observers* observers : {&a, &b}) {
      const auto observing = executor.observe(*observers);
      (void)executor.forward(random_tensor({4, 2, 6, 6}, observers == &a ? 1 : 2));
    }
    a.merge(b);
    CHECK(a.at(sim.quantizer("conv1.input0").node()).count() == 2 * 4 * 2 * 36);
    CHECK(b.at(sim.quantizer("conv1.input0").node()).count() == 4 * 2 * 36);
    CHECK(a.fresh().at(sim.quantizer("conv1.input0").node()).count() == 0);

    const std::string before = calibration_state(a);
    Observers fewer;
    fewer.observe(sim.quantizer("conv1.input0").node(), "conv1.input0");
    CHECK(message_of([&] { a.merge(fewer); }).find("quantizers are observed here, 1 there") !=
          std::string::npos);
    fewer.observe(sim.quantizer("relu1").node(), "another");
    CHECK(message_of([&] { a.merge(fewer); }) == "Observers::merge: another is not observed here");
    sim.quantizer("conv1.input0").set_range_estimator(*make_min_max());
    const Observers others = all_of(sim);
    CHECK(message_of([&] { a.merge(others); }) ==
          "Observers::merge: conv1.input0: a sqnr estimator cannot take what a min_max estimator "
          "has seen");
    CHECK(calibration_state(a) == before);
    CHECK(message_of([&] {
            fewer.observe(sim.quantizer("conv1.input0").node(), "x");
          }).find("is observed already") != std::string::npos);
    CHECK(message_of([&] { fewer.observe(sim.quantizer("fc").node(), "conv1.input0"); }) ==
          "Observers: the name conv1.input0 is taken");
    CHECK(message_of([&] { fewer.observe(sim.graph().node("relu1")); }) ==
          "Observers: relu1 is a Relu, not a QuantizeDequantize node");
  }

  TEST_CASE("a state is text in the order of names, which goes back to the last bit") {
    QuantizationSimModel sim(small_net(), {.quant_scheme = QuantScheme::post_training_tf});
    for (QuantizerHandle each : sim.quantizers())
      if (each.place() != QuantizerPlace::parameter && each.name() != "conv1.input0")
        each.disable();
    std::string text;
    sim.compute_encodings([&](Executor& executor) {
      Tensor x({1, 2, 6, 6});
      x.data()[0] = 1.5f, x.data()[71] = -0.25f;
      (void)executor.forward(x);
      text = calibration_state(sim);
      CHECK(text == calibration_state(*executor.observers()));
      Observers again = executor.observers()->fresh();
      load_calibration_state(again, text);
      CHECK(calibration_state(again) == text);
    });
    CHECK(text == R"({"conv1.input0":[{"estimator":"min_max","state":[-0.25,1.5,72.0]}]})");
    CHECK(message_of([&] { (void)calibration_state(sim); }) ==
          "calibration_state: no quantizer observes; call it inside the callback");
    CHECK(message_of([&] { load_calibration_state(sim, text); }) ==
          "load_calibration_state: the state has 1 quantizers, 0 observe");

    QuantizationSimModel histograms = small_sim();
    const std::string whole = seen_by(histograms, batches(3));
    Observers observers = all_of(histograms);
    load_calibration_state(observers, whole);
    CHECK(calibration_state(observers) == whole);
    CHECK_THROWS_AS(load_calibration_state(observers, text), Error);
    CHECK(calibration_state(observers) == whole);
  }

  TEST_CASE("observing ends with the scope, whatever happens; the inner one counts") {
    Fused net;
    Executor executor(net.graph);
    const Tensor x = random_tensor({2, 3, 8, 8}, 1);
    Observers outer, inner;
    outer.observe(net.node());
    inner.observe(net.node());
    try {
      const auto observing = executor.observe(outer);
      (void)executor.forward(x);
      {
        const auto more = executor.observe(inner);
        CHECK(executor.observers() == &inner);
        (void)executor.forward(x);
        (void)executor.forward(x);
      }
      Executor moved = std::move(executor);
      (void)moved.forward(x);
      executor = std::move(moved);
      throw std::runtime_error("stop");
    } catch (const std::runtime_error&) {
    }
    CHECK(executor.observers() == nullptr);
    CHECK(outer.at(net.node()).count() == 2 * 2 * 4 * 64);
    CHECK(inner.at(net.node()).count() == 2 * 2 * 4 * 64);
    CHECK(message_of([&] { (void)executor.forward(x); }).find("no encoding yet") !=
          std::string::npos);
  }

  TEST_CASE("a training pass is observed as one in evaluation, fused or not, and goes backward") {
    const Tensor x = random_tensor({2, 3, 8, 8}, 1), dy = random_tensor({2, 4, 6, 6}, 2);
    for (const bool fuse : {true, false}) {
      Fused net, plain;
      plain.op().set_enabled(false);
      const Range range{0.0f, 1.0f};
      net.op().set_ranges({&range, 1}, quantizer_parameters(net.node()));
      const ExecutorOptions options{.conv_algorithm = ConvAlgorithm::direct, .fuse = fuse};
      Executor executor(net.graph, options), without(plain.graph, options);
      const Tensor quantized = executor.forward(x, Mode::train);

      Observers in_eval, in_train;
      in_eval.observe(net.node());
      in_train.observe(net.node());
      {
        const auto observing = executor.observe(in_eval);
        (void)executor.forward(x);
      }
      {
        const auto observing = executor.observe(in_train);
        const Tensor y = executor.forward(x, Mode::train);
        CHECK(equal(y, without.forward(x, Mode::train)));
        executor.backward(dy);
        without.backward(dy);
        for (Parameter* parameter : plain.graph.parameters(Role::weight))
          CHECK(equal(net.graph.parameter(parameter->name()).grad(), parameter->grad()));
      }
      CHECK(calibration_state(in_train) == calibration_state(in_eval));
      CHECK(equal(executor.forward(x, Mode::train), quantized));
      executor.backward(dy);
    }
  }

  TEST_CASE("a weight's quantizer that is observed passes, and quantizes again afterwards") {
    Graph graph;
    const Var x = graph.input("x", {2, 3});
    const Var w = graph.parameter("w", random_tensor({2, 3}, 4), Role::weight);
    const Var q = nn::quantize_dequantize(
        w, std::make_unique<AffineQuantizer>(QuantizerOptions{.bitwidth = 3}), make_min_max(), "q");
    graph.set_outputs({nn::add(x, q, "add")});
    auto& op = *graph.node("q").as<QuantizeDequantize>();
    Observation all(op);
    all.see(graph.parameter("w").value().data(), {2, 3});
    op.calibrate(all, quantizer_parameters(graph.node("q")));
    Executor executor(graph);
    const Tensor zero({2, 3}), before = executor.forward(zero);
    CHECK_FALSE(equal(before, graph.parameter("w").value()));
    Observers observers;
    observers.observe(graph.node("q"));
    {
      const auto observing = executor.observe(observers);
      CHECK(equal(executor.forward(zero), graph.parameter("w").value()));
    }
    CHECK(equal(executor.forward(zero), before));
    CHECK(observers.at(graph.node("q")).count() == 6);
  }

  TEST_CASE("settings that change under a quantizer of a weight are seen at the next forward") {
    Graph graph;
    const Var x = graph.input("x", {2, 3});
    const Var w = graph.parameter("w", random_tensor({2, 3}, 4), Role::weight);
    const Var q = nn::quantize_dequantize(w,
                                          std::make_unique<AffineQuantizer>(QuantizerOptions{
                                              .bitwidth = 8, .symmetry = Symmetry::asymmetric}),
                                          make_min_max(), "q");
    graph.set_outputs({nn::add(x, q, "add")});
    Node& node = graph.node("q");
    auto& op = *node.as<QuantizeDequantize>();
    const Range range{-2.0f, 2.0f};
    op.set_ranges({&range, 1}, quantizer_parameters(node));
    const Tensor zero({2, 3});
    Executor executor(graph);
    const auto check = [&] {
      const Tensor got = executor.forward(zero);
      CHECK(equal(got, Executor(graph).forward(zero)));
      return got;
    };
    Tensor before = check();
    op.quantizer().set_bitwidth(3);  // past the op, by a reference that is kept
    Tensor after = check();
    CHECK_FALSE(equal(before, after));
    op.quantizer().set_symmetry(Symmetry::strict_symmetric);
    before = check();
    CHECK_FALSE(equal(before, after));
    op.set_quantizer(std::make_unique<AffineQuantizer>(QuantizerOptions{.bitwidth = 2}));
    op.set_initialized(true);
    after = check();
    CHECK_FALSE(equal(before, after));
    op.set_enabled(false);
    CHECK(equal(check(), graph.parameter("w").value()));
  }
}
