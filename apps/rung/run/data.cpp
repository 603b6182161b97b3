#include "run/data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "console/messages.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/ops/folded_batch_norm.h"
#include "rung/ops/ops.h"

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

/// Opens a folder of validation images: one without parts, one that is a part, or the validation
/// images of one that has three.
std::shared_ptr<const nn::Dataset> open_validation(const std::string& dataset,
                                                   const std::string& dir) {
  const datasets::Parts parts = datasets::parts(dataset, dir);
  if (parts.train.empty() && parts.test.empty())
    throw Error(fmt::format("--val-data: {} consists of fixed files: use --val-split", dataset));
  if (parts.itself) return datasets::make(dataset, *parts.itself, dir);
  return datasets::make(dataset, parts.train == parts.test ? Split::test : Split::validation, dir);
}

void warn_of_overlap(const nn::Dataset& train, const nn::Dataset& others, const char* kind) {
  const datasets::Overlap overlap = datasets::find_overlap(train, others);
  if (overlap.found == 0) return;
  warn(
      fmt::format("{} of {} {} images{} are training images, too ({} is {}): the accuracy says "
                  "little about others",
                  overlap.found, overlap.looked_at, kind,
                  overlap.looked_at < others.size() ? " that were looked at" : "",
                  overlap.first_test, overlap.first_train));
}

/// Returns the part of a dataset that a folder is, else the test images.
Split named_part(const std::string& dataset, const std::string& dir) {
  return datasets::parts(dataset, dir).itself.value_or(Split::test);
}

/// Returns the folder of arrays, of which a dataset names each as "FOLDER/images.npy: image 0".
std::string folder_of(const nn::Dataset& dataset, const std::string& dir) {
  constexpr std::string_view kFile = "/images.npy";
  const std::string name = dataset.size() > 0 ? dataset.name(0) : std::string();
  const std::size_t at = name.find(kFile);
  return at == std::string::npos ? dir : name.substr(0, at);
}

/// Returns 28x28, or 3x28x28 of colors.
std::string extents_of(const Shape& image) {
  const std::string size = fmt::format("{}x{}", image[1], image[2]);
  return image[0] == 1 ? size : fmt::format("{}x{}", image[0], size);
}

/// True if training would compute statistics of a batch.
bool trains_batch_norms(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const Node* node) {
    const auto* norm = node->as<BatchNormalization>();
    const auto* folded = node->as<FoldedBatchNormalization>();
    return (norm != nullptr && !norm->frozen) || (folded != nullptr && !folded->frozen);
  });
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

std::string Data::misfit(const nn::Dataset& dataset, const std::string& dir) const {
  if (dataset.num_classes() == 0) {
    if (task_.dataset != "npy") return fmt::format("{} has no folders of classes", dir);
    return fmt::format("{} has no labels.npy", folder_of(dataset, dir));
  }
  const std::vector<std::string> names = dataset.class_names();
  // Where classes are counted from labels the last ones may be missing.
  const bool counted = names.empty() && datasets::info(task_.dataset).classes == 0;
  if (dataset.num_classes() > task_.num_classes ||
      (dataset.num_classes() < task_.num_classes && !counted))
    return fmt::format("the model has {} classes, {} {} has {}", task_.num_classes, task_.dataset,
                       dir, dataset.num_classes());
  for (std::size_t i = 0; i < std::min(names.size(), task_.class_names.size()); ++i)
    if (names[i] != task_.class_names[i])
      return fmt::format("class {} of the model is {}, that of {} {} is {}", i,
                         task_.class_names[i], task_.dataset, dir, names[i]);
  return {};
}

const std::shared_ptr<const nn::Dataset>& Data::read(Split split) const {
  const std::shared_ptr<const nn::Dataset>& dataset = open(split);
  if (const std::string wrong = misfit(*dataset, data_.dir); !wrong.empty()) throw Error(wrong);
  return dataset;
}

