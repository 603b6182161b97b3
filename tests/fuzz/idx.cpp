#include "datasets/idx.h"

#include "file.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x");
  return fuzz::refuse_or_read(
      [&] { (void)datasets::read_idx(file.write(data, size).string(), 3, "remedy"); });
}
