#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/io/model_file.h"
#include "rung/io/weights.h"
#include "rung/nn/data.h"
#include "rung/nn/loss.h"
#include "rung/nn/optim.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"
#include "rung/ptq/batch_norm.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/batch_norm_1d.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

const Shape kInput{4, 3, 8, 8};

/// A residual block, a convolution with a bias and a linear layer, each with a batch norm, and one
/// batch norm that stands alone. Some gammas are negative.
Graph block_net() {
  Graph graph;
  Var x = graph.input("x", kInput);
  x = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1, .bias = false}, "conv1");
  x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu1");
  Var y = nn::conv2d(x, {.out_channels = 16, .kernel = 3, .padding = 1}, "conv2");
  y = nn::batch_norm2d(y, {.epsilon = 1e-2f, .momentum = 0.3f}, "bn2");
  x = nn::relu(nn::add(y, x, "add"), "relu2");
  x = nn::max_pool2d(nn::batch_norm2d(x, {}, "alone"), {.kernel = 2}, "pool");
  x = nn::linear(nn::flatten(x, "flatten"), {.out_features = 6, .bias = false}, "fc1");
  x = nn::relu(batch_norm1d(x, {}, "bn3"), "relu3");
  graph.set_outputs({nn::linear(x, {.out_features = 4}, "fc2")});
  Rng rng(3);
  for (Parameter* parameter : graph.parameters()) {
    const bool positive = parameter->name().ends_with("running_var");
    for (float& v : parameter->edit().data())
      v = static_cast<float>(positive ? rng.uniform(0.3, 2.0) : rng.normal() * 0.3);
  }
  for (const char* name : {"bn1.weight", "bn2.weight", "bn3.weight"})
    for (float& v : graph.parameter(name).edit().data()) v += v < 0 ? -0.5f : 0.5f;
  return graph;
}

QuantSimOptions options(const std::string& config, QuantScheme scheme, BatchNormMode batch_norms) {
  return {.quant_scheme = scheme,
          .default_output_bw = 6,
          .default_param_bw = 4,
          .config_file = config,
          .batch_norms = batch_norms};
}

QuantizationSimModel in_simulation(const std::string& config = "default",
                                   QuantScheme scheme = QuantScheme::post_training_tf) {
  return QuantizationSimModel(block_net(),
                              options(config, scheme, BatchNormMode::fold_in_simulation));
}

QuantizationSimModel folded_before(const std::string& config = "default",
                                   QuantScheme scheme = QuantScheme::post_training_tf) {
  Graph graph = block_net();
  CHECK(ptq::fold_all_batch_norms(graph, {.convert_standalone = false}).folded.size() == 3);
  return QuantizationSimModel(graph, options(config, scheme, BatchNormMode::keep));
}

void calibrate(QuantizationSimModel& sim) {
  sim.compute_encodings([](Executor& executor) {
    for (const std::uint64_t seed : {1, 2}) executor.forward(random_tensor(kInput, seed));
  });
}

void train(QuantizationSimModel& sim, std::uint64_t steps) {
  nn::Sgd sgd(sim.graph().parameters(), {.lr = 0.02, .momentum = 0.9});
  const std::vector<std::int64_t> labels = {0, 1, 2, 3};
  for (std::uint64_t step = 0; step < steps; ++step) {
    const Tensor logits = sim.executor().forward(random_tensor(kInput, 10 + step), Mode::train);
    const nn::Loss loss = nn::cross_entropy(logits, labels);
    CHECK(std::isfinite(loss.value));
    sgd.zero_grad();
    sim.executor().backward(loss.gradient);
    sgd.step();
  }
  sim.executor().forward(random_tensor(kInput, 1));  // makes learned ranges legal
}

std::vector<float> numbers(const Tensor& tensor) {
  return {tensor.data().begin(), tensor.data().end()};
}

/// What a quantizer is, without its name.
std::string description(const QuantizerHandle& quantizer) {
  std::string text = to_string(quantizer.encoding()) + (quantizer.learned() ? " learned" : "");
  for (const Parameter* parameter : quantizer.parameters())
    for (const float v : parameter->value().data()) (text += ' ') += std::to_string(v);
  return text;
}

