// Checkpoints as tools and people leave them: tests/golden/pth/variants/make.py says what each is.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "golden/golden.h"
#include "io/tensors/pickle.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::small_network;
using iotest::TemporaryFolder;

namespace {

std::string variant(const std::string& name) { return golden::path("pth/variants/" + name); }

/// Loads into a network of zeros and returns what was left out; the numbers must be right.
LoadWeightsReport load(const std::string& path) {
  CAPTURE(path);
  Graph graph = small_network();
  for (Parameter* parameter : graph.parameters()) parameter->edit().fill(0);
  const LoadWeightsReport report = load_weights(graph, path);
  const Graph expected = small_network();
  for (const Parameter* parameter : graph.parameters()) {
    CAPTURE(parameter->name());
    CHECK(std::ranges::equal(parameter->value().data(),
                             expected.parameter(parameter->name()).value().data()));
  }
  CHECK(report.missing.empty());
  CHECK(report.unexpected.empty());
  return report;
}

std::string refusal(const std::string& name) {
  return message_of([&] {
    const PthFile file(variant(name));
    for (const PthTensor& tensor : file.tensors()) (void)file.bytes(tensor.name);
  });
}

/// Returns the same bytes with one bit flipped in the middle of a storage.
std::string flipped(std::string bytes, const std::string& entry) {
  const std::size_t header = bytes.find(entry);
  REQUIRE(header != std::string::npos);
  const auto byte = [&](std::size_t at) {
    return static_cast<std::size_t>(static_cast<unsigned char>(bytes[at]));
  };
  const std::size_t extra = byte(header - 2) | byte(header - 1) << 8;
  bytes[header + entry.size() + extra + 2] ^= 0x10;
  return bytes;
}

}  // namespace

TEST_SUITE_BEGIN("io pth variants");

TEST_CASE("checkpoints of Python 2 and of every protocol of pickle are read") {
  for (const char* name : {"python2.pth", "protocol1.pth", "protocol4.pth", "no_checksums.pth"})
    CHECK(load(variant(name)).to_string().empty());
}

TEST_CASE("the state_dict is found beside other tensors, arguments and an optimizer's state") {
  CHECK(load(variant("checkpoint_with_args.pth")).prefix == "module.");
}

TEST_CASE("one prefix before all names is taken off, in every format, and said") {
  CHECK(load(variant("lightning.ckpt")).prefix == "model.");
  CHECK(load(variant("prefix_without_dot.pth")).prefix == "net/");
  const LoadWeightsReport two = load(variant("two_prefixes.pth"));
  CHECK(two.prefix == "module._orig_mod.");
  CHECK(two.to_string() == "read without \"module._orig_mod.\" before the names");

  const TemporaryFolder folder;
  const Graph graph = small_network();
  for (const std::string prefix : {"module.", "_orig_mod.", "model.", "ema.", "anything.else."}) {
    SafetensorsContent content;
    for (const Parameter* parameter : graph.parameters())
      content.tensors.emplace_back(prefix + parameter->name(), parameter->value());
    save_safetensors(folder / "x.safetensors", content);
    CHECK(load(folder.path("x.safetensors")).prefix == prefix);
    convert_weights(folder / "x.safetensors", folder / "x.pth");
    CHECK(load(folder.path("x.pth")).prefix == prefix);
  }
}

TEST_CASE("what tools leave beside the weights is left out, and said") {
  CHECK(load(variant("averaged.pth")).to_string() ==
        "read without \"module.\" before the names; left out: \"n_averaged\"");
  CHECK(load(variant("with_average.pth")).to_string() == "left out: \"model_ema\"");
  CHECK(PthFile(variant("with_average.pth")).other_dicts() ==
        std::vector<std::string>{"model_ema"});
  const TemporaryFolder folder;
  CHECK(convert_weights(variant("with_average.pth"), folder / "x.safetensors").to_string() ==
        "left out: \"model_ema\"");
  CHECK(load(variant("profiled.pth")).to_string() == "left out: 2 \"total_ops\", \"total_params\"");
}

TEST_CASE("other tensors beside the weights are still unexpected, and a prefix is named") {
  const TemporaryFolder folder;
  Graph graph = small_network();
  SafetensorsContent content;
  for (const Parameter* parameter : graph.parameters())
    if (parameter->name() != "fc.bias")
      content.tensors.emplace_back("model." + parameter->name(), parameter->value());
  content.tensors.emplace_back("model.fc2.bias", Tensor(Shape{5}));
  save_safetensors(folder / "x", content);
  CHECK(message_of([&] { load_weights(graph, folder / "x"); }) ==
        folder.path("x") +
            ": does not fit the model without \"model.\" before its names; 1 missing: \"fc.bias\" "
            "(closest: \"fc2.bias\"); 1 unexpected: \"fc2.bias\" (closest: \"fc.bias\")");
  CHECK(
      message_of([&] { load_weights(graph, variant("student_and_teacher.pth")); })
          .ends_with("has the weights twice, before the names stand \"student.\" and \"teacher.\"; "
                     "save those that are meant"));
}

