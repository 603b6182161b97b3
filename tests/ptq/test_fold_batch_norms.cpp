#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden_model.h"
#include "rung/exec/executor.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/foldable_batch_norms.h"
#include "rung/ops/layers.h"
#include "rung/ops/ops.h"
#include "rung/ptq/ptq.h"
#include "support/ptq_helpers.h"

using namespace rung;

namespace {

/// Folds, and checks that the outputs stay and how many batch norms are left.
void check_fold(Graph& graph, const Shape& input, std::size_t folded, std::size_t left) {
  randomize(graph, Rng(1));
  const Tensor x = random_input(input, Rng(2));
  const Tensor before = Executor(graph).forward(x);
  CHECK(ptq::fold_all_batch_norms(graph).folded.size() == folded);
  graph.check();
  CHECK(count(graph, "BatchNormalization") == left);
  check_equal(before, Executor(graph).forward(x), 1e-5);
}

/// x -> first (1x1) -> bn -> last (1x1): the batch norm could be folded into either.
Graph between_layers() {
  Graph graph;
  Var x = graph.input("x", {2, 3, 5, 5});
  x = nn::conv2d(x, {.out_channels = 4, .kernel = 1, .bias = false}, "first");
  x = nn::batch_norm2d(x, {}, "bn");
  graph.set_outputs({nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "last")});
  return graph;
}

/// Adds a batch norm of [N, C].
Var batch_norm1d(Var x, const std::string& name) {
  const Shape channels{x.channels()};
  Graph& graph = x.graph();
  return graph.add(make_op("BatchNormalization"),
                   {x, graph.parameter(name + ".weight", Tensor(channels), Role::norm),
                    graph.parameter(name + ".bias", Tensor(channels), Role::norm),
                    graph.parameter(name + ".running_mean", Tensor(channels), Role::buffer),
                    graph.parameter(name + ".running_var", Tensor(channels), Role::buffer)},
                   name);
}

