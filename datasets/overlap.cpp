#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "core/check.h"
#include "rung/datasets.h"

namespace rung::datasets {
namespace {

namespace fs = std::filesystem;

// Enough to notice one copied image in twenty, and few enough not to be waited for.
constexpr std::int64_t kLooks = 256;
// Of more training files only names are compared, not sizes: that would ask the disk about each.
constexpr std::int64_t kManyFiles = 20000;
// Of more training images held in memory only the first are compared.
constexpr std::int64_t kManyImages = 200000;

/// Returns which images of a dataset are looked at: all, or some of them evenly spread.
std::vector<std::int64_t> looks_at(const nn::Dataset& dataset) {
  std::vector<std::int64_t> indices;
  const std::int64_t looks = std::min(kLooks, dataset.size());
  for (std::int64_t i = 0; i < looks; ++i) indices.push_back(i * dataset.size() / looks);
  return indices;
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool same_content(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  if (fs::file_size(a, error) != fs::file_size(b, error) || error) return false;
  std::ifstream in_a(a, std::ios::binary), in_b(b, std::ios::binary);
  std::array<char, 1 << 14> part_a, part_b;
  while (in_a && in_b) {
    in_a.read(part_a.data(), part_a.size());
    in_b.read(part_b.data(), part_b.size());
    const auto got = static_cast<std::size_t>(in_a.gcount());
    if (in_a.gcount() != in_b.gcount() ||
        std::string_view(part_a.data(), got) != std::string_view(part_b.data(), got))
      return false;
  }
  return in_a.eof() && in_b.eof();
}

Overlap overlap_of_files(const nn::Dataset& train, const nn::Dataset& test) {
  const bool by_size = train.size() <= kManyFiles;
  std::multimap<std::string, std::string> by_name;
  std::multimap<std::uintmax_t, std::string> by_bytes;
  std::error_code error;
  Overlap overlap;
  for (const std::int64_t index : looks_at(test)) {
    const std::string path = test.name(index);
    by_name.emplace(fs::path(path).filename().string(), path);
    if (by_size) by_bytes.emplace(fs::file_size(path, error), path);
    ++overlap.looked_at;
  }
  std::set<std::string> known;
  const auto compare = [&](const std::string& path, auto candidates) {
    for (auto it = candidates.first; it != candidates.second; ++it)
      if (!known.contains(it->second) && same_content(path, it->second)) {
        if (known.insert(it->second).second && known.size() == 1)
          overlap.first_test = it->second, overlap.first_train = path;
      }
  };
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const std::string path = train.name(i);
    compare(path, by_name.equal_range(fs::path(path).filename().string()));
    if (by_size) compare(path, by_bytes.equal_range(fs::file_size(path, error)));
  }
  overlap.found = static_cast<std::int64_t>(known.size());
  return overlap;
}

Overlap overlap_of_pixels(const nn::Dataset& train, const nn::Dataset& test) {
  const auto pixels_of = [](const nn::Image& image) {
    return std::string(reinterpret_cast<const char*>(image.pixels.data()),
                       image.pixels.size() * sizeof(float));
  };
  std::map<std::string, std::int64_t> looked_at;
  Overlap overlap;
  nn::Image image;
  for (const std::int64_t index : looks_at(test)) {
    test.get(index, image);
    looked_at.emplace(pixels_of(image), index);
    ++overlap.looked_at;
  }
  for (std::int64_t i = 0; i < std::min(train.size(), kManyImages) && !looked_at.empty(); ++i) {
    train.get(i, image);
    const auto same = looked_at.find(pixels_of(image));
    if (same == looked_at.end()) continue;
    if (overlap.found++ == 0)
      overlap.first_test = test.name(same->second), overlap.first_train = train.name(i);
    looked_at.erase(same);
  }
  return overlap;
}

}  // namespace

Overlap find_overlap(const nn::Dataset& train, const nn::Dataset& test) {
  require(train.size() > 0 && test.size() > 0, "find_overlap: a dataset is empty");
  if (is_file(train.name(0)) && is_file(test.name(0))) return overlap_of_files(train, test);
  return overlap_of_pixels(train, test);
}

}  // namespace rung::datasets
