// Which folders are the parts of a dataset, and whether they share images.

#include <doctest/doctest.h>

#include <filesystem>
#include <initializer_list>
#include <string>

#include "rung/core/error.h"
#include "rung/datasets.h"
#include "support/images.h"
#include "support/io_helpers.h"
#include "support/temporary_folder.h"

using namespace rung;
namespace fs = std::filesystem;

namespace {

/// Folders with an image in each, every one another.
class Images : public TemporaryFolder {
 public:
  explicit Images(std::initializer_list<const char*> names) {
    for (const char* name : names) add(name);
  }
  void add(const std::string& name) {
    fs::create_directories(path(name));
    write(name + "/1.bmp", images::bytes("rgb.bmp") + std::to_string(++count_));
  }
  std::string refusal() const {
    return message_of([this] { datasets::image_folder(Split::train, path()); });
  }

 private:
  int count_ = 0;
};

std::string part(const TemporaryFolder& folder, const std::string& path) {
  return path.empty() ? path : fs::relative(path, folder.path()).string();
}

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

}  // namespace

TEST_SUITE_BEGIN("datasets parts");

TEST_CASE("usual names of parts are understood") {
  const std::pair<const char*, const char*> kPairs[] = {
      {"train", "val"},         {"train", "valid"},      {"Train", "Val"},
      {"training", "testing"},  {"trn", "dev"},          {"TRAIN", "TEST"},
      {"train", "validation"},  {"train", "eval"},       {"train_set", "test_set"},
      {"train2017", "val2017"}, {"trainset", "testset"}, {"Training Data", "Validation Data"},
      {"train", "holdout"},     {"train_images", "dev"}};
  for (const auto& [train, test] : kPairs) {
    CAPTURE(std::string(train) + " and " + test);
    Images folder{};
    for (const char* name : {train, test})
      for (const char* kind : {"a", "b"}) folder.add(std::string(name) + "/" + kind);
    const datasets::Parts parts = datasets::parts_of(folder.path());
    CHECK(part(folder, parts.train) == train);
    CHECK(part(folder, parts.test) == test);
    CHECK(parts.validation.empty());
    CHECK(datasets::image_folder(Split::test, folder.path())->num_classes() == 2);
  }
}

TEST_CASE("three parts are three parts") {
  Images folder{"Train/a", "Valid/a", "Test/a", "annotations/x"};
  const datasets::Parts parts = datasets::parts_of(folder.path());
  CHECK(part(folder, parts.train) == "Train");
  CHECK(part(folder, parts.validation) == "Valid");
  CHECK(part(folder, parts.test) == "Test");
  const auto validation = datasets::make("image-folder", Split::validation, folder.path());
  CHECK(contains(validation->name(0), "/Valid/a/1.bmp"));
  CHECK(contains(message_of([] { datasets::make("fashion-mnist", Split::validation); }),
                 "has no validation images"));

  // As ImageNet has it: pictures without classes.
  fs::remove_all(folder.path("Test/a"));
  fs::copy_file(images::path("rgb.bmp"), folder.path("Test/1.bmp"));
  CHECK(part(folder, datasets::parts_of(folder.path()).test) == "Valid");
  CHECK(datasets::parts_of(folder.path()).validation.empty());
}

TEST_CASE("names of parts that are not understood are refused, classes are not") {
  CHECK(contains(Images{"train/a", "train/b", "rest/a", "rest/b"}.refusal(),
                 "has the part train, but no other that is understood beside it: rest. Parts are"));
  CHECK(contains(Images{"seg_train/a", "seg_test/a"}.refusal(),
                 "seg_test, seg_train may be parts or classes"));
  CHECK(contains(Images{"train/a", "Training/a", "val/a"}.refusal(),
                 "has Training and train, which name the same part"));
  CHECK(contains(Images{"cats/train", "cats/val", "dogs/train", "dogs/val"}.refusal(),
                 "cats, dogs hold parts each"));
  CHECK(contains(message_of([] {
                   const Images only{"train/a"};
                   datasets::image_folder(Split::test, only.path());
                 }),
                 "has only the folder train: expected val or test beside it"));

  // Things that are called so.
  const Images vehicles{"bus", "car", "train"};
  CHECK(datasets::image_folder(Split::train, vehicles.path())->num_classes() == 3);
  const Images years{"cat/2019", "cat/2020", "dog/2019", "dog/2020"};
  CHECK(datasets::image_folder(Split::train, years.path())->num_classes() == 2);
  const Images glass{"beaker", "test tube"};
  CHECK(datasets::image_folder(Split::train, glass.path())->num_classes() == 2);
}

