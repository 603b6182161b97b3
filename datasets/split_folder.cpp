#include "datasets/split_folder.h"

#include <filesystem>

#include "core/format.h"

namespace rung::datasets {

namespace fs = std::filesystem;

std::string split_folder(const std::string& dir, Split split) {
  require(!dir.empty(), "this dataset has no usual place: name its folder (--data DIR)");
  std::error_code error;
  require(fs::is_directory(dir, error), "{}: is not a folder{}", dir,
          error ? ": " + error.message() : "");
  const fs::path root = dir;
  const auto has = [&](const char* name) { return fs::is_directory(root / name, error); };
  const bool train = has("train"), val = has("val"), test = has("test");
  if (train && (val || test))
    return (root / (split == Split::train ? "train" : val ? "val" : "test")).string();
  if (train || val || test) {
    std::size_t folders = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(root, error))
      folders += entry.is_directory(error) ? 1 : 0;
    require(folders > 1, "{}: has only the folder {}: expected train, and val or test", dir,
            train ? "train"
            : val ? "val"
                  : "test");
  }
  return dir;
}

}  // namespace rung::datasets