/// The name that a quantizer has once the batch norm is folded.
std::string folded_name(const std::string& name) {
  for (const auto& [norm, layer] :
       std::map<std::string, std::string>{{"bn1", "conv1"}, {"bn2", "conv2"}, {"bn3", "fc1"}})
    if (name.starts_with(norm)) return layer + name.substr(norm.size());
  return name;
}

std::vector<std::string> aimet_names(QuantizationSimModel& sim) {
  std::vector<std::string> names;
  for (const QuantizerHandle& each : sim.quantizers())
    names.push_back(folded_name(each.aimet_name()));
  std::ranges::sort(names);
  return names;
}

/// Runs in Mode::eval without fusion, so that the same kernels run before and after folding, and
/// returns what every quantizer of an activation computes, by folded name, and the logits.
std::map<std::string, std::vector<float>> run_all(QuantizationSimModel& sim) {
  Executor executor(sim.graph(), {.fuse = false});
  std::map<std::string, std::string> names;
  std::vector<std::string> watched;
  for (const QuantizerHandle& each : sim.quantizers()) {
    if (each.place() == QuantizerPlace::parameter) continue;
    watched.push_back(each.node().output().name());
    names[folded_name(each.name())] = watched.back();
  }
  executor.watch(watched);
  std::map<std::string, std::vector<float>> values;
  values["logits"] = numbers(executor.forward(random_tensor(kInput, 7)));
  for (const auto& [name, value] : names) values[name] = numbers(executor.value(value));
  return values;
}

std::vector<std::int32_t> codes(const QuantizerHandle& quantizer, Executor& executor) {
  const Value& source = quantizer.source();
  if (source.parameter() != nullptr)
    return quantize(source.parameter()->value().data(), source.shape(), quantizer.encoding());
  executor.watch({source.name()});
  executor.forward(random_tensor(kInput, 7));
  return quantize(executor.value(source.name()).data(), source.shape(), quantizer.encoding());
}

std::string bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

const std::vector<std::pair<std::string, QuantScheme>> kRuns = {
    {"default", QuantScheme::post_training_tf},
    {"per_channel", QuantScheme::post_training_tf_enhanced},
    {"default", QuantScheme::training_range_learning_with_tf_init},
    {"per_channel", QuantScheme::training_range_learning_with_tf_init}};

}  // namespace

