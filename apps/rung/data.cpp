#include "data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "messages.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"

namespace rung::cli {

namespace {

// Divides 10000, so that a test set needs one plan only.
constexpr std::int64_t kTestBatch = 250;
// Of 224 x 224, 250 would need gigabytes for the activations.
constexpr std::int64_t kLargeImage = 96, kLargeTestBatch = 50;

/// Returns the number of images and a sum over some of them: tells whether a dataset has changed
/// between two runs, most of the time.
std::string fingerprint(const nn::Dataset& dataset) {
  constexpr std::int64_t kLooks = 16;
  const std::int64_t looks = std::min(kLooks, dataset.size());
  double sum = 0;
  nn::Image image;
  for (std::int64_t i = 0; i < looks; ++i) try {
      const std::int64_t label = dataset.get(i * dataset.size() / looks, image);
      sum += static_cast<double>(label * (i + 1));
      for (std::size_t p = 0; p < image.pixels.size(); ++p)
        sum += static_cast<double>(image.pixels[p]) * static_cast<double>(p % 251 + 1);
    } catch (const Error&) {  // a damaged image: training meets it, or skips it
      sum += 1;
    }
  return fmt::format("{} ({:.6g})", dataset.size(), sum);
}

}  // namespace

Data::Data(Task task, DataOptions data, RunOptions run)
    : task_(std::move(task)), data_(std::move(data)), run_(std::move(run)), rng_(run_.seed) {
  if (!data_.dataset.empty() && data_.dataset != task_.dataset)
    set_dataset(task_, datasets::info(data_.dataset, data_.dir));
  apply(data_.normalize, task_);
}

const std::shared_ptr<const nn::Dataset>& Data::open(Split split) const {
  std::shared_ptr<const nn::Dataset>& known = datasets_[split];
  if (known != nullptr) return known;
  std::shared_ptr<const nn::Dataset> dataset = datasets::make(task_.dataset, split, data_.dir);
  const std::int64_t limit = split == Split::train ? data_.train_images : data_.test_images;
  known = limit > 0 ? nn::take(std::move(dataset), limit) : dataset;
  return known;
}

std::string Data::misfit(const nn::Dataset& dataset) const {
  if (dataset.num_classes() == 0)
    return fmt::format("{} has no folders of classes", data_.dir);
  const std::vector<std::string> names = dataset.class_names();
  // Where classes are counted from labels the last ones may be missing.
  const bool counted = names.empty() && datasets::info(task_.dataset).classes == 0;
  if (dataset.num_classes() > task_.num_classes ||
      (dataset.num_classes() < task_.num_classes && !counted))
    return fmt::format("the model has {} classes, {} {} has {}", task_.num_classes, task_.dataset,
                       data_.dir, dataset.num_classes());
  for (std::size_t i = 0; i < std::min(names.size(), task_.class_names.size()); ++i)
    if (names[i] != task_.class_names[i])
      return fmt::format("class {} of the model is {}, that of {} {} is {}", i,
                         task_.class_names[i], task_.dataset, data_.dir, names[i]);
  return {};
}

const std::shared_ptr<const nn::Dataset>& Data::read(Split split) const {
  const std::shared_ptr<const nn::Dataset>& dataset = open(split);
  if (const std::string wrong = misfit(*dataset); !wrong.empty()) throw Error(wrong);
  return dataset;
}

std::string Data::labels_unfit() const { return misfit(*open(Split::train)); }

nn::OnError Data::on_error() const {
  return data_.skip_corrupt ? nn::OnError::skip : nn::OnError::raise;
}

nn::DataLoader Data::train(const Augmentation& augmentation) const {
  return nn::DataLoader({.dataset = read(Split::train),
                         .transform = training_transform(task_, augmentation),
                         .batch_size = data_.batch_size,
                         .shuffle = true,
                         .workers = run_.workers,
                         .on_error = on_error()},
                        rng_.split("data"));
}

nn::DataLoader Data::plain_loader(std::shared_ptr<const nn::Dataset> dataset) const {
  return nn::DataLoader(
      {.dataset = std::move(dataset),
       .transform = evaluation_transform(task_),
       .batch_size = task_.image_size > kLargeImage ? kLargeTestBatch : kTestBatch,
       .workers = run_.workers,
       .on_error = on_error()});
}

nn::DataLoader Data::test() const { return plain_loader(read(Split::test)); }

nn::DataLoader Data::named() const {
  const std::optional<Split> itself = datasets::parts(task_.dataset, data_.dir).itself;
  return plain_loader(read(itself.value_or(Split::test)));
}

nn::DataLoader Data::calibration(std::int64_t images) const {
  std::shared_ptr<const nn::Dataset> dataset = open(Split::train);
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset->size()));
  std::iota(order.begin(), order.end(), 0);
  rng_.split("calibration").shuffle(order);
  order.resize(std::min(order.size(), static_cast<std::size_t>(images)));
  return plain_loader(nn::subset(std::move(dataset), std::move(order)));
}

