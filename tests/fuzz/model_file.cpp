#include "rung/io/model_file.h"

#include "file.h"
#include "mutators.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_header(data, size, max_size, seed);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.rung");
  return fuzz::refuse_or_read([&] {
    io::ModelFile read = io::load_model(file.write(data, size));
    if (has_checkpoint(read)) (void)load_checkpoint(std::move(read), "x.rung");
  });
}
