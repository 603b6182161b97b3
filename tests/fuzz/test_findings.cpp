// What fuzzing found: files that once made a reader crash, hang or take too much memory. Each must
// be read or refused with an Error (under RUNG_SANITIZE=address,undefined as well).

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "datasets/idx.h"
#include "datasets/image_file.h"
#include "io/tensors/npy_read.h"
#include "golden/golden.h"
#include "rung/core/error.h"
#include "rung/io/encodings.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_import.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"
#include "rung/quantsim/config.h"
#include "rung/quantsim/quantsim.h"
#include "support/paths.h"

namespace fs = std::filesystem;
using namespace rung;

namespace {

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// What the fuzz target of the same name does.
const std::map<std::string, std::function<void(const fs::path&)>> kReaders = {
    {"config", [](const fs::path& path) { (void)parse_config(text_of(path), "x"); }},
    {"encodings",
     [](const fs::path& path) {
       const auto file = io::parse_any_encodings(text_of(path), "x");
       const std::string again =
           std::visit([](const auto& read) { return io::encodings_text(read); }, file);
       CHECK_NOTHROW((void)io::parse_any_encodings(again, "again"));
     }},
    {"idx", [](const fs::path& path) { (void)datasets::read_idx(path.string(), 3, "remedy"); }},
    {"image",
     [](const fs::path& path) {
       const std::string bytes = text_of(path);
       nn::Image image;
       datasets::decode_image(std::as_bytes(std::span(bytes)), "x", image);
     }},
    {"load_encodings",
     [](const fs::path& path) {
       load_checkpoint(golden::path("model_files/version1.rung")).load_encodings(path.string());
     }},
    {"model_file",
     [](const fs::path& path) {
       io::ModelFile file = io::load_model(path);
       if (has_checkpoint(file)) (void)load_checkpoint(std::move(file), "x");
     }},
    {"npy", [](const fs::path& path) { (void)io::read_npy(path.string()); }},
    {"onnx", [](const fs::path& path) { (void)io::load_onnx(path); }},
    {"placement",
     [](const fs::path& path) {
       const Graph network =
           load_checkpoint(golden::path("model_files/version1.rung")).get_original_model();
       (void)QuantizationSimModel(network, {.config_file = path.string()});
     }},
    {"pth",
     [](const fs::path& path) {
       const io::PthFile file(path);
       for (const io::PthTensor& tensor : file.tensors()) (void)file.tensor(tensor.name);
     }},
    {"safetensors",
     [](const fs::path& path) {
       const io::SafetensorsFile file(path);
       for (const io::TensorInfo& info : file.tensors()) (void)file.tensor(info.name);
     }},
};

}  // namespace

TEST_SUITE("fuzz findings") {
  TEST_CASE("every file that fuzzing found is read or refused within seconds") {
    std::size_t files = 0;
    for (const auto& folder :
         fs::directory_iterator(paths::source_dir() + "/tests/fuzz/findings")) {
      const auto reader = kReaders.find(folder.path().filename().string());
      REQUIRE_MESSAGE(reader != kReaders.end(), folder.path().string());
      for (const auto& file : fs::directory_iterator(folder)) {
        CAPTURE(file.path().string());
        const auto begin = std::chrono::steady_clock::now();
        try {
          reader->second(file.path());
        } catch (const Error& error) {
          CHECK(std::string(error.what()).size() < 2000);
        }
        CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
        ++files;
      }
    }
    CHECK(files > 0);
  }
}
