#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "rung/io/model_file.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/quantsim.h"
#include "support/quant_helpers.h"
#include "support/quantsim_net.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

/// Puts an 8-bit quantizer behind a value, or on an edge, under any name.
Node& add_quantizer(Graph& graph, Value& value, QuantizerPlace place, const std::string& name) {
  auto op = std::make_unique<QuantizeDequantize>();
  op->set_place(place);
  const std::vector<Value*> extra = add_quantizer_parameters(graph, op->quantizer(), name);
  if (place == QuantizerPlace::edge)
    return graph.insert_on_edge(value.uses()[0], std::move(op), extra, name);
  return graph.insert_after(value, std::move(op), extra, name);
}

std::string graph_text(const std::string& path) {
  return io::SafetensorsFile(path).metadata().at("rung.graph");
}

}  // namespace

TEST_SUITE("quantsim: places") {
  TEST_CASE("where a quantizer stands is what the node says, whatever its name is") {
    QuantizationSimModel sim(small_net());
    Graph& graph = sim.graph();
    add_quantizer(graph, graph.value("conv1"), QuantizerPlace::value, "mine");
    add_quantizer(graph, graph.value("relu1.qdq"), QuantizerPlace::edge, "relu1.qdq.qdq");
    add_quantizer(graph, graph.value("conv3.bias"), QuantizerPlace::parameter, "of a bias");
    graph.check();
    const auto check = [](QuantizationSimModel& each) {
      CHECK(each.quantizer("mine").place() == QuantizerPlace::value);
      CHECK(aimet_name(each.quantizer("mine")) == "conv1.output_quantizers.0");
      CHECK(each.quantizer("relu1.qdq.qdq").place() == QuantizerPlace::edge);
      CHECK(aimet_name(each.quantizer("relu1.qdq.qdq")) == "conv2.input_quantizers.0");
      CHECK(each.quantizer("of a bias").place() == QuantizerPlace::parameter);
      CHECK(aimet_name(each.quantizer("of a bias")) == "conv3.param_quantizers.bias");
      CHECK(each.quantizer("relu1").place() == QuantizerPlace::value);
      CHECK(each.quantizer("conv1.input0").place() == QuantizerPlace::edge);
    };
    check(sim);
    calibrate_small_net(sim);
    CHECK(sim.quantizer("mine").initialized());

    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("places.rung"));
    QuantizationSimModel back = load_checkpoint(folder.path("places.rung"));
    check(back);
    CHECK(run_small_net(back) == run_small_net(sim));
    // Encodings find a quantizer by what it quantizes.
    sim.export_to(folder.path(), "net", {.export_model = false});
    QuantizationSimModel other = load_checkpoint(folder.path("places.rung"));
    other.load_encodings(folder.path("net_torch.encodings"), {.require_all = true});
    CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));

    // One that stands behind a value is part of that layer.
    sim.exclude_layers_from_quantization({"conv1"});
    CHECK(message_of([&] { sim.quantizer("mine"); }).find("no quantizer 'mine'") !=
          std::string::npos);
  }

  TEST_CASE("files say the place only where the name does not: others are as they always were") {
    const TemporaryFolder folder;
    QuantizationSimModel sim(small_net());
    save_checkpoint(sim, folder.path("plain.rung"));
    CHECK(graph_text(folder.path("plain.rung")).find("\"place\"") == std::string::npos);
    QuantizationSimModel plain = load_checkpoint(folder.path("plain.rung"));
    for (const QuantizerHandle& each : sim.quantizers())
      CHECK(plain.quantizer(each.name()).place() == each.place());

    add_quantizer(sim.graph(), sim.graph().value("conv1"), QuantizerPlace::value, "mine");
    save_checkpoint(sim, folder.path("mine.rung"));
    const std::string text = graph_text(folder.path("mine.rung"));
    const auto first = text.find("\"place\":\"value\"");
    CHECK(first != std::string::npos);
    CHECK(text.find("\"place\"", first + 1) == std::string::npos);
  }

  TEST_CASE("a constant factor keeps its place in files: it is an input of its op") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 6, 6});
    const Var g(graph, graph.add_parameter("g", random_tensor({1, 2, 1, 1}, 3), Role::buffer));
    graph.set_outputs({nn::mul(x, g, "scaled")});
    const QuantSimOptions options{.config_file = "aimet_2_42"};
    QuantizationSimModel sim(graph, options);
    calibrate_small_net(sim);
    const TemporaryFolder folder;
    save_checkpoint(sim, folder.path("factor.rung"));
    // As in files of before.
    CHECK(graph_text(folder.path("factor.rung")).find("\"place\"") == std::string::npos);
    QuantizationSimModel back = load_checkpoint(folder.path("factor.rung"));
    CHECK(back.quantizer("scaled.input1").place() == QuantizerPlace::edge);
    CHECK(aimet_name(back.quantizer("scaled.input1")) == "scaled.input_quantizers.1");
    back.export_to(folder.path(), "net", {.export_model = false});
    for (const char* file : {"net.encodings", "net_torch.encodings"}) {
      CAPTURE(file);
      QuantizationSimModel other(graph, options);
      other.load_encodings(folder.path(file), {.require_all = true});
      CHECK(fingerprint_encodings(other) == fingerprint_encodings(sim));
    }

    // One for all readers stands behind it.
    add_quantizer(graph, graph.value("g"), QuantizerPlace::parameter, "g.qdq");
    io::save_model(folder.path("all.rung"), graph);
    const Graph all = io::load_model(folder.path("all.rung")).graph;
    CHECK(find_quantizers(all).at(0).place() == QuantizerPlace::parameter);
  }

  TEST_CASE("a quantizer that a program adds itself stands behind the value") {
    Graph graph;
    const Var x = graph.input("x", {2, 3});
    const Var weight(graph, graph.add_parameter("w", Tensor(Shape{2, 3}), Role::weight));
    const Var y =
        nn::quantize_dequantize(x, std::make_unique<AffineQuantizer>(), make_min_max(), "square.q");
    const Var w = nn::quantize_dequantize(weight, std::make_unique<AffineQuantizer>(),
                                          make_min_max(), "weight.q");
    graph.set_outputs({nn::add(y, w, "sum")});
    CHECK(QuantizerHandle(graph.node("square.q")).place() == QuantizerPlace::value);
    CHECK(QuantizerHandle(graph.node("weight.q")).place() == QuantizerPlace::parameter);
    CHECK(QuantizerHandle(graph.node("square.q")).name() == "square.q");
  }
}
