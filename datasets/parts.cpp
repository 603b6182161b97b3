#include "datasets/parts.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/join.h"
#include "datasets/folder.h"

namespace rung::datasets {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSpellings =
    "train (training, trn), val (valid, validation, dev), test (testing, eval), in any case";

constexpr std::array<std::pair<std::string_view, Split>, 18> kNames = {{
    {"train", Split::train},
    {"training", Split::train},
    {"trn", Split::train},
    {"val", Split::validation},
    {"valid", Split::validation},
    {"validate", Split::validation},
    {"validation", Split::validation},
    {"dev", Split::validation},
    {"devel", Split::validation},
    {"development", Split::validation},
    {"test", Split::test},
    {"tests", Split::test},
    {"testing", Split::test},
    {"tst", Split::test},
    {"eval", Split::test},
    {"evaluation", Split::test},
    {"holdout", Split::test},
    {"heldout", Split::test},
}};

// What stands behind the word: train_set, test-data, val2017.
constexpr std::array<std::string_view, 9> kEnds = {"set",   "data",  "dataset", "images", "imgs",
                                                   "image", "split", "folder",  "part"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z'); }

/// Returns the words of a name in lower case, without digits and what is between words.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (is_letter(c) || static_cast<unsigned char>(c) >= 0x80)
      words.back() += c;
    else if (!words.back().empty())
      words.emplace_back();
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::optional<Split> split_of_word(std::string_view word) {
  for (const auto& [name, split] : kNames)
    if (word == name) return split;
  for (const std::string_view end : kEnds)
    if (word.size() > end.size() && word.ends_with(end)) {
      word.remove_suffix(end.size());
      for (const auto& [name, split] : kNames)
        if (word == name) return split;
      return {};
    }
  return {};
}

/// Returns which part a folder of this name is: Train, validation, test_images, val2017.
std::optional<Split> split_named(const std::string& name) {
  const std::vector<std::string> words = words_of(name);
  if (words.empty() || words.size() > 2) return {};
  if (words.size() == 2 && std::ranges::find(kEnds, words[1]) == kEnds.end()) return {};
  return split_of_word(words[0]);
}

/// True for names that have a word of a part in them and more: seg_train, my-test-pictures.
bool sounds_like_a_part(const std::string& name) {
  return std::ranges::any_of(
      words_of(name), [](const std::string& word) { return split_of_word(word).has_value(); });
}

bool is_labelled(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "labels.npy", ignored) || !content_of(folder).folders.empty();
}

/// The folders in DIR by what their names say.
struct Found {
  std::map<Split, std::string> parts;
  std::vector<std::string> others;
};

Found look_into(const std::string& dir, const std::vector<std::string>& folders) {
  Found found;
  for (const std::string& name : folders) {
    const std::optional<Split> split = split_named(name);
    if (!split) {
      found.others.push_back(name);
      continue;
    }
    const auto [known, is_new] = found.parts.try_emplace(*split, name);
    require(is_new, "{}: has {} and {}, which name the same part: rename or remove one of them",
            dir, known->second, name);
  }
  return found;
}

Parts parts_from(const fs::path& root, const Found& found) {
  const auto path = [&](Split split) {
    const auto known = found.parts.find(split);
    if (known == found.parts.end()) return std::string();
    fs::path part = root / known->second;
    // An archive that was unpacked into a folder of its own name: training_set/training_set.
    const std::vector<std::string> inside = content_of(part).folders;
    if (inside.size() == 1 && split_named(inside[0]) == split) part /= inside[0];
    return part.string();
  };
  Parts parts{.train = path(Split::train),
              .validation = path(Split::validation),
              .test = path(Split::test)};
  // ImageNet's test folder has no labels.
  if (!parts.test.empty() && !parts.validation.empty() && !is_labelled(parts.test)) parts.test = {};
  if (parts.test.empty()) parts.test = std::exchange(parts.validation, {});
  return parts;
}

/// True for what may be meant as the name of a part: "tr", "te", "fold0", "split_1".
bool resembles_part(const std::string& name) {
  const std::vector<std::string> words = words_of(name);
  if (words.size() != 1 || words[0].size() < 2) return false;
  for (const std::string_view part : {"train", "test", "validation", "evaluation"})
    if (part.starts_with(words[0])) return true;
  return words[0] == "fold" || words[0] == "split" || words[0] == "part";
}

/// Throws Error if folders that are taken for classes are called like parts and hold the same
/// folders each, and nothing else: then those are the classes. Classes of one's own may be divided
/// alike, by year for instance.
void check_differ(const std::string& dir, const std::vector<std::string>& names) {
  if (names.size() < 2 || !std::ranges::all_of(names, resembles_part)) return;
  std::vector<std::string> common;
  for (const std::string& name : names) {
    const FolderContent content = content_of(fs::path(dir) / name);
    if (content.folders.size() < 2 || std::ranges::any_of(content.files, is_image)) return;
    if (!common.empty() && common != content.folders) return;
    common = content.folders;
  }
  fail(
      "{}: {} hold the same folders each ({}), which are the classes then, and these parts. Parts "
      "are called {}: rename them",
      dir, join(names), join(common), kSpellings);
}

/// Throws Error if folders were taken for parts by their names that are classes, as the one beside
/// them seems to be.
void check_are_parts(const std::string& dir, const Found& found) {
  if (found.others.empty() || found.parts.contains(Split::train)) return;
  std::vector<std::string> parts;
  for (const auto& [split, name] : found.parts) {
    if (is_labelled(fs::path(dir) / name)) return;
    parts.push_back(name);
  }
  const auto is_class = [&](const std::string& name) { return holds_images(fs::path(dir) / name); };
  if (!std::ranges::all_of(parts, is_class) || !std::ranges::any_of(found.others, is_class)) return;
  fail(
      "{}: {} are taken for parts, by their names, but {} beside them is none: if all of them are "
      "classes, rename those. Parts are called {}",
      dir, join(parts, " and "), join(found.others), kSpellings);
}

/// Throws Error if folders that are taken for classes look like parts that nobody understands.
void check_are_classes(const std::string& dir, const Found& found) {
  const fs::path root = dir;
  if (!found.parts.empty()) {
    const std::string& name = found.parts.begin()->second;
    if (holds_images(root / name)) return;  // a class that is called so
    fail(
        "{}: has the part {}, but no other that is understood beside it: {}. Parts are called {}; "
        "rename {} if it is a class",
        dir, name, join(found.others), kSpellings, name);
  }
  std::vector<std::string> alike, with_parts;
  for (const std::string& name : found.others) {
    const FolderContent content = content_of(root / name);
    if (std::ranges::any_of(content.files, is_image)) continue;
    if (sounds_like_a_part(name)) alike.push_back(name);
    if (look_into((root / name).string(), content.folders).parts.size() > 1)
      with_parts.push_back(name);
  }
  require(alike.empty(),
          "{}: {} may be parts or classes, which cannot be told from the names. Parts are called "
          "{}; a class has its images in its folder",
          dir, join(alike), kSpellings);
  require(with_parts.empty(),
          "{}: {} hold parts each (train, val, ...): expected the parts first, with a folder per "
          "class in each: {}/train/{}",
          dir, join(with_parts), dir, with_parts.empty() ? "" : with_parts[0]);
  check_differ(dir, found.others);
}

/// Returns the parts that the folder above DIR has, if DIR is one of them by its name.
std::optional<Parts> parts_beside(const std::string& dir) {
  std::error_code error;
  const fs::path real = fs::canonical(dir, error);
  if (error || !real.has_relative_path()) return {};
  const std::optional<Split> itself = split_named(real.filename().string());
  if (!itself) return {};
  Parts parts;
  try {
    const std::string above = real.parent_path().string();
    const Found found = look_into(above, content_of(above).folders);
    if (found.parts.size() < 2) return {};
    parts = parts_from(real.parent_path(), found);
  } catch (const Error&) {
    return {};  // the folder above is none of our business
  }
  const std::pair<Split, std::string*> each[] = {{Split::train, &parts.train},
                                                 {Split::validation, &parts.validation},
                                                 {Split::test, &parts.test}};
  for (const auto& [split, path] : each)
    if (*path == real.string()) {
      parts.itself = split;
      *path = dir;
      return parts;
    }
  return {};
}

}  // namespace

