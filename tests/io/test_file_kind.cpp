// What a file is, by its content.

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#include "golden/golden.h"
#include "rung/io/file_kind.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/io/onnx_import.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/io/weights.h"
#include "support/io_helpers.h"
#include "support/io_models.h"

using namespace rung;
using namespace rung::io;
using iotest::TemporaryFolder;

namespace {

std::string in_tar(const std::string& name) {
  std::string file = name + std::string(512 - name.size(), '\0');
  file.replace(257, 5, "ustar");
  return file;
}

std::string in_zip(const std::string& name) {
  std::string file = "PK\3\4" + std::string(26, '\0') + name;
  file[26] = static_cast<char>(name.size());
  return file;
}

}  // namespace

TEST_SUITE_BEGIN("io file kind");

TEST_CASE("files that Rung writes are told by their content, whatever their name") {
  const TemporaryFolder folder;
  const Graph graph = iotest::small_network();
  save_model(folder / "a", graph);
  save_onnx(graph, folder / "b");
  save_weights(graph, folder / "c.safetensors");
  save_weights(graph, folder / "d.pth");
  CHECK(file_kind(folder / "a").format == FileFormat::model);
  CHECK(file_kind(folder / "b").format == FileFormat::onnx);
  CHECK(file_kind(folder / "c.safetensors").format == FileFormat::safetensors);
  CHECK(file_kind(folder / "d.pth").format == FileFormat::pth);
  CHECK(file_kind(golden::path("model_files/version1.rung")).format == FileFormat::model);
  for (const char* name :
       {"tensors.pth", "tensors_legacy.pth", "script.pt", "variants/lightning.ckpt",
        "variants/protocol1.pth", "variants/protocol4.pth", "variants/python2.pth"}) {
    CAPTURE(name);
    CHECK(file_kind(golden::path(std::string("pth/") + name)).format == FileFormat::pth);
  }
  // One that is cut off is what it was.
  const std::string onnx = iotest::read_bytes(folder / "b");
  CHECK(file_kind(folder.write("e", onnx.substr(0, onnx.size() / 2))).format == FileFormat::onnx);
  const std::string model = iotest::read_bytes(folder / "a");
  CHECK(file_kind(folder.write("f", model.substr(0, model.size() / 2))).format ==
        FileFormat::model);
}

TEST_CASE("ONNX files of other writers are told, too") {
  for (const auto& entry : std::filesystem::directory_iterator(golden::path("onnx")))
    if (entry.path().extension() == ".onnx") {
      CAPTURE(entry.path().string());
      CHECK(file_kind(entry.path()).format == FileFormat::onnx);
    }
}

TEST_CASE("other files are named") {
  const TemporaryFolder folder;
  const auto what = [&](const std::string& bytes) {
    return file_kind(folder.write("x", bytes)).what;
  };
  CHECK(what("") == "an empty file");
  CHECK(file_kind(golden::path("cases/pth_lfs.pth")).what.starts_with("a git-lfs pointer"));
  CHECK(file_kind(golden::path("cases/not_weights.h5")).what.starts_with("an HDF5 file"));
  CHECK(what("\n <!DOCTYPE html><html>404").starts_with("an HTML page"));
  CHECK(what("<HTML><HEAD>").starts_with("an HTML page"));
  CHECK(what("<?xml version=\"1.0\"?><Error><Code>AccessDenied").starts_with("an XML text"));
  CHECK(what("{\"error\": \"not found\"}") == "a JSON text");
  CHECK(what("Not Found") == "a text file");
  CHECK(what("BM means bitmap") == "a text file");
  CHECK(what("\x1F\x8B\x08garbage").starts_with("a gzip file"));
  CHECK(what(in_tar("resnet/model.pth")).starts_with("a tar archive"));
  CHECK(what(in_tar("sys_info")).starts_with("a PyTorch checkpoint in its oldest format"));
  CHECK(file_kind(golden::path("pth/variants/oldest_tar.pth")).what.find("oldest format") !=
        std::string::npos);
  CHECK(file_kind(golden::path("pth/variants/other_pickle.pth")).what.find("torch.save") !=
        std::string::npos);
  CHECK(what(in_zip("arr_0.npy")).find("*.npz") != std::string::npos);
  CHECK(what(in_zip("metadata.json")).find("*.keras") != std::string::npos);
  CHECK(what(in_zip("README.txt")) == "a zip file");
  CHECK(file_kind(golden::path("images/rgb.png.npy")).format == FileFormat::npy);
  for (const char* name : {"baseline.jpg", "rgb.png", "rgb.bmp"}) {
    CAPTURE(name);
    CHECK(file_kind(golden::path(std::string("images/") + name)).format == FileFormat::image);
  }
  CHECK(file_kind(folder.write("x", "\x01\x02\x03\x04\xFF")).format == FileFormat::unknown);
  CHECK(message_of([&] { file_kind(folder.path()); }).ends_with("is not a regular file"));
}

TEST_CASE("every reader of weights and models says what a file is and what was expected") {
  const TemporaryFolder folder;
  const std::string page = folder.write("page.pth", "<!DOCTYPE html>\n<title>Sign in</title>");
  const std::string is =
      page + ": is an HTML page, not the file that was to be downloaded; expected ";
  Graph graph = iotest::small_network();
  CHECK(message_of([&] { PthFile{page}; }) == is + "a PyTorch checkpoint");
  CHECK(message_of([&] { SafetensorsFile{page}; }) == is + "a safetensors file");
  CHECK(message_of([&] { load_model(page); }) == is + "a model file of Rung, *.rung");
  CHECK(message_of([&] { load_onnx(page); }) == is + "an ONNX model");
  CHECK(message_of([&] { load_weights(graph, page); }) == is + "weights, *.safetensors or *.pth");
  CHECK(message_of([&] { convert_weights(page, folder / "x.pth"); }) ==
        is + "weights, *.safetensors or *.pth");
  // One for the other.
  save_weights(graph, folder / "w.pth");
  CHECK(message_of([&] {
          load_model(folder / "w.pth");
        }).find("is a PyTorch checkpoint; expected") != std::string::npos);
  CHECK(message_of([&] {
          load_onnx(folder / "w.pth");
        }).find("is a PyTorch checkpoint; expected") != std::string::npos);
  // What nothing tells is not said to be anything.
  CHECK(message_of([&] { SafetensorsFile{folder.write("x", std::string(64, '\xFE'))}; }) ==
        folder.path("x") + ": is a file of an unknown kind; expected a safetensors file");
}

TEST_SUITE_END();
