#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rung::datasets {

/// A tensor of bytes out of an IDX file (LeCun's MNIST format).
struct Idx {
  std::string path;                ///< of the file it came from
  std::vector<std::int64_t> dims;  ///< outermost first
  std::vector<std::uint8_t> data;
};

/// Reads `<stem>.gz`, or `<stem>` if that does not exist, which must hold unsigned bytes in
/// `rank` dimensions. Throws Error naming the file if it is missing, not IDX, damaged, or longer or
/// shorter than its header says; a missing file's message ends with `remedy`. Memory grows with
/// what the file really holds, never with what its header claims.
Idx read_idx(const std::string& stem, int rank, const std::string& remedy);

}  // namespace rung::datasets
