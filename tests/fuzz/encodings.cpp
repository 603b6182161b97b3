#include "rung/io/encodings.h"

#include <string_view>

#include "file.h"

using namespace rung;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  return fuzz::refuse_or_read([&] { (void)io::parse_any_encodings(text, "x.encodings"); });
}
