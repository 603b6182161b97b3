#pragma once

#include <string>
#include <vector>

#include "rung/io/encodings.h"

namespace rung::quantsim {

/// One entry of an encodings file: of a tensor or parameter under its name, of an activation filed
/// under a module under AIMET's name of the quantizer ("conv1.input_quantizers.0").
struct FileEntry {
  std::string key;
  io::TensorEncoding encoding;
  bool is_parameter = false;  ///< filed as one; versions 2.0.0 and 2.1.0 do not tell
  std::string module = {};    ///< of an activation filed under one

  /// True for an entry of bitwidth and dtype alone, as propagate_encodings adds them.
  bool has_no_numbers() const;
};

/// What an encodings file says, the layouts made alike.
struct FileContent {
  std::string source;  ///< the path, or "encodings" for a text: how messages begin
  std::vector<FileEntry> entries;
  bool by_module = false;
  bool states_symmetry = true;  ///< false for versions 2.0.0 and 2.1.0
};

/// Reads a text that begins with "{", or the file of this path, in any version and keying. Throws
/// Error as io::parse_any_encodings does.
FileContent read_content(const std::string& path_or_text);

}  // namespace rung::quantsim
