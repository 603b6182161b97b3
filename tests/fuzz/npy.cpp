#include "io/tensors/npy_read.h"
#include "file.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.npy");
  return fuzz::refuse_or_read([&] { (void)io::read_npy(file.write(data, size).string()); });
}
