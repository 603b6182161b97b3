#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "io/tensors/npy_write.h"
#include "rung/analysis/dump.h"
#include "rung/analysis/tensor_diff.h"
#include "rung/core/error.h"
#include "support/analysis_helpers.h"
#include "support/temporary_folder.h"

using namespace rung;
using analysis::TensorDiff;
using analysis::TensorDifference;
using analysis::TensorDiffOptions;
using analysis::TensorDiffResult;
using analysis::TensorSource;
namespace fs = std::filesystem;

namespace {

TensorDiffResult diff(TensorSource& a, TensorSource& b, const TensorDiffOptions& options = {}) {
  TensorDiff comparing(a, b, options);
  for (const Tensor& batch : test::batches()) comparing.add({&batch, 1});
  return comparing.result();
}

TensorDiffResult diff(Graph& a, Graph& b, const TensorDiffOptions& options = {}) {
  return diff(*analysis::tensors_of(a), *analysis::tensors_of(b), options);
}

const TensorDifference& tensor(const TensorDiffResult& result, const std::string& name) {
  const auto found = std::ranges::find(result.tensors, name, &TensorDifference::name);
  REQUIRE(found != result.tensors.end());
  return *found;
}

void write_npy(const fs::path& path, const Shape& shape, const std::vector<float>& numbers) {
  const auto dims = shape.dims();
  io::NpyWriter file(path, io::Dtype::F32, {dims.begin() + 1, dims.end()});
  file.append(shape[0], std::as_bytes(std::span(numbers)));
  file.finish();
}

/// Compares one array with another, both in folders.
TensorDifference compare(const std::vector<float>& a, const std::vector<float>& b,
                         const TensorDiffOptions& options = {}) {
  const TemporaryFolder first, second;
  write_npy(first / "t.npy", {std::ssize(a)}, a);
  write_npy(second / "t.npy", {std::ssize(b)}, b);
  const auto x = analysis::tensors_in(first.path()), y = analysis::tensors_in(second.path());
  TensorDiff comparing(*x, *y, options);
  comparing.add({});
  const TensorDiffResult result = comparing.result();
  REQUIRE(result.tensors.size() == 1);
  return result.tensors[0];
}

/// x -> Relu -> Relu -> Relu of these names.
Graph chain(const std::vector<std::string>& names) {
  Graph graph;
  Var x = graph.input("x", {1, 2, 6, 6});
  for (const std::string& name : names) x = nn::relu(x, name);
  graph.set_outputs({x});
  return graph;
}

}  // namespace