std::string Data::labels_unfit() const {
  std::string unfit = misfit(*open(Split::train), data_.dir);
  return unfit.empty() ? misfit(*open(Split::test), data_.dir) : unfit;
}

nn::OnError Data::on_error() const {
  return data_.skip_corrupt ? nn::OnError::skip : nn::OnError::raise;
}

void Data::divide() {
  const ValidationOptions& options = data_.validation;
  if (options.split && !options.dir.empty())
    throw UsageError("--val-split holds training images out, --val-data names others: give one");
  if (options.needed && options.split == 0.0)
    throw UsageError(
        "--keep-best and --patience need validation images, --val-split 0 leaves none");
  training_images_ = read(Split::train);
  const datasets::Parts parts = datasets::parts(task_.dataset, data_.dir);
  if (!options.dir.empty()) {
    validation_images_ = open_validation(task_.dataset, options.dir);
    if (const std::string wrong = misfit(*validation_images_, options.dir); !wrong.empty())
      throw Error(wrong);
    validation_from_ = fmt::format("in {}", options.dir);
  } else if (!options.split && !parts.validation.empty()) {
    validation_images_ = read(Split::validation);
    validation_from_ = fmt::format("in {}", parts.validation);
  } else if (options.split.value_or(options.needed ? kUsualSplit : 0) > 0) {
    const double share = options.split.value_or(kUsualSplit);
    HeldOut held_out = hold_out(*training_images_, share, rng_.split("validation"));
    validation_images_ = nn::subset(training_images_, std::move(held_out.validation));
    training_images_ = nn::subset(training_images_, std::move(held_out.training));
    validation_from_ = fmt::format("{:.4g} % of the training images, held out by --seed {}",
                                   100 * share, run_.seed);
  }
}

nn::DataLoader Data::train(const Graph& graph, const Augmentation& augmentation,
                           const Console& console) const {
  const std::shared_ptr<const nn::Dataset>& images = training_images_;
  const std::int64_t batch = data_.batch_size;
  const bool lonely = batch > 1 && images->size() > batch && images->size() % batch == 1;
  const bool left_out = lonely && trains_batch_norms(graph);
  if (left_out)
    console.line(
        fmt::format("{} images in batches of {}: the last one of each epoch is left out, since "
                    "batch norms need more than one image",
                    images->size(), batch));
  return nn::DataLoader({.dataset = images,
                         .transform = training_transform(task_, augmentation),
                         .batch_size = batch,
                         .shuffle = true,
                         .drop_last = left_out,
                         .workers = run_.workers,
                         .on_error = on_error()},
                        rng_.split("data"));
}

std::optional<nn::DataLoader> Data::validation() const {
  if (validation_images_ == nullptr) return {};
  return plain_loader(validation_images_);
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
  return plain_loader(read(named_part(task_.dataset, data_.dir)));
}

nn::DataLoader Data::named_without_labels() const {
  return plain_loader(open(named_part(task_.dataset, data_.dir)));
}

std::string Data::named_folder() const {
  const datasets::Parts parts = datasets::parts(task_.dataset, data_.dir);
  return parts.itself ? data_.dir : parts.test;
}

nn::DataLoader Data::calibration(std::int64_t images) const {
  std::shared_ptr<const nn::Dataset> dataset = open(Split::train);
  std::vector<std::int64_t> order(static_cast<std::size_t>(dataset->size()));
  std::iota(order.begin(), order.end(), 0);
  rng_.split("calibration").shuffle(order);
  order.resize(std::min(order.size(), static_cast<std::size_t>(images)));
  return plain_loader(nn::subset(std::move(dataset), std::move(order)));
}