Configuration Data::configuration() const {
  const auto set = open(Split::train);
  Configuration configuration{{"--dataset", task_.dataset},
                              {"--batch-size", fmt::format("{}", data_.batch_size)},
                              {"--train-images", fmt::format("{}", data_.train_images)},
                              {"--seed", fmt::format("{}", run_.seed)},
                              {"--threads", fmt::format("{}", thread_count())},
                              {"training images", fingerprint(*set)}};
  if (data_.normalize.given()) {
    configuration["--mean"] = fmt::format("{}", fmt::join(task_.mean, ","));
    configuration["--std"] = fmt::format("{}", fmt::join(task_.std, ","));
  }
  return configuration;
}

void Data::check_fits(const Graph& graph) const {
  Shape images = datasets::info(task_.dataset).image_shape;
  if (images.rank() == 0) images = open(Split::train)->image_shape();
  if (task_.resize > 0)  // pictures, which are made grey for a network of one channel
    images = {task_.mean.size() == 1 ? 1 : images[0], task_.image_size, task_.image_size};
  if (graph.inputs().size() != 1 || graph.outputs().size() != 1)
    throw Error(fmt::format("the model has {} inputs and {} outputs; classifying needs one of each",
                            graph.inputs().size(), graph.outputs().size()));
  const Shape& input = graph.inputs()[0]->shape();
  const Shape& output = graph.outputs()[0]->shape();
  if (input.rank() == 4 && input[1] != images[0])
    throw Error(fmt::format("the model takes images of {} channel{}, those of {} have {}", input[1],
                            input[1] == 1 ? "" : "s", task_.dataset, images[0]));
  if (input.rank() != 4 || input[1] != images[0] || input[2] != images[1] || input[3] != images[2])
    throw Error(fmt::format("the model takes images {}, {} has {} images", input.to_string(),
                            task_.dataset, images.to_string()));
  if (output.rank() != 2 || output[1] != task_.num_classes)
    throw Error(fmt::format("the model's output is {}, but it was said to be for {} classes",
                            output.to_string(), task_.num_classes));
}

void Data::report_parts(const Console& console) const {
  const datasets::Parts parts = datasets::parts(task_.dataset, data_.dir);
  if (parts.train.empty()) return;
  const bool measures = labels_unfit().empty();
  if (parts.train == parts.test) {
    if (!measures) return;
    warn(
        fmt::format("{} has no parts: its images are training and test images at once, so that the "
                    "accuracy says nothing about others; expected folders train and val",
                    parts.train));
    return;
  }
  if (parts.test.empty()) return;
  console.line(fmt::format("training images in {}, test images in {}", parts.train, parts.test));
  if (!measures) return;
  const datasets::Overlap overlap =
      datasets::find_overlap(*open(Split::train), *open(Split::test));
  if (overlap.found == 0) return;
  warn(fmt::format(
      "{} of {} test images{} are training images, too ({} is {}): the accuracy says little about "
      "others",
      overlap.found, overlap.looked_at,
      overlap.looked_at < open(Split::test)->size() ? " that were looked at" : "",
      overlap.first_test, overlap.first_train));
}

void Data::report_skipped(std::initializer_list<const nn::DataLoader*> loaders,
                          const Console& console, Report& report) const {
  if (!data_.skip_corrupt) return;
  std::int64_t count = 0;
  std::string first;
  for (const nn::DataLoader* loader : loaders)
    for (const nn::SkippedImage& image : loader == nullptr ? std::vector<nn::SkippedImage>()
                                                           : loader->skipped())
      if (count++ == 0) first = image.reason;
  report.set("skipped", count);
  if (count > 0)
    console.line(fmt::format("skipped {} images that cannot be read, the first: {}", count, first));
}

}  // namespace rung::cli
