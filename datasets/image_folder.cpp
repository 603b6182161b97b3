#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <tuple>
#include <utility>

#include "core/format.h"
#include "datasets/image_file.h"
#include "datasets/split_folder.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 9> kExtensions = {".jpg", ".jpeg", ".png",  ".ppm", ".bmp",
                                                         ".pgm", ".tif",  ".tiff", ".webp"};

bool is_image(std::string name) {
  for (char& c : name)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return std::ranges::any_of(kExtensions,
                             [&](auto extension) { return name.ends_with(extension); });
}

/// Calls f with every entry of a folder; throws Error if it cannot be read.
template <typename F>
void for_each_entry(const fs::path& folder, const F& f) {
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) f(*entries);
  require(!error, "{}: cannot read the folder: {}", folder.string(), error.message());
}

bool is_directory(const fs::directory_entry& entry) {
  std::error_code ignored;  // a link that leads nowhere
  return entry.is_directory(ignored);
}

struct Sample {
  std::string folder, name;
  std::int64_t label = 0;
  std::string path() const { return (fs::path(folder) / name).string(); }
};

/// Collects the images of one class, in sub-folders too.
class Walk {
 public:
  explicit Walk(std::int64_t label) : label_(label) {}

  void visit(const fs::path& folder) {
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    require(!error && std::ranges::find(above_, real) == above_.end(), "{}: {}", folder.string(),
            error ? error.message() : "links to a folder above it");
    above_.push_back(real);
    for_each_entry(folder, [&](const fs::directory_entry& entry) {
      if (is_directory(entry))
        visit(entry.path());
      else if (std::string name = entry.path().filename().string(); is_image(name))
        samples_.push_back({folder.string(), std::move(name), label_});
    });
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
  std::vector<Sample> samples_;
};

class ImageFolder final : public nn::Dataset {
 public:
  explicit ImageFolder(const std::string& folder) : classes_(image_folder_classes(folder)) {
    for (const std::string& name : classes_) {
      Walk walk(static_cast<std::int64_t>(&name - classes_.data()));
      walk.visit(fs::path(folder) / name);
      std::vector<Sample> samples = std::move(walk).sorted();
      require(!samples.empty(), "{}: there is no image in it ({})",
              (fs::path(folder) / name).string(), fmt::join(kExtensions, " "));
      std::ranges::move(samples, std::back_inserter(samples_));
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  Shape image_shape() const override { return {3, 0, 0}; }
  std::int64_t num_classes() const override { return static_cast<std::int64_t>(classes_.size()); }
  std::vector<std::string> class_names() const override { return classes_; }
  std::string name(std::int64_t index) const override { return sample(index).path(); }
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
  std::vector<std::string> classes;
  for_each_entry(folder, [&](const fs::directory_entry& entry) {
    if (is_directory(entry)) classes.push_back(entry.path().filename().string());
  });
  require(!classes.empty(), "{}: has no sub-folders; expected one per class, with its images",
          folder);
  std::ranges::sort(classes);
  return classes;
}

std::shared_ptr<const nn::Dataset> image_folder(const std::string& folder) {
  return std::make_shared<ImageFolder>(folder);
}

std::shared_ptr<const nn::Dataset> image_folder(Split split, const std::string& dir) {
  const std::string folder = split_folder(dir, split);
  auto dataset = std::make_shared<ImageFolder>(folder);
  // Labels are positions in the sorted names: a class missing in one part would move the others.
  const std::string train = split_folder(dir, Split::train);
  if (train == folder) return dataset;
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
