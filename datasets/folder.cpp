#include "datasets/folder.h"

#include <algorithm>
#include <system_error>

#include "core/check.h"

namespace rung::datasets {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const std::string& name) { return name.starts_with('.') || name == "__MACOSX"; }

}  // namespace

const std::vector<std::string>& image_extensions() {
  static const std::vector<std::string> kExtensions = {".jpg", ".jpeg", ".png",  ".ppm", ".bmp",
                                                       ".pgm", ".tif",  ".tiff", ".webp"};
  return kExtensions;
}

bool is_image(const std::string& name) {
  std::string lower = name;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::ranges::any_of(
      image_extensions(), [&](const std::string& extension) { return lower.ends_with(extension); });
}

FolderContent content_of(const fs::path& folder) {
  FolderContent content;
  std::error_code error, ignored;  // ignored: a link that leads nowhere
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::string name = entries->path().filename().string();
    if (is_hidden(name)) continue;
    auto& list = entries->is_directory(ignored) ? content.folders : content.files;
    list.push_back(std::move(name));
  }
  require(!error, "{}: cannot read the folder: {}", folder.string(), error.message());
  std::ranges::sort(content.folders);
  std::ranges::sort(content.files);
  return content;
}

bool holds_images(const fs::path& folder) {
  return std::ranges::any_of(content_of(folder).files, is_image);
}

}  // namespace rung::datasets
