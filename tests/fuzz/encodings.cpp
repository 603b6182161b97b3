#include "rung/io/encodings.h"

#include <cstdlib>
#include <string>
#include <string_view>

#include "file.h"
#include "mutators.h"

using namespace rung;

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  return fuzz::mutate_json(data, size, max_size, seed);
}

/// Reads encodings; what can be written again must be read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::string again;
  fuzz::refuse_or_read([&] {
    const auto file = io::parse_any_encodings(text, "x.encodings");
    again = std::visit([](const auto& read) { return io::encodings_text(read); }, file);
  });
  if (again.empty()) return 0;
  try {
    (void)io::parse_any_encodings(again, "again.encodings");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n%s\n", error.what(), again.c_str());
    std::abort();
  }
  return 0;
}