std::vector<std::string> text(const std::vector<ptq::FoldedPair>& pairs) {
  std::vector<std::string> result;
  for (const ptq::FoldedPair& pair : pairs) result.push_back(pair.layer + " " + pair.batch_norm);
  return result;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_SUITE("ptq: folding batch norms") {
  TEST_CASE("a batch norm behind a convolution without bias becomes its weights and a bias") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 7, 7});
    x = nn::conv2d(x, {.out_channels = 5, .kernel = 3, .padding = 1, .bias = false}, "conv");
    graph.set_outputs({nn::relu(nn::batch_norm2d(x, {}, "bn"), "relu")});
    check_fold(graph, {2, 3, 7, 7}, 1, 0);
    CHECK(graph.find_value("bn.weight") == nullptr);
    CHECK(graph.find_value("bn.running_mean") == nullptr);
    CHECK(graph.parameter("conv.bias").role() == Role::bias);
    CHECK(graph.node("conv").inputs()[2]->name() == "conv.bias");
  }

  TEST_CASE("an existing bias, groups and a graph output directly behind are folded too") {
    Graph graph;
    Var x = graph.input("x", {2, 4, 5, 5});
    x = nn::conv2d(x, {.out_channels = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 2},
                   "conv");
    graph.set_outputs({nn::batch_norm2d(x, {}, "bn")});
    check_fold(graph, {2, 4, 5, 5}, 1, 0);
    CHECK(graph.outputs()[0]->name() == "conv");
  }

  TEST_CASE("a batch norm in front of a convolution without padding is folded forward") {
    Graph graph;
    Var x = nn::batch_norm2d(graph.input("x", {2, 3, 6, 6}), {}, "bn");
    graph.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .bias = false}, "conv")});
    check_fold(graph, {2, 3, 6, 6}, 1, 0);
    CHECK(graph.find_value("conv.bias") != nullptr);
  }

  TEST_CASE("what cannot be folded stays: padding or groups behind, two readers, nothing near") {
    Graph padded;
    Var x = nn::batch_norm2d(padded.input("x", {2, 4, 6, 6}), {}, "bn");
    padded.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv")});
    check_fold(padded, {2, 4, 6, 6}, 0, 1);

    Graph grouped;
    x = nn::batch_norm2d(grouped.input("x", {2, 4, 6, 6}), {}, "bn");
    grouped.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .groups = 2}, "conv")});
    check_fold(grouped, {2, 4, 6, 6}, 0, 1);

    Graph shared;
    x = nn::conv2d(shared.input("x", {2, 4, 6, 6}), {.out_channels = 4, .kernel = 1}, "conv");
    shared.set_outputs({nn::add(nn::batch_norm2d(x, {}, "bn"), x, "add")});
    check_fold(shared, {2, 4, 6, 6}, 0, 1);

    Graph alone;
    x = nn::relu(nn::batch_norm2d(alone.input("x", {2, 4, 6, 6}), {}, "bn"), "relu");
    alone.set_outputs({x});
    check_fold(alone, {2, 4, 6, 6}, 0, 1);
  }

  TEST_CASE("if both directions are possible, the layer in front takes the batch norm") {
    Graph graph = between_layers();
    const Tensor last = graph.parameter("last.weight").value().clone();
    check_fold(graph, {2, 3, 5, 5}, 1, 0);
    CHECK(graph.find_value("first.bias") != nullptr);
    Graph again = between_layers();
    CHECK(text(ptq::fold_all_batch_norms(again).folded) == Strings{"first bn"});
  }

  TEST_CASE("batch norms in a row are all folded, from either side") {
    Graph behind;
    Var x = nn::conv2d(behind.input("x", {2, 3, 5, 5}), {.out_channels = 4, .kernel = 3}, "conv");
    x = nn::batch_norm2d(nn::batch_norm2d(x, {}, "bn1"), {}, "bn2");
    behind.set_outputs({nn::relu(x, "relu")});
    check_fold(behind, {2, 3, 5, 5}, 2, 0);

    Graph before;
    x = nn::batch_norm2d(before.input("x", {2, 3, 5, 5}), {}, "bn1");
    x = nn::batch_norm2d(x, {}, "bn2");
    before.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv")});
    check_fold(before, {2, 3, 5, 5}, 2, 0);

    Graph around;
    x = nn::batch_norm2d(around.input("x", {2, 3, 5, 5}), {}, "bn1");
    x = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .bias = false}, "conv");
    around.set_outputs({nn::batch_norm2d(x, {}, "bn2")});
    check_fold(around, {2, 3, 5, 5}, 2, 0);
  }

  TEST_CASE("linear layers and depthwise convolutions take batch norms, linear ones forward too") {
    Graph linear;
    Var x = nn::linear(linear.input("x", {4, 6}), {.out_features = 5, .bias = false}, "fc1");
    x = nn::relu(batch_norm1d(x, "bn1"), "relu");
    x = batch_norm1d(x, "bn2");
    linear.set_outputs({nn::linear(x, {.out_features = 3}, "fc2")});
    check_fold(linear, {4, 6}, 2, 0);

    Graph depthwise;
    x = depthwise.input("x", {2, 4, 6, 6});
    x = nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1, .groups = 4}, "conv");
    depthwise.set_outputs({nn::batch_norm2d(x, {}, "bn")});
    check_fold(depthwise, {2, 4, 6, 6}, 1, 0);
  }

  TEST_CASE("shared weights, a graph output in between and a taken bias name keep a batch norm") {
    Graph shared;
    Var x = shared.input("x", {2, 3, 4, 4});
    Var a = nn::conv2d(x, {.out_channels = 3, .kernel = 1}, "conv1");
    Var b = nn::conv2d(nn::batch_norm2d(a, {}, "bn"), {.out_channels = 3, .kernel = 3}, "conv2");
    Var c = nn::conv2d(b, {.out_channels = 3, .kernel = 1}, "conv3");
    shared.replace_input({&shared.node("conv3"), 1}, shared.value("conv1.weight"));
    shared.set_outputs({c});
    check_fold(shared, {2, 3, 4, 4}, 1, 0);  // forward, into conv2
    CHECK(shared.find_node("conv2")->inputs()[2]->name() == "conv2.bias");

    Graph output;
    x = nn::conv2d(output.input("x", {2, 3, 4, 4}), {.out_channels = 3, .kernel = 1}, "conv");
    output.set_outputs({nn::batch_norm2d(x, {}, "bn"), x});
    CHECK(ptq::fold_all_batch_norms(output).folded.empty());

    Graph taken;
    x = taken.input("conv.bias", {2, 3, 4, 4});
    x = nn::conv2d(x, {.out_channels = 3, .kernel = 1, .bias = false}, "conv");
    taken.set_outputs({nn::batch_norm2d(x, {}, "bn")});
    CHECK(ptq::fold_all_batch_norms(taken).folded.empty());
  }

  TEST_CASE("a batch norm behind a transposed convolution is folded, with groups, too") {
    for (const std::int64_t groups : {1, 2}) {
      Graph graph;
      Var x = graph.input("x", {2, 4, 5, 5});
      x = nn::conv_transpose2d(
          x, {.out_channels = 6, .kernel = 3, .stride = 2, .groups = groups, .bias = false}, "up");
      graph.set_outputs({nn::batch_norm2d(x, {}, "bn")});
      check_fold(graph, {2, 4, 5, 5}, 1, 0);
      CHECK(graph.node("up").inputs()[2]->name() == "up.bias");
    }
    Graph front;  // but not one in front of it: its shift would differ from pixel to pixel
    Var x = nn::batch_norm2d(front.input("x", {2, 4, 5, 5}), {}, "bn");
    x = nn::conv_transpose2d(x, {.out_channels = 6, .kernel = 3}, "up");
    front.set_outputs({x});
    check_fold(front, {2, 4, 5, 5}, 0, 1);
  }

  TEST_CASE("shared parameters are only read; a batch norm that stays gets copies of its own") {
    Graph graph;
    Var x = nn::conv2d(graph.input("x", {2, 3, 6, 6}), {.out_channels = 4, .kernel = 1}, "conv");
    x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
    graph.set_outputs({nn::batch_norm2d(x, {}, "bn2")});
    for (const std::size_t i : {1u, 2u})
      graph.replace_input({&graph.node("bn2"), i}, *graph.node("bn1").inputs()[i]);
    randomize(graph, Rng(1));
    const Tensor in = random_input({2, 3, 6, 6}, Rng(2));
    const Tensor before = Executor(graph).forward(in);
    const ptq::FoldResult result = ptq::fold_all_batch_norms(graph);
    CHECK(text(result.folded) == Strings{"conv bn1"});
    REQUIRE(result.skipped.size() == 1);
    CHECK(result.skipped[0].batch_norm == "bn2");
    CHECK(result.skipped[0].reason.find("it follows [Relu relu]") != std::string::npos);
    check_equal(before, Executor(graph).forward(in), 1e-5);
    // Two that stay: each becomes a scale and a shift of its own.
    Graph both;
    x = both.input("x", {2, 3, 6, 6});
    x = nn::relu(nn::batch_norm2d(x, {}, "bn1"), "relu");
    both.set_outputs({nn::batch_norm2d(x, {}, "bn2")});
    for (const std::size_t i : {1u, 2u})
      both.replace_input({&both.node("bn2"), i}, *both.node("bn1").inputs()[i]);
    randomize(both, Rng(1));
    const Tensor expected = Executor(both).forward(in);
    CHECK(ptq::fold_all_batch_norms(both).skipped.size() == 2);
    check_equal(expected, Executor(both).forward(in), 1e-5);
  }

  TEST_CASE("the batch norms that are folded are those that placement expects to be") {
    Graph graph = golden::network("network/trained.safetensors");
    const std::vector<FoldablePair> expected = find_foldable_batch_norms(graph);
    Strings names;
    for (const FoldablePair& pair : expected)
      names.push_back(pair.layer->name() + " " + pair.batch_norm->name());
    CHECK(names.size() == 9);
    const golden::Tensors data = golden::tensors("network/data.safetensors");
    const Tensor x = golden::tensor(data.at("x0"));
    const Tensor before = Executor(graph).forward(x);
    CHECK(text(ptq::fold_all_batch_norms(graph).folded) == names);
    check_equal(before, Executor(graph).forward(x), 2e-6);
  }

  TEST_CASE("a batch norm that stays becomes scale and shift, whose training keeps the scale") {
    Graph graph;
    Var x = nn::batch_norm2d(graph.input("x", {2, 4, 6, 6}), {.epsilon = 1e-3f}, "bn");
    graph.set_outputs({nn::relu(x, "relu")});
    randomize(graph, Rng(5));
    const Tensor in = random_input({2, 4, 6, 6}, Rng(6));
    const Graph original = graph.clone();
    const Tensor before = Executor(graph).forward(in);
    CHECK(ptq::fold_all_batch_norms(graph).folded.empty());
    const auto at = [](const Graph& g, const char* name, std::size_t c) {
      return double{g.parameter(name).value().data()[c]};
    };
    for (std::size_t c = 0; c < 4; ++c) {
      const double scale =
          at(original, "bn.weight", c) / std::sqrt(at(original, "bn.running_var", c) + 1e-3);
      const double shift = at(original, "bn.bias", c) - at(original, "bn.running_mean", c) * scale;
      CHECK(at(graph, "bn.weight", c) == doctest::Approx(scale).epsilon(1e-6));
      CHECK(at(graph, "bn.bias", c) == doctest::Approx(shift).epsilon(1e-6));
      CHECK(at(graph, "bn.running_mean", c) == 0);
      CHECK(at(graph, "bn.running_var", c) == 1);
    }
    check_equal(before, Executor(graph).forward(in), 1e-6);
    check_equal(before, Executor(graph).forward(in, Mode::train), 1e-6);
    const std::string once = fingerprint(graph);
    ptq::fold_all_batch_norms(graph);
    CHECK(fingerprint(graph) == once);

    Graph kept = original.clone();
    ptq::fold_all_batch_norms(kept, {.convert_standalone = false});
    CHECK(fingerprint(kept) == fingerprint(original));
  }

  TEST_CASE("a whole residual block keeps its outputs") {
    Graph graph;
    Var x = graph.input("x", {2, 4, 8, 8});
    Var y = nn::conv2d(
        x, {.out_channels = 8, .kernel = 3, .stride = 2, .padding = 1, .bias = false}, "conv1");
    y = nn::relu(nn::batch_norm2d(y, {}, "bn1"), "relu1");
    y = nn::conv2d(y, {.out_channels = 8, .kernel = 3, .padding = 1, .bias = false}, "conv2");
    y = nn::batch_norm2d(y, {}, "bn2");
    Var shortcut =
        nn::conv2d(x, {.out_channels = 8, .kernel = 1, .stride = 2, .bias = false}, "d.0");
    shortcut = nn::batch_norm2d(shortcut, {}, "d.1");
    graph.set_outputs({nn::relu(nn::add(y, shortcut, "add"), "relu2")});
    check_fold(graph, {2, 4, 8, 8}, 3, 0);
  }

  TEST_CASE(
      "statistics that are not finite are an error that names the layer and changes nothing") {
    Graph graph;
    Var x = graph.input("x", {1, 2, 4, 4});
    x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv1"), {}, "bn1");
    x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 2, .kernel = 1}, "conv2"), {}, "bn2");
    graph.set_outputs({x});
    randomize(graph, Rng(3));
    graph.parameter("bn2.running_var").edit().data()[1] = std::numeric_limits<float>::quiet_NaN();
    const Tensor weight = graph.parameter("conv1.weight").value().clone();
    CHECK_THROWS_WITH_AS(ptq::fold_all_batch_norms(graph), doctest::Contains("bn2"), Error);
    CHECK(graph.find_node("bn1") != nullptr);
    check_equal(weight, graph.parameter("conv1.weight").value(), 0);
    graph.parameter("bn2.running_var").edit().data()[1] = -1e-6f;  // epsilon would hide it
    check_refused(graph, "bn2", [&] { ptq::fold_all_batch_norms(graph); });
  }
}

