#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "analysis/dump_index.h"
#include "analysis/network_tensors.h"
#include "doctest/doctest.h"
#include "io/tensors/dtype.h"
#include "io/tensors/npy_read.h"
#include "rung/analysis/dump.h"
#include "rung/core/error.h"
#include "rung/io/safetensors.h"
#include "rung/io/text_file.h"
#include "rung/quant/fake_quantize.h"
#include "support/analysis_helpers.h"
#include "support/message_of.h"
#include "support/temporary_folder.h"

using namespace rung;
using analysis::Dump;
using analysis::DumpedTensor;
using analysis::DumpIndex;
using analysis::DumpOptions;
namespace fs = std::filesystem;

namespace {

/// Dumps the test's batches and returns the index.
DumpIndex dump(QuantizationSimModel& sim, const fs::path& folder, const DumpOptions& options = {}) {
  Dump writing(sim.graph(), folder, options);
  for (const Tensor& batch : test::batches()) writing.add({&batch, 1});
  const std::int64_t count = writing.finish();
  const auto index = analysis::read_dump_index(folder);
  REQUIRE(index);
  CHECK(std::ssize(index->tensors) == count);
  CHECK(index->images == 7);
  return *index;
}

const DumpedTensor& tensor(const DumpIndex& index, const std::string& name) {
  const auto found = std::ranges::find(index.tensors, name, &DumpedTensor::name);
  REQUIRE(found != index.tensors.end());
  return *found;
}

std::vector<float> floats_in(const fs::path& path) {
  const io::Npy npy = io::read_npy(path.string());
  std::vector<float> numbers(npy.data.size() / static_cast<std::size_t>(bit_size(npy.dtype) / 8));
  io::to_floats(npy.dtype, npy.data, numbers);
  return numbers;
}

/// What the readers of a value get, for all images.
std::vector<float> expected(QuantizationSimModel& sim, const std::string& value) {
  Executor executor(sim.graph());
  executor.watch({value});
  std::vector<float> all;
  for (const Tensor& batch : test::batches()) {
    executor.forward(batch);
    const std::vector<float> some = values(executor.value(value));
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

TEST_SUITE("analysis: dump") {
  TEST_CASE("writes inputs, parameters and outputs in network order, behind their quantizers") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    const fs::path out = folder / "out";
    const DumpIndex index = dump(sim, out);
    std::vector<std::string> names;
    for (const DumpedTensor& each : index.tensors) {
      names.push_back(each.name);
      CHECK(each.name.find("qdq") == std::string::npos);
      CHECK(fs::exists(out / each.file));
      CHECK(each.dtype == io::Dtype::F32);
    }
    CHECK(names.front() == "x");
    CHECK(names.back() == "fc");
    CHECK(std::ranges::count(names, "conv1.weight") == 1);
    const DumpedTensor& relu = tensor(index, "relu1");
    CHECK(relu.shape == Shape{7, 3, 4, 4});
    CHECK(relu.type == "Relu");
    CHECK(!relu.fixed);
    REQUIRE(relu.encoding);
    CHECK(relu.encoding->bitwidth == 6);
    CHECK(floats_in(out / relu.file) == expected(sim, "relu1.qdq"));
    const DumpedTensor& weight = tensor(index, "conv1.weight");
    CHECK(weight.fixed);
    CHECK(weight.shape == Shape{3, 2, 3, 3});
    const QuantizerHandle quantizer = sim.quantizer("conv1.weight");
    CHECK(floats_in(out / weight.file) ==
          values(quantizer.quantize_dequantize(quantizer.source().parameter()->value())));
  }

  TEST_CASE("writes codes from which the same numbers follow, in either format") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({.default_output_bw = 6, .default_param_bw = 4});
    const fs::path root = folder.path();
    const DumpIndex floats = dump(sim, root / "floats");
    const DumpIndex codes = dump(sim, root / "codes", {.codes = true});
    const DumpIndex joined =
        dump(sim, root / "joined", {.format = DumpOptions::Format::safetensors, .codes = true});
    const io::SafetensorsFile file(root / "joined" / "tensors.safetensors");
    REQUIRE(codes.tensors.size() == floats.tensors.size());
    REQUIRE(joined.tensors.size() == floats.tensors.size());
    std::size_t with_codes = 0;
    for (std::size_t i = 0; i < codes.tensors.size(); ++i) {
      const DumpedTensor& each = codes.tensors[i];
      CAPTURE(each.name);
      const std::vector<float> wanted = floats_in(root / "floats" / floats.tensors[i].file);
      const std::vector<float> stored = floats_in(root / "codes" / each.file);
      CHECK(values(file.tensor(each.name)) == stored);
      CHECK(file.info(each.name).dtype == each.dtype);
      if (!each.codes) {
        CHECK(stored == wanted);
        continue;
      }
      ++with_codes;
      const bool is_weight = each.type == "parameter";
      CHECK(each.dtype == (is_weight ? io::Dtype::I8 : io::Dtype::U8));
      const std::vector<std::int32_t> whole(stored.begin(), stored.end());
      CHECK(dequantize(whole, each.shape, *each.encoding) == wanted);
    }
    CHECK(with_codes == sim.quantizers().size());
    CHECK(std::distance(fs::directory_iterator(root / "joined"), {}) == 2);
  }

  TEST_CASE("gives the same numbers whatever the batches are") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({});
    const fs::path root = folder.path();
    const DumpIndex index = dump(sim, root / "two");
    Dump single(sim.graph(), root / "seven");
    for (const Tensor& batch : test::batches())
      for (std::int64_t i = 0; i < batch.size(0); ++i) {
        const Tensor one = batch.slice(i, i + 1);
        single.add({&one, 1});
      }
    single.finish();
    for (const DumpedTensor& each : index.tensors)
      if (each.type == "input" || each.type == "parameter" || each.name == "relu1")
        CHECK(floats_in(root / "two" / each.file) == floats_in(root / "seven" / each.file));
  }

