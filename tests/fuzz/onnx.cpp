#include "file.h"
#include "rung/io/onnx_import.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.onnx");
  return fuzz::refuse_or_read([&] { (void)io::load_onnx(file.write(data, size)); });
}
