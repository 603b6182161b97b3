#include "console/report.h"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "rung/core/error.h"
#include "rung/io/text_file.h"

namespace rung::cli {
namespace {

namespace fs = std::filesystem;

/// A device or a pipe cannot be replaced, only written to.
void write_to_device(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  int error = file == nullptr ? errno : 0;
  if (file != nullptr && std::fwrite(text.data(), 1, text.size(), file) != text.size())
    error = errno;
  if (file != nullptr && std::fclose(file) != 0 && error == 0) error = errno;
  if (error != 0) throw Error(fmt::format("{}: cannot write: {}", path, std::strerror(error)));
}

}  // namespace

void write_figures(const std::string& path, const std::string& text) {
  if (path.empty()) return;
  if (path == "-") {
    if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
      throw Error(
          fmt::format("cannot write the figures to standard output: {}", std::strerror(errno)));
    return;
  }
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::exists(status) && !fs::is_regular_file(status))
    write_to_device(path, text);
  else
    io::write_text_file(path, text);
}

struct Report::Impl {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
};

Report::Report() : impl_(std::make_unique<Impl>()) {}
Report::~Report() = default;
Report::Report(Report&&) noexcept = default;

void Report::set(std::string_view key, double value) {
  auto& place = impl_->json[std::string(key)];
  if (std::isfinite(value))
    place = value;
  else
    place = nullptr;
}
void Report::set(std::string_view key, std::int64_t value) {
  impl_->json[std::string(key)] = value;
}
void Report::set(std::string_view key, std::string_view value) {
  impl_->json[std::string(key)] = value;
}
void Report::set(std::string_view key, const std::vector<std::string>& values) {
  impl_->json[std::string(key)] = values;
}
void Report::set(std::string_view key, const std::vector<std::int64_t>& values) {
  impl_->json[std::string(key)] = values;
}
void Report::set(std::string_view key, const std::vector<double>& values) {
  impl_->json[std::string(key)] = values;  // what is not finite is written as null
}
void Report::set(std::string_view key, const std::vector<std::vector<std::int64_t>>& rows) {
  impl_->json[std::string(key)] = rows;
}
void Report::set(std::string_view key, const Report& value) {
  impl_->json[std::string(key)] = value.impl_->json;
}
void Report::append(std::string_view key, const Report& element) {
  impl_->json[std::string(key)].push_back(element.impl_->json);
}

void Report::write(const std::string& path) const {
  // File names need not be UTF-8, JSON must be; as ASCII it tells a terminal nothing either.
  if (!path.empty())
    write_figures(
        path,
        impl_->json.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void Report::write_so_far(const std::string& path) const {
  std::error_code ignored;
  if (path.empty() || path == "-") return;
  if (fs::exists(path, ignored) && !fs::is_regular_file(path, ignored)) return;
  try {
    write(path);
  } catch (const Error&) {
  }
}

}  // namespace rung::cli
