#pragma once

#include <filesystem>
#include <string>
#include <vector>

// What is looked at in folders of data: not what begins with a dot, nor what archivers leave behind
// (__MACOSX), which is nobody's data.

namespace rung::datasets {

/// The extensions of image files, in lower case.
const std::vector<std::string>& image_extensions();
/// True for names that end in one of them, in any case.
bool is_image(const std::string& name);

/// What a folder holds, each sorted by name; links to folders are folders.
struct FolderContent {
  std::vector<std::string> folders, files;
};
/// Throws Error if the folder cannot be read.
FolderContent content_of(const std::filesystem::path& folder);

/// True if there are image files in the folder itself.
bool holds_images(const std::filesystem::path& folder);

}  // namespace rung::datasets