  TEST_CASE("replaces an earlier dump and nothing else") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({});
    const fs::path root = folder.path(), out = root / "out";
    fs::create_directory(out);  // empty
    dump(sim, out);
    dump(sim, out, {.format = DumpOptions::Format::safetensors});
    CHECK(fs::exists(out / "tensors.safetensors"));
    CHECK(!fs::exists(out / "fc.npy"));
    CHECK(std::distance(fs::directory_iterator(root), {}) == 1);
    std::ofstream(out / "notes.txt") << "mine";
    CHECK(message_of([&] { Dump(sim.graph(), out); }).find("\"notes.txt\" in it") !=
          std::string::npos);
    fs::create_directory(root / "mine");
    std::ofstream(root / "mine" / "notes.txt") << "mine";
    CHECK_THROWS_AS(Dump(sim.graph(), root / "mine"), rung::Error);
    CHECK_THROWS_AS(Dump(sim.graph(), root / "mine" / "notes.txt"), rung::Error);
    CHECK(fs::exists(root / "mine" / "notes.txt"));
    CHECK_THROWS_AS(Dump(sim.graph(), root / "no" / "folder"), rung::Error);
  }

  TEST_CASE("leaves nothing behind if it does not finish") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({});
    {
      Dump writing(sim.graph(), folder / "out");
      writing.add({&test::batches()[0], 1});
      CHECK(!fs::exists(folder / "out"));
    }
    CHECK(fs::is_empty(folder.path()));
    Dump writing(sim.graph(), folder / "out");
    CHECK_THROWS_AS(writing.finish(), rung::Error);
  }

  TEST_CASE("removes what a killed process has left, and nothing of a running one") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({});
    for (const char* name : {".out.123.tmp", ".out.mine.tmp", ".other.123.tmp"}) {
      fs::create_directory(folder / name);
      std::ofstream(folder / name / "x.npy") << "x";
    }
    {
      Dump running(sim.graph(), folder / "out");
      CHECK(!fs::exists(folder / ".out.123.tmp"));
      CHECK(folder.file_count() == 3);
      CHECK_THROWS_AS(Dump(sim.graph(), folder / "out"), rung::Error);  // of the same process
      CHECK(folder.file_count() == 3);
    }
    CHECK(fs::exists(folder / ".out.mine.tmp"));
    CHECK(fs::exists(folder / ".other.123.tmp"));
    CHECK(folder.file_count() == 2);
  }

  TEST_CASE("makes names of files safe and different") {
    const TemporaryFolder folder;
    Graph graph;
    Var x = graph.input("/x/input:0", {1, 2});
    x = nn::relu(x, "../../etc/Relu");
    x = nn::relu(x, "../../etc/relu");
    x = nn::relu(x, ".._.._etc_relu");
    x = nn::relu(x, "index.json");
    graph.set_outputs({nn::relu(x, "層")});
    const fs::path out = folder / "out";
    Dump writing(graph, out);
    const Tensor input = random_tensor({2, 2}, 1);
    writing.add({&input, 1});
    CHECK(writing.finish() == 6);
    const auto index = analysis::read_dump_index(out);
    REQUIRE(index);
    CHECK(std::distance(fs::directory_iterator(out), {}) == 7);
    CHECK(tensor(*index, "/x/input:0").file == "_x_input_0.npy");
    CHECK(tensor(*index, "../../etc/relu").file == "_.._.._etc_relu-2.npy");
    CHECK(tensor(*index, "層").file.find_first_not_of("_-.npy0123456789") == std::string::npos);
  }

  TEST_CASE("trusts no index") {
    const TemporaryFolder folder;
    QuantizationSimModel sim = calibrated({});
    const fs::path out = folder / "out";
    dump(sim, out, {.codes = true});
    const std::string text = io::read_text_file(out / "index.json");
    const auto damaged = [&](const std::string& from, const std::string& to) {
      std::string changed = text;
      const std::size_t at = changed.find(from);
      REQUIRE(at != std::string::npos);
      io::write_text_file(out / "index.json", changed.replace(at, from.size(), to));
      return message_of([&] { (void)analysis::read_dump_index(out); });
    };
    CHECK(damaged("\"rung_dump\": 1", "\"rung_dump\": 2") != "no Error");
    CHECK(damaged("\"file\": \"x.npy\"", "\"file\": \"../x.npy\"") != "no Error");
    CHECK(damaged("\"dtype\": \"F32\"", "\"dtype\": \"F4\"") != "no Error");
    CHECK(damaged("\"bitwidth\": 8", "\"bitwidth\": 99") != "no Error");
    CHECK(damaged("\"scale\": [", "\"scale\": [-1, ") != "no Error");
    CHECK(damaged("\"axis\": 0", "\"axis\": 7") != "no Error");
    CHECK(damaged("\"codes\": true", "\"codes\": 1") != "no Error");
  }
}

TEST_SUITE("analysis: tensors of a network") {
  TEST_CASE("have the name and the numbers that readers get, with and without quantizers") {
    QuantizationSimModel sim = calibrated({});
    Graph network = small_net();
    std::vector<std::string> in_float, in_sim;
    for (const auto& each : analysis::network_tensors(network)) in_float.push_back(each.name);
    for (const auto& each : analysis::network_tensors(sim.graph())) {
      in_sim.push_back(each.name);
      CHECK(each.encoding.has_value() == !each.before.empty());
      if (each.name == "x") CHECK(each.value == "conv1.input0.qdq");  // its only reader's
      if (each.name == "conv1") CHECK(each.value == "conv1");
    }
    CHECK(in_float == in_sim);

    sim.quantizer("relu1").disable();
    for (const auto& each : analysis::network_tensors(sim.graph()))
      if (each.name == "relu1") {
        CHECK(each.value == "relu1");
        CHECK(!each.encoding);
      }
  }
}