Parts parts_of(const std::string& dir) {
  require(!dir.empty(), "this dataset has no usual place: name its folder (--data DIR)");
  std::error_code error;
  require(fs::is_directory(dir, error), "{}: is not a folder{}", dir,
          error ? ": " + error.message() : "");
  const FolderContent content = content_of(dir);
  const Found found = look_into(dir, content.folders);
  if (found.parts.size() > 1) {
    check_are_parts(dir, found);
    return parts_from(dir, found);
  }
  if (found.parts.size() == 1 && found.others.empty() &&
      !holds_images(fs::path(dir) / found.parts.begin()->second))
    return parts_from(dir, found);
  // An archive that was unpacked into a folder of its own name: data/photos/train.
  if (found.parts.empty() && content.folders.size() == 1 && content.files.empty()) {
    const std::string inner = (fs::path(dir) / content.folders[0]).string();
    if (look_into(inner, content_of(inner).folders).parts.size() > 1) return parts_of(inner);
  }
  if (const std::optional<Parts> beside = parts_beside(dir)) return *beside;
  if (!fs::exists(fs::path(dir) / "labels.npy", error)) check_are_classes(dir, found);
  return {.train = dir, .test = dir};
}

std::string part_folder(const std::string& dir, Split split) {
  const Parts parts = parts_of(dir);
  const std::string& path = split == Split::train  ? parts.train
                            : split == Split::test ? parts.test
                                                   : parts.validation;
  if (!path.empty()) return path;
  std::vector<std::string> names;
  for (const std::string& each : {parts.train, parts.validation, parts.test})
    if (!each.empty()) names.push_back(fs::path(each).filename().string());
  fail("{}: has only the folder {}: expected {}; parts are called {}", dir, join(names),
       split == Split::train  ? "train beside it"
       : split == Split::test ? "val or test beside it"
                              : "train, val and test",
       kSpellings);
}

}  // namespace rung::datasets
