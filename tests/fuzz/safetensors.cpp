#include "rung/io/safetensors.h"

#include "file.h"
#include "mutators.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_header(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.safetensors");
  return fuzz::refuse_or_read([&] {
    const io::SafetensorsFile read(file.write(data, size));
    for (const io::TensorInfo& info : read.tensors()) {
      (void)read.bytes(info.name);
      fuzz::refuse_or_read([&] { (void)read.tensor(info.name); });
    }
  });
}