nn::RunSettings Data::settings() const {
  // A command that does not train needs no labels.
  const bool divided = training_images_ != nullptr;
  const auto set = divided ? training_images_ : open(Split::train);
  nn::RunSettings settings{{"--dataset", task_.dataset},
                           {"--threads", fmt::format("{}", thread_count())},
                           {"training images", fingerprint(*set)}};
  if (divided && validation_images_ != nullptr) {
    settings["validation"] = validation_from_;
    settings["validation images"] = fingerprint(*validation_images_);
  }
  if (data_.normalize.given()) {
    settings["--mean"] = fmt::format("{}", fmt::join(task_.mean, ","));
    settings["--std"] = fmt::format("{}", fmt::join(task_.std, ","));
  }
  return settings;
}

/// Throws Error if arrays of images in the parts of a dataset differ in their size.
void Data::check_sizes() const {
  const Shape train = open(Split::train)->image_shape();
  const auto check = [&](const nn::Dataset& others, const char* kind) {
    const Shape shape = others.image_shape();
    if (shape != train)
      throw Error(fmt::format("{} images are {}, training images {}", kind, extents_of(shape),
                              extents_of(train)));
  };
  check(*open(Split::test), "test");
  if (validation_images_ != nullptr) check(*validation_images_, "validation");
}

void Data::check_fits(const Graph& graph) const {
  Shape images = datasets::info(task_.dataset).image_shape;
  if (images.rank() == 0) {  // arrays
    const datasets::Parts parts = datasets::parts(task_.dataset, data_.dir);
    if (!parts.train.empty() && !parts.test.empty()) check_sizes();
    images = open(parts.train.empty() ? Split::test : Split::train)->image_shape();
  }
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

void Data::warn_of_one_class() const {
  if (task_.num_classes != 1) return;
  const std::string name = task_.class_names.empty() ? "" : ", " + task_.class_names[0];
  warn(
      fmt::format("there is only one class{}, so that every answer is right; expected a folder "
                  "for each class, with its images",
                  name));
}

void Data::report_parts(const Console& console) const {
  warn_of_one_class();
  if (!validation_from_.empty()) console.line("validation images: " + validation_from_);
  const datasets::Parts parts = datasets::parts(task_.dataset, data_.dir);
  if (parts.train.empty()) return;
  const bool measures = labels_unfit().empty();
  if (parts.train == parts.test) {
    if (measures)
      warn(
          fmt::format("{} has no parts: its images are training and test images at once, so that "
                      "the accuracy says nothing about others; expected folders train and val",
                      parts.train));
    return;
  }
  if (parts.test.empty()) return;
  console.line(fmt::format("training images in {}, test images in {}", parts.train, parts.test));
  if (!measures) return;
  warn_of_overlap(*open(Split::train), *open(Split::test), "test");
  if (validation_images_ != nullptr)
    warn_of_overlap(*training_images_, *validation_images_, "validation");
}

void Data::report_skipped(std::initializer_list<const nn::DataLoader*> loaders,
                          const Console& console, Report& report) const {
  if (!data_.skip_corrupt) return;
  std::int64_t count = 0;
  std::string first;
  for (const nn::DataLoader* loader : loaders)
    for (const nn::SkippedImage& image :
         loader == nullptr ? std::vector<nn::SkippedImage>() : loader->skipped())
      if (count++ == 0) first = image.reason;
  report.set("skipped", count);
  if (count > 0)
    console.line(fmt::format("skipped {} images that cannot be read, the first: {}", count, first));
}

Data data_for(const io::ModelFile& file, const std::string& path, Purpose purpose,
              const DataOptions& options, const RunOptions& run, const Console& console) {
  Data data(task_of(file, path), options, run);
  if (purpose == Purpose::training) data.divide();
  data.check_fits(file.graph);
  if (purpose == Purpose::measuring) {
    data.warn_of_one_class();
    if (const std::string folder = data.named_folder(); !folder.empty())
      console.line("images in " + folder);
  } else if (purpose != Purpose::looking) {
    data.report_parts(console);
  }
  console.line(describe_preparation(data.task(), options.normalize, path));
  return data;
}

}  // namespace rung::cli