TEST_CASE("a test part alone can be tested on") {
  const Images folder{"val/a", "val/b"};
  CHECK(datasets::make("image-folder", Split::test, folder.path())->size() == 2);
  CHECK(datasets::info("image-folder", folder.path()).classes == 2);
  CHECK(contains(folder.refusal(), "has only the folder val: expected train beside it"));
}

TEST_CASE("a folder that is a part has the parts beside it") {
  const Images folder{"train/a", "valid/a"};
  const datasets::Parts train = datasets::parts_of(folder.path("train"));
  CHECK(train.itself == Split::train);
  CHECK(part(folder, train.train) == "train");
  CHECK(part(folder, train.test) == "valid");
  const datasets::Parts valid = datasets::parts_of(folder.path("valid/"));
  CHECK(valid.itself == Split::test);
  CHECK(part(folder, valid.train) == "train");
  CHECK_FALSE(datasets::parts_of(folder.path()).itself.has_value());
}

TEST_CASE("folders around the data are looked through") {
  const Images archive{"photos/train/a", "photos/val/a"};
  CHECK(part(archive, datasets::parts_of(archive.path()).train) == "photos/train");
  const Images twice{"training_set/training_set/a", "test_set/test_set/a"};
  CHECK(part(twice, datasets::parts_of(twice.path()).test) == "test_set/test_set");
  CHECK(datasets::image_folder(Split::train, twice.path())->class_names()[0] == "a");
}

TEST_CASE("hidden folders and files are no data") {
  const Images folder{"train/a", "train/.ipynb_checkpoints", "val/a", "__MACOSX/train", ".git/val"};
  folder.write("train/a/._1.bmp", "what a Mac leaves behind");
  const auto dataset = datasets::image_folder(Split::train, folder.path());
  CHECK(dataset->class_names() == std::vector<std::string>{"a"});
  CHECK(dataset->size() == 1);
}

TEST_CASE("links that lead to the same folder again are followed once") {
  const Images folder{"a", "b"};
  fs::create_directory(folder.path("a/deep"));
  for (int level = 0; level < 40; ++level)  // 2^40 ways
    for (const char* way : {"x", "y"}) {
      const std::string here = folder.path("a/deep/" + std::to_string(level));
      fs::create_directories(here);
      fs::create_directory_symlink(folder.path("a/deep/" + std::to_string(level + 1)),
                                   here + "/" + way);
    }
  CHECK(datasets::image_folder(folder.path())->size() == 2);
  fs::create_directory_symlink(folder.path(), folder.path("b/up"));
  CHECK(contains(message_of([&] { datasets::image_folder(folder.path()); }),
                 "links to a folder above it"));
}

TEST_CASE("test images that are training images are found") {
  const Images folder{"train/a", "train/b", "val/a", "val/b"};
  const auto overlap = [&] {
    return datasets::find_overlap(*datasets::image_folder(Split::train, folder.path()),
                                  *datasets::image_folder(Split::test, folder.path()));
  };
  CHECK(overlap().looked_at == 2);
  CHECK(overlap().found == 0);
  fs::copy_file(folder.path("train/b/1.bmp"), folder.path("val/b/under_another_name.bmp"));
  CHECK(overlap().found == 1);
  CHECK(contains(overlap().first_test, "val/b/under_another_name.bmp"));
  CHECK(contains(overlap().first_train, "train/b/1.bmp"));
  fs::remove_all(folder.path("val"));
  fs::create_directory_symlink(folder.path("train"), folder.path("val"));
  CHECK(overlap().found == 2);

  const nn::InMemoryDataset pixels({1, 1, 2}, 2, {1, 2, 3, 4, 5, 6}, {0, 1, 0});
  const nn::InMemoryDataset others({1, 1, 2}, 2, {7, 8, 5, 6}, {0, 1});
  const datasets::Overlap found = datasets::find_overlap(pixels, others);
  CHECK(found.looked_at == 2);
  CHECK(found.found == 1);
  CHECK(found.first_train == "image 2");
}

TEST_SUITE_END();