TEST_SUITE("ptq: folding given batch norms") {
  TEST_CASE("only the named ones are folded, in the direction that the layer's name says") {
    Graph graph = between_layers();
    randomize(graph, Rng(1));
    const Tensor x = random_input({2, 3, 5, 5}, Rng(2));
    const Tensor before = Executor(graph).forward(x);
    Graph forward = graph.clone();
    ptq::fold_given_batch_norms(forward, {{.layer = "last", .batch_norm = "bn"}});
    forward.check();
    CHECK(forward.find_value("first.bias") == nullptr);
    check_equal(before, Executor(forward).forward(x), 1e-5);
    ptq::fold_given_batch_norms(graph, {{.layer = "first", .batch_norm = "bn"}});
    CHECK(graph.find_value("first.bias") != nullptr);
    check_equal(before, Executor(graph).forward(x), 1e-5);

    Graph golden = golden::network("network/trained.safetensors");
    ptq::fold_given_batch_norms(golden,
                                {{.layer = "layer1.0.conv1", .batch_norm = "layer1.0.bn1"}});
    CHECK(count(golden, "BatchNormalization") == 8);
  }

  TEST_CASE("all pairs that fold_all_batch_norms returned give the same weights, bit for bit") {
    Graph all = golden::network("network/trained.safetensors");
    Graph given = all.clone();
    const std::vector<ptq::FoldedPair> pairs = ptq::fold_all_batch_norms(all).folded;
    ptq::fold_given_batch_norms(given, pairs);
    CHECK(fingerprint(given) == fingerprint(all));

    Graph row;
    Var x = nn::batch_norm2d(row.input("x", {2, 3, 5, 5}), {}, "bn0");
    x = nn::conv2d(x, {.out_channels = 4, .kernel = 3}, "conv");
    row.set_outputs({nn::batch_norm2d(nn::batch_norm2d(x, {}, "bn1"), {}, "bn2")});
    randomize(row, Rng(9));
    Graph same = row.clone();
    ptq::fold_given_batch_norms(same, ptq::fold_all_batch_norms(row).folded);
    CHECK(count(row, "BatchNormalization") == 0);
    CHECK(fingerprint(same) == fingerprint(row));
  }

  TEST_CASE("a pair that is not adjacent, or cannot be folded, is refused with the reason") {
    Graph graph;
    Var x = graph.input("x", {2, 3, 6, 6});
    x = nn::batch_norm2d(nn::conv2d(x, {.out_channels = 4, .kernel = 1}, "conv1"), {}, "bn1");
    x = nn::batch_norm2d(nn::relu(x, "relu"), {}, "bn2");
    graph.set_outputs({nn::conv2d(x, {.out_channels = 4, .kernel = 3, .padding = 1}, "conv2")});
    randomize(graph, Rng(4));
    const auto fold = [&](std::vector<ptq::FoldedPair> pairs) {
      return [&graph, pairs] { ptq::fold_given_batch_norms(graph, pairs); };
    };
    const ptq::FoldedPair good{"conv1", "bn1"};
    check_refused(graph, "[Conv conv2] is not next to bn1: conv1 stands in front of it",
                  fold({{"conv2", "bn1"}}));
    check_refused(graph, "it follows [Relu relu]", fold({good, {"conv1", "bn2"}}));
    check_refused(graph, "conv2 pads with zeros", fold({good, {"conv2", "bn2"}}));
    check_refused(graph, "[Relu relu] is not a batch norm", fold({good, {"conv1", "relu"}}));
    check_refused(graph, "bn1 is named twice", fold({good, good}));
    check_refused(graph, "closest: bn1", fold({good, {"conv1", "bn"}}));
    graph.parameter("bn1.running_var").edit().data()[0] = -1;
    check_refused(graph, "channel 0", fold({good}));
  }
}
