#include "file.h"
#include "rung/datasets.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("test_batch.bin");
  file.write(data, size);
  return fuzz::refuse_or_read(
      [&] { (void)datasets::cifar10(Split::test, file.folder().string()); });
}