TEST_SUITE("quantsim: batch norms folded in simulation") {
  TEST_CASE("quantizers are those of folding before, and weights get the same encodings") {
    for (const auto& [config, scheme] : kRuns) {
      CAPTURE(config);
      QuantizationSimModel simulated = in_simulation(config, scheme);
      QuantizationSimModel folded = folded_before(config, scheme);
      simulated.graph().check();
      CHECK(aimet_names(simulated) == aimet_names(folded));
      calibrate(simulated);
      calibrate(folded);
      // Other kernels ran: a search may find a neighbouring candidate.
      const double tolerance = scheme == QuantScheme::post_training_tf_enhanced ? 0.03 : 1e-5;
      for (const QuantizerHandle& each : simulated.quantizers()) {
        CAPTURE(each.name());
        const QuantizerHandle expected = folded.quantizer(folded_name(each.name()));
        CHECK(each.place() == expected.place());
        if (each.place() == QuantizerPlace::parameter)
          CHECK(description(each) == description(expected));
        else
          CHECK(each.encoding().scale[0] ==
                doctest::Approx(expected.encoding().scale[0]).epsilon(tolerance));
      }
    }
  }

  TEST_CASE("folding after training changes no weight code and no activation code") {
    for (const auto& [config, scheme] : kRuns) {
      CAPTURE(config);
      QuantizationSimModel sim = in_simulation(config, scheme);
      calibrate(sim);
      const Tensor gamma = sim.graph().parameter("bn2.weight").value().clone();
      const Tensor variance = sim.graph().parameter("bn2.running_var").value().clone();
      train(sim, 5);
      CHECK(numbers(gamma) != numbers(sim.graph().parameter("bn2.weight").value()));
      CHECK(numbers(variance) != numbers(sim.graph().parameter("bn2.running_var").value()));

      const auto before = run_all(sim);
      std::map<std::string, std::string> encodings;
      std::map<std::string, std::vector<std::int32_t>> weight_codes;
      {
        Executor executor(sim.graph());
        for (const QuantizerHandle& each : sim.quantizers()) {
          encodings[folded_name(each.name())] = description(each);
          if (each.place() == QuantizerPlace::parameter)
            weight_codes[each.name()] = codes(each, executor);
        }
      }
      REQUIRE(weight_codes.size() == 5);  // of the lonely batch norm, too
      CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
      sim.graph().check();
      for (const Node* node : sim.graph().nodes()) CHECK_FALSE(node->type().starts_with("Folded"));
      CHECK(sim.graph().find_value("bn2.weight") == nullptr);
      CHECK(sim.graph().parameter("conv1.bias").requires_grad());

      const auto after = run_all(sim);
      CHECK(before.size() == after.size());
      for (const auto& [name, values] : before) {
        CAPTURE(name);
        CHECK(after.at(name) == values);
      }
      Executor executor(sim.graph());
      for (const QuantizerHandle& each : sim.quantizers()) {
        CAPTURE(each.name());
        CHECK(encodings.at(each.name()) == description(each));
        if (each.place() == QuantizerPlace::parameter)
          CHECK(codes(each, executor) == weight_codes.at(each.name()));
      }
      CHECK(fold_simulated_batch_norms(sim.graph()) == 0);
    }
  }

  TEST_CASE("a folded sim is the one that folding before would have made") {
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    fold_simulated_batch_norms(sim.graph());
    QuantizationSimModel folded = folded_before("per_channel");
    std::vector<std::string> got, expected;
    for (const Node* node : sim.graph().nodes()) got.push_back(node->name());
    for (const Node* node : folded.graph().nodes()) expected.push_back(node->name());
    std::ranges::sort(got);
    std::ranges::sort(expected);
    CHECK(got == expected);
    for (Parameter* parameter : folded.graph().parameters()) {
      CAPTURE(parameter->name());
      const Parameter& same = sim.graph().parameter(parameter->name());
      CHECK(same.role() == parameter->role());
      if (parameter->role() != Role::encoding)
        CHECK(numbers(same.value()) == numbers(parameter->value()));
    }
    CHECK(folded.graph().parameters().size() == sim.graph().parameters().size());
  }

  TEST_CASE("a quantizer of the bias sees the folded bias") {
    const TemporaryFolder folder;
    const std::string config = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"}, "params": {"is_quantized": "True"}},
      "params": {}, "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})");
    QuantizationSimModel sim = in_simulation(config);
    QuantizationSimModel folded = folded_before(config);
    CHECK(aimet_names(sim) == aimet_names(folded));
    calibrate(sim);
    calibrate(folded);
    for (const char* name : {"conv1.bias", "conv2.bias", "fc1.bias"}) {
      CAPTURE(name);
      CHECK(sim.quantizer(name).place() == QuantizerPlace::parameter);
      CHECK(description(sim.quantizer(name)) == description(folded.quantizer(name)));
    }
    train(sim, 2);
    const auto before = run_all(sim);
    fold_simulated_batch_norms(sim.graph());
    CHECK(run_all(sim) == before);
    CHECK(sim.quantizer("conv1.bias").source().parameter() != nullptr);
  }

  TEST_CASE("layers whose weights have no quantizer are folded as well") {
    const TemporaryFolder folder;
    const std::string config = folder.write("config.json", R"({
      "defaults": {"ops": {"is_output_quantized": "True"}, "params": {}}, "params": {},
      "op_type": {}, "supergroups": [], "model_input": {}, "model_output": {}})");
    QuantizationSimModel sim = in_simulation(config);
    calibrate(sim);
    CHECK(sim.graph().node("conv1").inputs()[1]->name() == "conv1.weight.folded");
    train(sim, 2);
    const auto before = run_all(sim);
    CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
    CHECK(run_all(sim) == before);
  }

  TEST_CASE("frozen statistics stay and training then computes what evaluation does") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    const Tensor x = random_tensor(kInput, 5);
    const auto statistics = [&] {
      std::vector<float> all;
      for (const Parameter* parameter : sim.graph().parameters(Role::buffer))
        for (const float v : parameter->value().data()) all.push_back(v);
      return all;
    };
    const std::vector<float> before = statistics();
    freeze_bn_stats(sim.graph());
    Executor executor(sim.graph(), {.exact = false});  // training never is
    const Tensor trained = executor.forward(x, Mode::train);
    CHECK(statistics() == before);
    CHECK(numbers(trained) == numbers(executor.forward(x)));
    sim.executor().forward(x, Mode::train);
    sim.executor().backward(Tensor::full({4, 4}, 1.0f));
    CHECK(sim.graph().parameter("bn1.weight").has_grad());
    CHECK_FALSE(sim.graph().parameter("conv1.bias").has_grad());  // beta is trained
    CHECK(sim.graph().parameter("conv2.bias").has_grad());
    update_bn_stats(sim.graph());
    sim.executor().forward(x, Mode::train);
    CHECK(statistics() != before);
  }

  TEST_CASE("what is exported is the folded network") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    train(sim, 2);
    sim.export_to(folder.path("simulated"), "net");
    CHECK(sim.graph().find_node("bn1") != nullptr);
    fold_simulated_batch_norms(sim.graph());
    sim.export_to(folder.path("folded"), "net");
    for (const char* name : {"net.safetensors", "net.encodings", "net_torch.encodings"}) {
      CAPTURE(name);
      const std::string file = bytes(folder.path("simulated/" + std::string(name)));
      CHECK_FALSE(file.empty());
      CHECK(file == bytes(folder.path("folded/" + std::string(name))));
    }
  }

  TEST_CASE("the float model has its batch norms again, and no quantizer is said to be by hand") {
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    train(sim, 2);
    Graph original = sim.get_original_model(), expected = block_net();
    original.check();
    const auto shape_of = [](const Graph& graph) {
      std::string text;
      for (const Node* node : graph.nodes())
        text.append(node->type()).append(" ").append(node->name()).append("\n");
      return text;
    };
    CHECK(shape_of(original) == shape_of(expected));
    CHECK(original.node("bn2").as<BatchNormalization>()->momentum == 0.3f);
    CHECK(original.node("bn2").as<BatchNormalization>()->epsilon == 1e-2f);
    for (Parameter* parameter : expected.parameters())
      parameter->edit().copy_from(sim.graph().parameter(parameter->name()).value());
    const Tensor x = random_tensor(kInput, 7);
    CHECK(numbers(Executor(original).forward(x)) == numbers(Executor(expected).forward(x)));
    for (const PlacementReason& reason : sim.placement_reasons()) {
      CAPTURE(reason.quantizer);
      CHECK(reason.by_hand.empty());
    }

    Graph baked = sim.get_original_model({.qdq_weights = true});
    CHECK(baked.find_node("bn1") == nullptr);
    QuantizerHandle weight = sim.quantizer("conv1.weight");
    const Encoding encoding = weight.encoding();
    fold_simulated_batch_norms(sim.graph());
    CHECK(numbers(baked.parameter("conv1.weight").value()) ==
          numbers(quantize_dequantize(sim.graph().parameter("conv1.weight").value(), encoding)));
  }

  TEST_CASE("encodings of the folded network can be loaded into the simulation, by either keying") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = in_simulation("per_channel");
    calibrate(sim);
    sim.export_to(folder.path(), "net");
    for (const char* file : {"net.encodings", "net_torch.encodings"}) {
      CAPTURE(file);
      QuantizationSimModel loaded = in_simulation("per_channel");
      const LoadedEncodings report =
          loaded.load_encodings(folder.path(file), {.require_all = true});
      CHECK(report.missing.empty());
      for (const QuantizerHandle& each : sim.quantizers()) {
        CAPTURE(each.name());
        CHECK(loaded.quantizer(each.name()).encoding().scale == each.encoding().scale);
      }
    }
    QuantizationSimModel frozen = in_simulation("per_channel");
    frozen.set_and_freeze_param_encodings(folder.path("net_torch.encodings"));
    CHECK(frozen.quantizer("conv1.weight").frozen());
    CHECK_FALSE(frozen.quantizer("bn2").initialized());
  }

  TEST_CASE(
      "a layer is excluded with the batch norm that is folded into it, weights by their key") {
    QuantizationSimModel sim = in_simulation();
    REQUIRE(sim.quantizer("bn2").enabled());
    sim.exclude_layers_from_quantization({"conv2"});
    CHECK_THROWS_AS(sim.quantizer("bn2"), Error);
    CHECK_THROWS_AS(sim.quantizer("conv2.weight"), Error);
    CHECK(sim.quantizer("conv1.weight").enabled());
    sim.exclude_param_from_quantization("weight");
    CHECK_FALSE(sim.quantizer("conv1.weight").enabled());
    calibrate(sim);
    const auto before = run_all(sim);
    CHECK(fold_simulated_batch_norms(sim.graph()) == 3);
    CHECK(run_all(sim) == before);
  }

  TEST_CASE("statistics that are part of a quantized weight cannot be re-estimated") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    nn::DataLoader loader({.dataset = std::make_shared<nn::InMemoryDataset>(
                               Shape{3, 8, 8}, 4, std::vector<std::uint8_t>(4 * 3 * 8 * 8, 7),
                               std::vector<std::uint8_t>{0, 1, 2, 3}),
                           .workers = 0});
    CHECK_THROWS_WITH_AS(ptq::reestimate_bn_stats(sim.executor(), loader), doctest::Contains("bn1"),
                         Error);
  }

  TEST_CASE("a model file brings the simulation back, and training goes on as before") {
    const TemporaryFolder folder;
    QuantizationSimModel sim =
        in_simulation("per_channel", QuantScheme::training_range_learning_with_tf_init);
    calibrate(sim);
    train(sim, 2);
    io::save_model(folder.path("m.rung"), sim.graph(),
                   {.sections = {{"sim", sim.state()}}, .tensors = {}});
    io::ModelFile file = io::load_model(folder.path("m.rung"));
    QuantizationSimModel back =
        QuantizationSimModel::from_state(std::move(file.graph), file.sections.at("sim"));
    CHECK(back.options().batch_norms == BatchNormMode::fold_in_simulation);
    CHECK(back.state() == sim.state());
    CHECK(aimet_names(back) == aimet_names(sim));
    CHECK(run_all(back) == run_all(sim));
    train(back, 2);
    train(sim, 2);
    CHECK(run_all(back) == run_all(sim));
    fold_simulated_batch_norms(back.graph());
    CHECK(run_all(back) == run_all(sim));

    std::string state = sim.state();
    state[state.find("fold_in_simulation")] = 'h';
    CHECK_THROWS_WITH_AS(QuantizationSimModel::from_state(sim.graph().clone(), state),
                         doctest::Contains("batch_norms"), Error);
  }

  TEST_CASE("numbers that cannot be folded are an error that names the layer and changes nothing") {
    QuantizationSimModel sim = in_simulation();
    calibrate(sim);
    sim.graph().parameter("bn3.running_var").edit().data()[2] =
        std::numeric_limits<float>::quiet_NaN();
    const std::string before = sim.graph().to_string();
    const std::vector<float> weight = numbers(sim.graph().parameter("conv1.weight").value());
    CHECK_THROWS_WITH_AS(fold_simulated_batch_norms(sim.graph()), doctest::Contains("bn3"), Error);
    CHECK_THROWS_WITH_AS(calibrate(sim), doctest::Contains("fc1.weight"), Error);
    CHECK(sim.graph().to_string() == before);
    CHECK(numbers(sim.graph().parameter("conv1.weight").value()) == weight);

    Graph broken = block_net();  // a file may say anything
    Value& x = broken.value("relu1");
    std::vector<Value*> extra(4, &broken.value("bn1.weight"));
    extra.push_back(&broken.value("bn1.bias"));
    broken.insert_after(x, std::make_unique<FoldedBatchNormalization>(), extra, "wrong");
    CHECK_THROWS_WITH_AS(fold_simulated_batch_norms(broken), doctest::Contains("wrong"), Error);
  }

  TEST_CASE("kept batch norms and a model without any are as they were") {
    QuantizationSimModel kept(block_net());
    CHECK(kept.state().find("batch_norms") == std::string::npos);
    CHECK(kept.graph().node("bn1").as<BatchNormalization>() != nullptr);
    CHECK(fold_simulated_batch_norms(kept.graph()) == 0);
    QuantizationSimModel sim = in_simulation();
    CHECK(sim.graph().node("alone").as<BatchNormalization>() != nullptr);
    CHECK(sim.graph().node("bn1").as<FoldedBatchNormalization>() != nullptr);
    CHECK(sim.graph().node("conv1").inputs()[1]->name() == "conv1.weight.qdq");
    CHECK(sim.quantizer("conv1.weight").source().name() == "conv1.weight.folded");
    QuantizationSimModel none(small_net(), {.batch_norms = BatchNormMode::fold_in_simulation});
    CHECK(none.graph().to_string() == QuantizationSimModel(small_net()).graph().to_string());
  }
}