TEST_SUITE("analysis: difference of tensors") {
  TEST_CASE("is none between a network and itself") {
    QuantizationSimModel sim = calibrated({});
    Graph other = sim.graph().clone();
    const TensorDiffResult result = diff(sim.graph(), other);
    CHECK(result.first() == nullptr);
    CHECK(result.by_name == std::ssize(result.tensors));
    CHECK(result.by_position == 0);
    CHECK(result.only_first.empty());
    CHECK(result.only_second.empty());
    CHECK(tensor(result, "relu1").codes->equal == 7 * 3 * 16);
    CHECK(tensor(result, "relu1").error.count == 7 * 3 * 16);
    CHECK(tensor(result, "conv1.weight").codes->equal == 54);  // once, not once per batch
  }

  TEST_CASE("begins at the first tensor that differs") {
    Graph a = small_net(), b = small_net();
    b.parameter("conv3.bias").edit().data()[0] += 1.0f;
    const TensorDiffResult result = diff(a, b);
    REQUIRE(result.first() != nullptr);
    CHECK(result.first()->name == "conv3.bias");
    CHECK(result.first()->different == 1);
    CHECK(result.first()->largest == doctest::Approx(1.0));
    CHECK(result.first()->mean == doctest::Approx(1.0 / 3));
    CHECK(!tensor(result, "conv2").differs());
    CHECK(tensor(result, "conv3").different == 7 * 16);
    CHECK(tensor(result, "fc").differs());
    const TensorDifference& conv3 = tensor(result, "conv3");
    CHECK(conv3.error.sqnr_db < 100);
    CHECK(!conv3.codes);
  }

  TEST_CASE("has the formulas of the README") {
    const TensorDifference d = compare({1, 2, -3, 0.5f}, {1, 2.5f, -3, 0});
    CHECK(d.different == 2);
    CHECK(d.largest == 0.5);
    CHECK(d.mean == 0.25);
    CHECK(d.error.count == 4);
    CHECK(d.error.mse == doctest::Approx(0.125));
    CHECK(d.error.sqnr_db == doctest::Approx(10 * std::log10(14.25 / 0.5)));
    CHECK(!d.codes);
    CHECK(!d.ties);
  }

  TEST_CASE("keeps to the tolerance, relative where numbers are large") {
    CHECK(compare({1000, 0.1f}, {1000.5f, 0.1005f}, {.tolerance = 1e-3}).different == 0);
    CHECK(compare({1000, 0.1f}, {1002, 0.1005f}, {.tolerance = 1e-3}).different == 1);
    CHECK(compare({1000, 0.1f}, {1000, 0.102f}, {.tolerance = 1e-3}).different == 1);
    CHECK(compare({1}, {std::nextafter(1.0f, 2.0f)}).different == 1);
  }

  TEST_CASE("takes NaN for itself alone") {
    const float nan = std::nanf(""), inf = INFINITY;
    CHECK(compare({nan, inf}, {nan, inf}).different == 0);
    CHECK(compare({nan, 1}, {1, 1}, {.tolerance = 1}).different == 1);
    CHECK(compare({inf, 1}, {1, 1}, {.tolerance = 1}).different == 1);
    CHECK(std::isinf(compare({1}, {nan}).largest));
  }

  TEST_CASE("counts codes where both lie on one grid, and ties") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    const QuantizerHandle quantizer = sim.quantizer("relu1");
    const float scale = quantizer.encoding().scale[0];
    const TemporaryFolder folder;
    analysis::Dump writing(sim.graph(), folder / "d");
    for (const Tensor& batch : test::batches()) writing.add({&batch, 1});
    writing.finish();
    // Another tool's array, moved by some codes.
    Executor executor(sim.graph());
    executor.watch({"relu1.qdq"});
    std::vector<float> numbers;
    for (const Tensor& batch : test::batches()) {
      executor.forward(batch);
      const std::vector<float> some = values(executor.value("relu1.qdq"));
      numbers.insert(numbers.end(), some.begin(), some.end());
    }
    numbers[0] += scale;
    numbers[5] -= 2 * scale;
    numbers[9] += 7 * scale;
    numbers[11] += scale;
    const TemporaryFolder theirs;
    write_npy(theirs / "relu1.npy", {7, 3, 4, 4}, numbers);
    const auto other = analysis::tensors_in(theirs.path());
    const TensorDifference found = diff(*analysis::tensors_of(sim.graph()), *other).tensors.at(0);
    CHECK(found.different == 4);
    REQUIRE(found.codes);
    CHECK(*found.codes == TensorDifference::Codes{7 * 48 - 4, 2, 1, 1});
    REQUIRE(found.ties);
    CHECK(found.ties->different <= found.ties->count);

    const auto dumped = analysis::tensors_in(folder / "d");
    TensorDiff folders(*dumped, *other);
    folders.add({});
    CHECK(folders.result().tensors.at(0).codes == found.codes);
    CHECK(!folders.result().tensors.at(0).ties);  // nobody knows what the quantizer got

    numbers[1] += 0.3f * scale;
    write_npy(theirs / "relu1.npy", {7, 3, 4, 4}, numbers);
    const auto off = analysis::tensors_in(theirs.path());
    CHECK(!diff(*analysis::tensors_of(sim.graph()), *off).tensors.at(0).codes);
  }

  TEST_CASE("counts codes on grids that differ by rounding alone, and on no others") {
    const QuantizationSimModel sim = calibrated({});
    for (const float factor : {1 + 5e-7f, 1 + 1e-3f}) {
      QuantizationSimModel other = calibrated({});
      QuantizerHandle quantizer = other.quantizer("relu1");
      Range range = quantizer.ranges()[0];
      range.max *= factor;
      quantizer.set_range(range);
      Graph a = sim.graph().clone();
      const TensorDiffResult result = diff(a, other.graph());
      CHECK(tensor(result, "relu1").differs());
      CHECK(tensor(result, "relu1").codes.has_value() == (factor < 1 + 1e-6f));
    }
  }

  TEST_CASE("says which differences are at ties") {
    Graph graph;
    graph.set_outputs({nn::relu(graph.input("x", {1, 4}), "relu")});
    QuantizationSimModel sim(graph, {.default_output_bw = 8});
    sim.compute_encodings([](Executor& executor) {
      executor.forward(Tensor({1, 4}, {0.0f, 25.5f, 1.0f, 2.0f}));
    });
    for (const QuantizerHandle& each : sim.quantizers())
      if (each.place() == QuantizerPlace::edge) each.op().set_enabled(false);
    sim.quantizer("relu").set_range({0.0f, 255.0f});  // a step of 1
    const Tensor input({1, 4}, {0.5f, 1.5f, 2.25f, 7.0f});
    const TemporaryFolder theirs;
    write_npy(theirs / "relu.npy", {1, 4}, {1, 2, 3, 7});
    const auto a = analysis::tensors_of(sim.graph()), b = analysis::tensors_in(theirs.path());
    TensorDiff comparing(*a, *b);
    comparing.add({&input, 1});
    const TensorDifference found = comparing.result().tensors.at(0);
    CHECK(*found.codes == TensorDifference::Codes{2, 2, 0, 0});  // 0.5 becomes 0, 2.25 becomes 2
    CHECK(*found.ties == TensorDifference::Ties{2, 1});
  }

  TEST_CASE("of a dump is none, whatever its format and the batches") {
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    using Format = analysis::DumpOptions::Format;
    for (const Format format : {Format::npy, Format::safetensors})
      for (const bool codes : {false, true}) {
        CAPTURE(codes);
        const TemporaryFolder folder;
        const fs::path out = folder / "d";
        analysis::Dump writing(sim.graph(), out, {.format = format, .codes = codes});
        for (const Tensor& batch : test::batches()) writing.add({&batch, 1});
        writing.finish();
        const auto dumped = analysis::tensors_in(out);
        const TensorDiffResult result = diff(*dumped, *analysis::tensors_of(sim.graph()));
        CHECK(result.first() == nullptr);
        CHECK(result.only_first.empty());
        CHECK(result.only_second.empty());

        const auto again = analysis::tensors_of(sim.graph());
        TensorDiff more(*dumped, *again);
        CHECK_THROWS_AS(more.add({&test::batches()[0], 1}), rung::Error);  // images after the last
      }
  }
}