TEST_CASE("tensors that repeat their storage are read as torch reads them") {
  const PthFile file(variant("expanded.pth"));
  CHECK(std::ranges::equal(file.tensor("layer1.0.conv1.bias").data(),
                           std::vector<float>{2.5, 2.5, 2.5, 2.5}));
  CHECK(std::ranges::equal(
      file.tensor("fc.weight").data(),
      std::vector<float>{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5}));
  CHECK(std::ranges::equal(file.tensor("bn1.bias").data(), std::vector<float>{1, 3, 5, 7}));
}

TEST_CASE("newer types of elements and classes of tensors are read") {
  const PthFile file(variant("kinds.pth"));
  CHECK(file.info("f8").dtype == Dtype::F8_E4M3);
  CHECK(std::ranges::equal(file.tensor("f8").data(), std::vector<float>{1, -0.5}));
  CHECK(std::ranges::equal(file.tensor("u16").data(), std::vector<float>{1, 60000}));
  CHECK(std::ranges::equal(file.tensor("parameter").data(), std::vector<float>{1, 1}));
  CHECK(std::ranges::equal(file.tensor("subclass").data(), std::vector<float>{3, 4}));
}

TEST_CASE("tensors that are no plain numbers are named for what they are") {
  for (const char* name : {"quantized.pth", "quantized_legacy.pth"})
    CHECK(refusal(name) == variant(name) +
                               ": \"conv1.weight\" is a quantized tensor: save it "
                               "dequantized");
  for (const char* name : {"sparse.pth", "sparse_rows.pth"})
    CHECK(refusal(name) ==
          variant(name) + ": \"fc.weight\" is a sparse tensor: save its to_dense()");
  CHECK(refusal("complex.pth").find("\"fc.bias\" is a complex tensor") != std::string::npos);
  CHECK(refusal("meta.pth").find("\"fc.bias\" is a meta tensor") != std::string::npos);
}

TEST_CASE("what is no state_dict is refused by its name") {
  CHECK(refusal("whole_module_within.pth")
            .find("its \"model\" is a whole pickled object of the class "
                  "\"torch.nn.modules.linear.Linear\"") != std::string::npos);
  CHECK(refusal("two_dicts.pth").find("several dicts of tensors (\"generator\", \"critic\")") !=
        std::string::npos);
  CHECK(refusal("oldest_tar.pth").find("oldest format, a tar file") != std::string::npos);
  CHECK(refusal("other_pickle.pth").find("a Python pickle that torch.save has not written") !=
        std::string::npos);
}

TEST_CASE("a flipped bit of a number is noticed by its checksum, unless there are none") {
  const TemporaryFolder folder;
  const std::string whole = golden::bytes("pth/variants/expanded.pth");
  const std::string path = folder.write("flipped.pth", flipped(whole, "expanded/data/0"));
  CHECK(message_of([&] {
          (void)PthFile(path).tensor("conv1.weight");
        }).find("flipped.pth: is damaged: the checksum of an entry of 216 bytes is wrong") !=
        std::string::npos);
  const std::string unchecked = golden::bytes("pth/variants/no_checksums.pth");
  folder.write("unchecked.pth", flipped(unchecked, "no_checksums/data/0"));
  CHECK(PthFile(folder / "unchecked.pth").tensor("conv1.weight").data()[1] != 0.5f);
}

