#include <functional>

#include "core/check.h"
#include "core/join.h"
#include "datasets/npy.h"
#include "datasets/parts.h"
#include "datasets/statistics.h"
#include "rung/datasets.h"

namespace rung {

std::string_view to_string(Split split) {
  return split == Split::train ? "train" : split == Split::test ? "test" : "validation";
}

}  // namespace rung

namespace rung::datasets {
namespace {

struct Entry {
  DatasetInfo info;
  std::function<std::shared_ptr<const nn::Dataset>(Split, const std::string& dir)> read;
  std::function<void(DatasetInfo&, const std::string& dir)> look = {};  // for what only files tell
  Parts (*parts)(const std::string& dir) = nullptr;  // nullptr: fixed files for training and test
};

void look_at_folder(DatasetInfo& info, const std::string& dir) {
  const Parts parts = parts_of(dir);  // a test part may stand alone
  info.class_names = image_folder_classes(parts.train.empty() ? parts.test : parts.train);
  info.classes = static_cast<std::int64_t>(info.class_names.size());
}

void look_at_arrays(DatasetInfo& info, const std::string& dir) {
  const Split split = parts_of(dir).train.empty() ? Split::test : Split::train;
  const std::shared_ptr<const nn::Dataset> dataset = npy(split, dir);
  info.classes = dataset->num_classes();
  info.image_shape = dataset->image_shape();
  info.floats = holds_floats(*dataset);
  Statistics statistics = pixel_statistics(*dataset);
  info.mean = std::move(statistics.mean);
  info.std = std::move(statistics.std);
}

// One entry per dataset. Mean and standard deviation are those of the training pixels; for folders
// of images ImageNet's, which pretrained models expect.
std::vector<Entry> entries() {
  return {
      {{.name = "fashion-mnist",
        .description = "60000 + 10000 grey images of 10 kinds of clothes (Xiao et al. 2017)",
        .classes = 10,
        .image_shape = {1, 28, 28},
        .mean = {0.2860f},
        .std = {0.3530f},
        .default_dir = FashionMnistOptions{}.dir,
        .class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt",
                        "Sneaker", "Bag", "Ankle boot"}},
       [](Split split, const std::string& dir) { return fashion_mnist(split, {.dir = dir}); }},
      {{.name = "cifar10",
        .description = "50000 + 10000 color images of 10 kinds of things (Krizhevsky 2009)",
        .classes = 10,
        .image_shape = {3, 32, 32},
        .mean = {0.4914f, 0.4822f, 0.4465f},
        .std = {0.2470f, 0.2435f, 0.2616f},
        .class_names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse",
                        "ship", "truck"}},
       cifar10},
      {{.name = "cifar100",
        .description = "50000 + 10000 color images of 100 kinds of things (Krizhevsky 2009)",
        .classes = 100,
        .image_shape = {3, 32, 32},
        .mean = {0.5071f, 0.4865f, 0.4409f},
        .std = {0.2673f, 0.2564f, 0.2762f}},
       cifar100},
      {{.name = "image-folder",
        .description = "your JPEG, PNG or BMP files, a folder per class, in train/ and val/",
        .image_shape = {3, 0, 0},
        .mean = nn::ImagenetStatistics{}.mean,
        .std = nn::ImagenetStatistics{}.std},
       [](Split split, const std::string& dir) { return image_folder(split, dir); },
       look_at_folder,
       parts_of},
      {{.name = "npy",
        .description = "your NumPy arrays images.npy and labels.npy, in train/ and val/"},
       npy,
       look_at_arrays,
       parts_of},
  };
}

Entry find(std::string_view name) {
  for (Entry& entry : entries())
    if (entry.info.name == name) return std::move(entry);
  std::vector<std::string> names;
  for (const DatasetInfo& known : list()) names.push_back(known.name);
  fail("unknown dataset '{}'; there are: {}", name, join(names));
}

}  // namespace

std::vector<DatasetInfo> list() {
  std::vector<DatasetInfo> infos;
  for (const Entry& entry : entries()) infos.push_back(entry.info);
  return infos;
}

DatasetInfo info(std::string_view name) { return find(name).info; }

DatasetInfo info(std::string_view name, const std::string& dir) {
  Entry entry = find(name);
  if (entry.look) entry.look(entry.info, dir.empty() ? entry.info.default_dir : dir);
  return std::move(entry.info);
}

std::shared_ptr<const nn::Dataset> make(std::string_view name, Split split,
                                        const std::string& dir) {
  const Entry entry = find(name);
  require(entry.parts != nullptr || split != Split::validation,
          "{} has no validation images, only training and test images", name);
  return entry.read(split, dir.empty() ? entry.info.default_dir : dir);
}

Parts parts(std::string_view name, const std::string& dir) {
  const Entry entry = find(name);
  if (entry.parts == nullptr) return {};
  return entry.parts(dir.empty() ? entry.info.default_dir : dir);
}

}  // namespace rung::datasets
