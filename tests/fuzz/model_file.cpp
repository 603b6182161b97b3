#include "rung/io/model_file.h"

#include "file.h"
#include "header_mutator.h"
#include "rung/quantsim/quantsim.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::File file("x.rung");
  return fuzz::refuse_or_read([&] {
    io::ModelFile read = io::load_model(file.write(data, size));
    if (has_checkpoint(read)) (void)load_checkpoint(std::move(read), "x.rung");
  });
}
