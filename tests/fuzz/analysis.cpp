#include "rung/analysis/analysis.h"

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

/// Reads an analysis; what was read must be written and read again as the same text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  fuzz::refuse_or_read([&] {
    const std::string again = analysis::to_json(analysis::from_json(text, "x.json"));
    try {
      if (analysis::to_json(analysis::from_json(again, "again.json")) == again) return;
    } catch (const Error& error) {
      std::fprintf(stderr, "%s\n", error.what());
    }
    std::fprintf(stderr, "%s\n", again.c_str());
    std::abort();
  });
  return 0;
}
