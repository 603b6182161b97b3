#include "run/task.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "console/utf8.h"
#include "run/section.h"
#include "rung/core/error.h"

namespace rung::cli {
namespace {

void check(bool condition, const std::string& what) {
  if (!condition) throw Error(what);
}

constexpr std::int64_t kMaxSize = 16384, kMaxClasses = std::int64_t{1} << 31;

constexpr std::array<std::pair<Normalization, const char*>, 6> kNormalizations = {{
    {Normalization::unknown, "unknown"},
    {Normalization::imagenet, "imagenet"},
    {Normalization::images, "images"},
    {Normalization::floats, "floats"},
    {Normalization::given, "given"},
    {Normalization::none, "none"},
}};

Normalization parse_normalization(const std::string& text) {
  for (const auto& [value, name] : kNormalizations)
    if (text == name) return value;
  return Normalization::unknown;  // of a later version
}

/// Returns the names of a dataset's classes that are known without its files; none for one that
/// this version does not know.
std::vector<std::string> names_of_classes(const std::string& dataset) {
  for (const datasets::DatasetInfo& info : datasets::list())
    if (info.name == dataset) return info.class_names;
  return {};
}

/// Returns the height of a dataset's images that is known without its files; 0 if it is not.
std::int64_t image_size_of(const std::string& dataset) {
  for (const datasets::DatasetInfo& info : datasets::list())
    if (info.name == dataset && info.image_shape.rank() == 3) return info.image_shape[1];
  return 0;
}

ConvAlgorithm algorithm_of(const Section& section, const std::string& name) {
  try {
    return parse_conv_algorithm(name);
  } catch (const Error& error) {
    section.refuse(fmt::format("conv_choices: {}", error.what()));
  }
}

Task parse(const Section& section) {
  Task task;
  task.model = section.text("model");
  task.dataset = section.text("dataset");
  task.num_classes = section.integer("num_classes", 1, kMaxClasses);
  task.mean = section.floats("mean");
  task.std = section.floats("std");
  if (section.has("image_size")) {
    task.image_size = section.integer("image_size", 0, kMaxSize);
    task.resize = section.integer("resize", 0, kMaxSize);
    task.class_names = section.texts("class_names");
  } else {  // files of earlier versions: the dataset tells
    task.image_size = image_size_of(task.dataset);
    if (task.image_size == 0) section.refuse("has no image_size");
  }
  if (task.class_names.empty()) {  // files of earlier versions have none of fixed datasets
    std::vector<std::string> names = names_of_classes(task.dataset);
    if (static_cast<std::int64_t>(names.size()) == task.num_classes)
      task.class_names = std::move(names);
  }
  if (section.has("normalization"))
    task.normalization = parse_normalization(section.text("normalization"));
  if (section.has("statistics_of")) task.statistics_of = section.text("statistics_of");
  if (section.has("assumed")) task.assumed = section.flag("assumed");
  if (section.has("conv_choices"))
    for (const auto& [key, name] : section.table("conv_choices"))
      task.conv_choices.set(key, algorithm_of(section, name));
  if (section.has("last_lr")) task.last_lr = section.number("last_lr");
  const auto expect = [&](bool condition, const char* what) {
    if (!condition) section.refuse(what);
  };
  expect(task.mean.size() == task.std.size(), "mean and std have different lengths");
  expect(task.resize == 0 || task.resize >= task.image_size, "resize is less than image_size");
  expect(task.class_names.empty() ||
             static_cast<std::int64_t>(task.class_names.size()) == task.num_classes,
         "class_names must be as many as num_classes");
  expect(!task.last_lr || *task.last_lr >= 0, "last_lr must not be negative");
  return task;
}

void normalize_as(Task& task, const datasets::DatasetInfo& dataset) {
  const std::size_t channels = dataset.mean.size();
  task.mean = dataset.floats ? std::vector<float>(channels, 0.0f) : dataset.mean;
  task.std = dataset.floats ? std::vector<float>(channels, 1.0f) : dataset.std;
  const bool imagenet = dataset.mean == nn::ImagenetStatistics{}.mean;
  task.normalization = dataset.floats ? Normalization::floats
                       : imagenet     ? Normalization::imagenet
                                      : Normalization::images;
  task.statistics_of.clear();
  task.assumed = false;
}

}  // namespace

bool has_any_size(const datasets::DatasetInfo& dataset) {
  return dataset.image_shape.rank() == 3 && dataset.image_shape[1] == 0;
}

Task make_task(const std::string& model, const datasets::DatasetInfo& dataset,
               std::int64_t image_size) {
  Task task;
  task.model = model;
  task.image_size = image_size;
  if (image_size == 0 && dataset.image_shape.rank() == 3) task.image_size = dataset.image_shape[1];
  task.num_classes = dataset.classes;
  normalize_as(task, dataset);
  set_dataset(task, dataset);
  return task;
}

void set_dataset(Task& task, const datasets::DatasetInfo& dataset) {
  for (const std::string& name : dataset.class_names)  // they are stored in model files
    check(is_utf8(name), fmt::format("the class {} of {} is not UTF-8: rename its folder",
                                     to_utf8(name), dataset.name));
  if (task.statistics_of.empty()) task.statistics_of = task.dataset;
  task.dataset = dataset.name;
  if (task.statistics_of == task.dataset) task.statistics_of.clear();
  const bool same_classes = task.num_classes == dataset.classes;
  task.class_names = same_classes ? dataset.class_names : std::vector<std::string>();
  task.resize = has_any_size(dataset) ? nn::imagenet_resize(task.image_size) : 0;
  if (dataset.floats) normalize_as(task, dataset);
}

std::string to_json(const Task& task) {
  nlohmann::json json = {{"model", task.model},
                         {"dataset", task.dataset},
                         {"num_classes", task.num_classes},
                         {"mean", task.mean},
                         {"std", task.std},
                         {"image_size", task.image_size},
                         {"resize", task.resize},
                         {"class_names", task.class_names}};
  for (const auto& [value, name] : kNormalizations)
    if (value == task.normalization) json["normalization"] = name;
  if (!task.statistics_of.empty()) json["statistics_of"] = task.statistics_of;
  if (task.assumed) json["assumed"] = true;
  if (task.last_lr) json["last_lr"] = *task.last_lr;
  for (const auto& [key, algorithm] : task.conv_choices.all())
    json["conv_choices"][key] = to_string(algorithm);
  return json.dump();
}

Task task_of(const io::ModelFile& file, const std::string& path) {
  const auto found = file.sections.find(kTaskSection);
  check(
      found != file.sections.end(),
      fmt::format("{}: does not say which dataset it is for: files of rung train do, and those of "
                  "rung convert with --dataset",
                  path));
  return parse(Section(file, kTaskSection, path,
                       "expected what rung train and rung convert --dataset say there of images "
                       "and classes: make the file anew with them"));
}

}  // namespace rung::cli
