#include <algorithm>
#include <filesystem>
#include <iterator>
#include <set>
#include <tuple>
#include <utility>

#include "core/check.h"
#include "core/join.h"
#include "datasets/folder.h"
#include "datasets/image_file.h"
#include "datasets/parts.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

namespace fs = std::filesystem;

struct Sample {
  std::string folder, name;
  std::int64_t label = 0;
  std::string path() const { return (fs::path(folder) / name).string(); }
};

/// Collects the images of one class, in sub-folders too. A folder that several links lead to counts
/// once, or links could make a handful of folders endless.
class Walk {
 public:
  explicit Walk(std::int64_t label) : label_(label) {}

  void visit(const fs::path& folder) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    require(!error && std::ranges::find(above_, real) == above_.end(), "{}: {}", folder.string(),
            error ? error.message() : "links to a folder above it");
    if (!visited_.insert(real).second) return;
    above_.push_back(real);
    FolderContent content = content_of(folder);
    for (std::string& name : content.files)
      if (is_image(name)) samples_.push_back({folder.string(), std::move(name), label_});
    for (const std::string& name : content.folders) visit(folder / name);
    above_.pop_back();
  }

  /// Sorted by folder, then by name: torchvision's order.
  std::vector<Sample> sorted() && {
    std::ranges::sort(samples_, [](const Sample& a, const Sample& b) {
      return std::tie(a.folder, a.name) < std::tie(b.folder, b.name);
    });
    return std::move(samples_);
  }

 private:
  std::int64_t label_;
  std::vector<fs::path> above_;
  std::set<fs::path> visited_;
  std::vector<Sample> samples_;
};

/// True for images without classes, good for calibration and nothing else.
bool has_only_pictures(const fs::path& folder) {
  const FolderContent content = content_of(folder);
  return content.folders.empty() && std::ranges::any_of(content.files, is_image);
}

class ImageFolder final : public nn::Dataset {
 public:
  explicit ImageFolder(const std::string& folder) : classes_(image_folder_classes(folder)) {
    if (classes_.empty()) {
      Walk walk(0);
      walk.visit(folder);
      samples_ = std::move(walk).sorted();
      return;
    }
    for (const std::string& name : classes_) {
      Walk walk(static_cast<std::int64_t>(&name - classes_.data()));
      walk.visit(fs::path(folder) / name);
      std::vector<Sample> samples = std::move(walk).sorted();
      require(!samples.empty(), "{}: there is no image in it ({})",
              (fs::path(folder) / name).string(), join(image_extensions(), " "));
      std::ranges::move(samples, std::back_inserter(samples_));
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  Shape image_shape() const override { return {3, 0, 0}; }
  std::int64_t num_classes() const override { return static_cast<std::int64_t>(classes_.size()); }
  std::vector<std::string> class_names() const override { return classes_; }
  std::string name(std::int64_t index) const override { return sample(index).path(); }
  std::int64_t label(std::int64_t index) const override { return sample(index).label; }
  std::int64_t get(std::int64_t index, nn::Image& image) const override {
    read_image_into(sample(index).path(), image);
    return sample(index).label;
  }

 private:
  const Sample& sample(std::int64_t index) const {
    require(index >= 0 && index < size(), "image_folder: image {} is outside of [0, {})", index,
            size());
    return samples_[static_cast<std::size_t>(index)];
  }

  std::vector<std::string> classes_;
  std::vector<Sample> samples_;
};

}  // namespace

std::vector<std::string> image_folder_classes(const std::string& folder) {
  if (has_only_pictures(folder)) return {};
  std::vector<std::string> classes = content_of(folder).folders;
  require(!classes.empty(), "{}: has no sub-folders; expected one per class, with its images",
          folder);
  return classes;
}

std::shared_ptr<const nn::Dataset> image_folder(const std::string& folder) {
  return std::make_shared<ImageFolder>(folder);
}

std::shared_ptr<const nn::Dataset> image_folder(Split split, const std::string& dir) {
  const std::string folder = part_folder(dir, split);
  auto dataset = std::make_shared<ImageFolder>(folder);
  // Labels are positions in the sorted names: a class missing in one part would move the others.
  const std::string train = parts_of(dir).train;
  if (train.empty() || train == folder) return dataset;
  const std::vector<std::string> known = image_folder_classes(train), here = dataset->class_names();
  for (const std::string& name : here)
    require(std::ranges::find(known, name) != known.end(), "{}: has the class {}, {} does not",
            folder, name, train);
  for (const std::string& name : known)
    require(std::ranges::find(here, name) != here.end(), "{}: lacks the class {} of {}", folder,
            name, train);
  return dataset;
}

}  // namespace rung::datasets