TEST_CASE("weights become other weights without a network, bit for bit") {
  const TemporaryFolder folder;
  for (const char* name : {"expanded.pth", "python2.pth", "kinds.pth"}) {
    CAPTURE(name);
    const ConvertWeightsReport report = convert_weights(variant(name), folder / "a.safetensors");
    const PthFile from(variant(name));
    const SafetensorsFile to(folder / "a.safetensors");
    CHECK(report.tensors == static_cast<std::int64_t>(from.tensors().size()));
    for (const PthTensor& tensor : from.tensors()) {
      CAPTURE(tensor.name);
      CHECK(to.info(tensor.name).dtype == tensor.dtype);
      CHECK(to.info(tensor.name).shape == tensor.shape);
      CHECK(to.bytes(tensor.name) == from.bytes(tensor.name));
    }
  }
  CHECK(message_of([&] {
          convert_weights(folder / "a.safetensors", folder / "b.pth");
        }).find("which is not written to a PyTorch checkpoint") != std::string::npos);
  // There and back; another type is asked for.
  convert_weights(variant("python2.pth"), folder / "a.safetensors");
  convert_weights(folder / "a.safetensors", folder / "b.pth");
  convert_weights(folder / "b.pth", folder / "c.safetensors");
  CHECK(iotest::read_bytes(folder / "a.safetensors") ==
        iotest::read_bytes(folder / "c.safetensors"));
  convert_weights(folder / "b.pth", folder / "d.safetensors", {.float_dtype = Dtype::F32});
  const SafetensorsFile wide(folder / "d.safetensors");
  CHECK(wide.info("fc.bias").dtype == Dtype::F32);
  CHECK(wide.info("bn1.num_batches_tracked").dtype == Dtype::I64);
  CHECK(wide.tensor("fc.bias").data()[4] == 37.375f);
  CHECK(load(folder.path("d.safetensors")).to_string().empty());
  CHECK(convert_weights(variant("lightning.ckpt"), folder / "e.pth").to_string() ==
        "all names begin with \"model.\", which stays");
}

TEST_CASE("too large numbers are refused in both formats, or saturated") {
  const TemporaryFolder folder;
  Graph graph = small_network();
  graph.parameter("fc.bias").edit().data()[3] = -1e6f;
  for (const char* name : {"x.safetensors", "x.pth"}) {
    CAPTURE(name);
    CHECK(message_of([&] {
            save_weights(graph, folder / name, {.float_dtype = Dtype::F16});
          }).find("\"fc.bias\" has -1000000 at position 3, F16 holds at most 65504") !=
          std::string::npos);
    CHECK(folder.file_count() == 0);
    save_weights(graph, folder / name, {.float_dtype = Dtype::F16, .saturate = true});
    Graph target = small_network();
    load_weights(target, folder / name);
    CHECK(target.parameter("fc.bias").value().data()[3] == -65504.0f);
    save_weights(graph, folder / name, {.float_dtype = Dtype::BF16});
    std::filesystem::remove(folder / name);
  }
}

TEST_CASE("texts and numbers of protocol 0 are read") {
  // pickle.dumps({"a": 1, u"\u00e9": -12345678901L, 'it\'s': True, "f": 1.5, "l": [1, None]}, 0)
  const std::string text =
      "(dp0\nS'a'\np1\nI1\nsV\\u00e9\np2\nL-12345678901L\nsS\"it's\\x41\"\np3\nI01\nsS'f'\nF1.5\n"
      "sS'l'\n(lp4\nI1\naNag1\nas.";
  const Pickle pickle = read_pickle(std::as_bytes(std::span(text)), "test");
  CHECK(pickle.length == text.size());
  REQUIRE(pickle.dicts.size() == 1);
  const auto& entries = pickle.dicts[0];
  REQUIRE(entries.size() == 5);
  const auto key = [&](std::size_t i) { return pickle.texts[pickle.values[entries[i].first].at]; };
  CHECK(key(0) == "a");
  CHECK(key(1) == "\xC3\xA9");
  CHECK(key(2) == "it'sA");
  CHECK(pickle.values[entries[0].second].integer == 1);
  CHECK(pickle.values[entries[1].second].integer == -12345678901);
  CHECK(pickle.values[entries[2].second].kind == PickledValue::Kind::boolean);
  CHECK(pickle.values[entries[3].second].kind == PickledValue::Kind::real);
  CHECK(pickle.lists[0].size() == 3);
}

TEST_CASE("2000 damaged checkpoints of each kind give an Error or tensors, never a crash") {
  const TemporaryFolder folder;
  std::uint64_t state = 11;
  for (const char* name :
       {"python2.pth", "protocol1.pth", "kinds.pth", "whole_module_within.pth"}) {
    const std::string whole = golden::bytes(std::string("pth/variants/") + name);
    int refused = 0;
    for (int i = 0; i < 2000; ++i) {
      const std::string path = folder.path("damaged.pth");
      iotest::write_bytes(path, iotest::damaged(whole, whole.size(), state));
      const std::string message = message_of([&] {
        const PthFile file(path);
        for (const PthTensor& tensor : file.tensors()) (void)file.tensor(tensor.name);
      });
      refused += message == "no Error" ? 0 : 1;
    }
    CHECK(refused > 500);
  }
}

TEST_SUITE_END();
