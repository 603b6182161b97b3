#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rung::cli {

/// Writes figures to `path`, complete or not at all, or to standard output for "-"; nothing if it
/// is empty. Throws Error if that fails.
void write_figures(const std::string& path, const std::string& text);

/// The figures of a run, written as one JSON object (--json). Keys keep the order of setting.
class Report {
 public:
  Report();
  ~Report();
  Report(Report&&) noexcept;
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

  /// A number that is not finite becomes null: JSON knows no other.
  void set(std::string_view key, double value);
  void set(std::string_view key, std::int64_t value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const std::vector<std::string>& values);
  void set(std::string_view key, const std::vector<std::int64_t>& values);
  void set(std::string_view key, const std::vector<double>& values);
  void set(std::string_view key, const std::vector<std::vector<std::int64_t>>& rows);
  void set(std::string_view key, const Report& value);
  /// Adds an object to the array of this name; set(key, {}) of strings makes an empty one.
  void append(std::string_view key, const Report& element);

  /// Writes them as write_figures() does.
  void write(const std::string& path) const;
  /// The same for figures that are not complete yet: only to files, and never fails, since the
  /// complete ones may have more luck.
  void write_so_far(const std::string& path) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::cli
