#include "rung/io/pth.h"

#include "file.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.pth");
  return fuzz::refuse_or_read([&] {
    const io::PthFile read(file.write(data, size));
    for (const io::PthTensor& tensor : read.tensors())
      fuzz::refuse_or_read([&] { (void)read.tensor(tensor.name); });
  });
}
