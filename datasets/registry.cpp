#include <functional>

#include "core/format.h"
#include "rung/datasets.h"

namespace rung {

std::string_view to_string(Split split) { return split == Split::train ? "train" : "test"; }

}  // namespace rung

namespace rung::datasets {
namespace {

struct Entry {
  DatasetInfo info;
  std::function<std::shared_ptr<const nn::Dataset>(Split, const std::string& dir)> read;
};

// One entry per dataset. Mean and standard deviation are those of the training pixels.
std::vector<Entry> entries() {
  return {
      {{.name = "fashion-mnist",
        .description = "60000 + 10000 grey images of 10 kinds of clothes (Xiao et al. 2017)",
        .classes = 10,
        .image_shape = {1, 28, 28},
        .mean = {0.2860f},
        .std = {0.3530f},
        .default_dir = FashionMnistOptions{}.dir},
       [](Split split, const std::string& dir) { return fashion_mnist(split, {.dir = dir}); }},
  };
}

Entry find(std::string_view name) {
  for (Entry& entry : entries())
    if (entry.info.name == name) return std::move(entry);
  std::vector<std::string> names;
  for (const DatasetInfo& known : list()) names.push_back(known.name);
  fail("unknown dataset '{}'; there are: {}", name, fmt::join(names, ", "));
}

}  // namespace

std::vector<DatasetInfo> list() {
  std::vector<DatasetInfo> infos;
  for (const Entry& entry : entries()) infos.push_back(entry.info);
  return infos;
}

DatasetInfo info(std::string_view name) { return find(name).info; }

std::shared_ptr<const nn::Dataset> make(std::string_view name, Split split,
                                        const std::string& dir) {
  const Entry entry = find(name);
  return entry.read(split, dir.empty() ? entry.info.default_dir : dir);
}

}  // namespace rung::datasets
