#include <span>

#include "datasets/image_file.h"
#include "file.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static nn::Image image;
  return fuzz::refuse_or_read(
      [&] { datasets::decode_image(std::as_bytes(std::span(data, size)), "x", image); });
}
