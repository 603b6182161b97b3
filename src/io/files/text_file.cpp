#include "rung/io/text_file.h"

#include "io/files/atomic_file.h"

namespace rung::io {

void write_text_file(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace rung::io