TEST_SUITE("analysis: which tensors belong together") {
  TEST_CASE("those of the same name, then those of the same position") {
    Graph a = chain({"one", "two", "three"}), b = chain({"one", "zwei", "three"});
    const TensorDiffResult result = diff(a, b);
    CHECK(result.by_name == 3);
    CHECK(result.by_position == 1);
    CHECK(tensor(result, "two").other_name == "zwei");
    CHECK(tensor(result, "two").by_position);
    CHECK(result.first() == nullptr);
  }

  TEST_CASE("not by position where one has more") {
    Graph a = chain({"one", "two", "three"}), b = chain({"one", "zwei", "drei", "three"});
    const TensorDiffResult result = diff(a, b);
    CHECK(result.by_position == 0);
    CHECK(result.only_first == std::vector<std::string>{"two"});
    CHECK(result.only_second == std::vector<std::string>{"zwei", "drei"});
  }

  TEST_CASE("not by position where types differ") {
    Graph a = chain({"one"}), b;
    Var x = b.input("x", {1, 2, 6, 6});
    b.set_outputs({nn::sigmoid(x, "eins")});
    CHECK(diff(a, b).by_position == 0);
  }

  TEST_CASE("by the names of files") {
    Graph graph = chain({"/layer/Relu:0"});
    const TemporaryFolder folder;
    write_npy(folder / "_layer_Relu_0.npy", {7, 2, 6, 6}, std::vector<float>(7 * 72));
    const auto theirs = analysis::tensors_in(folder.path());
    const TensorDiffResult result = diff(*analysis::tensors_of(graph), *theirs);
    CHECK(result.by_name == 1);
    CHECK(result.tensors.at(0).other_name == "_layer_Relu_0");
    CHECK(result.first() != nullptr);
  }

  TEST_CASE("by the names of values: another tool has what is before a quantizer, too") {
    const QuantizationSimModel sim = calibrated({});
    Graph graph = sim.graph().clone();
    const TemporaryFolder folder;
    for (const char* name : {"relu1", "relu1.qdq", "conv1"})
      write_npy(folder / (std::string(name) + ".npy"), {7, 3, 4, 4}, std::vector<float>(7 * 48));
    const auto theirs = analysis::tensors_in(folder.path());
    const TensorDiffResult result = diff(*analysis::tensors_of(graph), *theirs);
    CHECK(result.by_name == 2);
    CHECK(tensor(result, "relu1").other_name == "relu1.qdq");
    CHECK(tensor(result, "conv1").other_name == "conv1");
    CHECK(result.only_second == std::vector<std::string>{"relu1"});
  }

  TEST_CASE("and are told where their shapes do not fit") {
    Graph graph = chain({"one"});
    const TemporaryFolder folder;
    write_npy(folder / "one.npy", {7, 6, 6, 2}, std::vector<float>(7 * 72));
    const TensorDiffResult result =
        diff(*analysis::tensors_of(graph), *analysis::tensors_in(folder.path()));
    REQUIRE(result.first() != nullptr);
    CHECK(result.first()->misfit == "[4, 2, 6, 6] and [4, 6, 6, 2]");
  }

  TEST_CASE("an Error if there are none") {
    Graph a = chain({"one"});
    const TemporaryFolder folder;
    CHECK_THROWS_AS(analysis::tensors_in(folder.path()), rung::Error);
    CHECK_THROWS_AS(analysis::tensors_in(folder / "none"), rung::Error);
    write_npy(folder / "other.npy", {1}, {1});
    const auto theirs = analysis::tensors_in(folder.path()), ours = analysis::tensors_of(a);
    CHECK_THROWS_AS(TensorDiff(*ours, *theirs), rung::Error);
  }
}
