#include "rung/io/summary_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <vector>

#include "core/check.h"
#include "io/files/atomic_file.h"  // write_all
#include "io/tensorboard/events.h"
#include "io/tensorboard/records.h"

namespace rung::io {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = "events.out.tfevents.";
constexpr std::size_t kBuffer = 1 << 16;
constexpr std::chrono::seconds kFlush{5};  // for those who watch
constexpr int kNameAttempts = 1000;

double wall_time() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  return now.count();
}

/// Returns the machine's name, as far as it can stand in a file's.
std::string host() {
  std::array<char, 256> text{};
  if (::gethostname(text.data(), text.size() - 1) != 0 || text[0] == '\0') return "localhost";
  std::string name = text.data();
  for (char& c : name)
    if (c == '/' || static_cast<unsigned char>(c) <= ' ') c = '_';
  return name;
}

std::vector<fs::path> event_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (entry.path().filename().string().starts_with(kName) && entry.is_regular_file(ignored))
      files.push_back(entry.path());
  return files;
}

}  // namespace

SummaryWriter::SummaryWriter(const SummaryWriterOptions& options) {
  std::error_code error;
  fs::create_directories(options.log_dir, error);
  require(!error, "cannot create the folder {}: {}", options.log_dir.string(), error.message());
  if (options.resume) cut(options.log_dir, options.resume->files);
  open(options.log_dir);
  add(version_event(wall_time()));
  if (options.resume) add(restart_event(wall_time(), options.resume->next_step));
  flush();
}

SummaryWriter::~SummaryWriter() {
  write_all(descriptor_, std::as_bytes(std::span(buffer_)));
  ::close(descriptor_);
}

void SummaryWriter::cut(const fs::path& folder, const EventFileSizes& files) {
  const std::vector<fs::path> present = event_files(folder);
  const auto is_known = [&](const fs::path& path) {
    return files.contains(path.filename().string());
  };
  require(
      files.empty() || present.empty() || std::ranges::any_of(present, is_known),
      "{}: has the event files of another run, and none of those that go on; name their folder, "
      "or an empty one",
      folder.string());
  for (const fs::path& path : present) {
    const std::string name = path.filename().string();
    const auto known = files.find(name);
    std::error_code error;
    if (known == files.end())
      fs::remove(path, error);
    else if (fs::file_size(path, error) > known->second && !error)
      fs::resize_file(path, known->second, error);
    require(!error, "{}: cannot cut it to what the run had written: {}", path.string(),
            error.message());
    if (known != files.end()) earlier_.insert(*known);
  }
}

void SummaryWriter::open(const fs::path& folder) {
  const std::string name = fmt::format("{}{:010}.{}.{}.", kName,
                                       static_cast<std::int64_t>(wall_time()), host(), ::getpid());
  for (int number = 0; descriptor_ < 0; ++number) {
    path_ = folder / fmt::format("{}{}", name, number);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    require(descriptor_ >= 0 || (errno == EEXIST && number < kNameAttempts), "{}: cannot write: {}",
            path_.string(), std::strerror(errno));
  }
}

void SummaryWriter::add_scalar(std::string_view tag, double value, std::int64_t step) {
  add(scalar_event(wall_time(), step, tag, static_cast<float>(value)));
}

void SummaryWriter::add_histogram(std::string_view tag, std::span<const float> values,
                                  std::int64_t step) {
  add(histogram_event(wall_time(), step, tag, values));
}

void SummaryWriter::add(const std::string& event) {
  append_record(buffer_, event);
  if (buffer_.size() >= kBuffer || Clock::now() - flushed_ >= kFlush) flush();
}

void SummaryWriter::flush() {
  flushed_ = Clock::now();
  const int error = write_all(descriptor_, std::as_bytes(std::span(buffer_)));
  written_ += buffer_.size();
  buffer_.clear();
  require(error == 0, "{}: cannot write: {}", path_.string(), std::strerror(error));
}

EventFileSizes SummaryWriter::files() {
  flush();
  EventFileSizes files = earlier_;
  files[path_.filename().string()] = written_;
  return files;
}

bool has_event_files(const fs::path& log_dir) { return !event_files(log_dir).empty(); }

}  // namespace rung::io
