#include "analysis/dump_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "analysis/dump_index.h"
#include "core/check.h"
#include "io/files/names.h"

namespace rung::analysis {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& folder, const std::string& what) {
  fail("{}: {}; expected a new folder, an empty one or an earlier dump", folder.string(), what);
}

/// Throws Error unless a folder may be replaced: it is empty, or all that is in it is of a dump.
void check_replaceable(const fs::path& folder) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(folder, error);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status)) refuse(folder, "is no folder");
  std::set<std::string> known = {kDumpIndex};
  if (const std::optional<DumpIndex> index = read_dump_index(folder))
    for (const DumpedTensor& each : index->tensors) known.insert(each.file);
  else if (!fs::is_empty(folder, error))
    refuse(folder, "is a folder with other things in it");
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!known.contains(name)) refuse(folder, "is a dump with " + io::shown_name(name) + " in it");
  }
}

/// Opens a folder and locks it; returns -1 if it is another process's, or cannot be locked.
int lock(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0 || ::flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  ::close(descriptor);
  return -1;
}

}  // namespace

DumpFolder::DumpFolder(const fs::path& wanted) : folder_(fs::absolute(wanted).lexically_normal()) {
  if (!folder_.has_filename()) folder_ = folder_.parent_path();  // "out/" or "."
  require(folder_.has_filename(), "{}: is no name of a folder", wanted.string());
  check_replaceable(folder_);
  remove_abandoned();
  const std::string name =
      fmt::format(".{}.{}.tmp", folder_.filename().string(), static_cast<long>(::getpid()));
  std::error_code error;
  const bool is_new = fs::create_directory(folder_.parent_path() / name, error);
  require(!error && is_new, "cannot create the folder {}: {}", folder_.string(),
          error ? error.message() : "there is one with the name " + name);
  temporary_ = folder_.parent_path() / name;
  lock_ = lock(temporary_);
}

DumpFolder::~DumpFolder() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
  if (lock_ >= 0) ::close(lock_);
}

void DumpFolder::remove_abandoned() const {
  const std::string begin = fmt::format(".{}.", folder_.filename().string());
  constexpr std::string_view kEnd = ".tmp";
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder_.parent_path(), error), last; !error && entry != last;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    const std::size_t middle = name.find_first_not_of("0123456789", begin.size());
    if (name.starts_with(begin) && middle > begin.size() && middle != std::string::npos &&
        std::string_view(name).substr(middle) == kEnd)
      found.push_back(entry->path());
  }
  for (const fs::path& each : found) {
    const int descriptor = lock(each);
    if (descriptor < 0) continue;
    fs::remove_all(each, error);
    ::close(descriptor);
  }
}

void DumpFolder::put_in_place() {
  check_replaceable(folder_);
  std::error_code error;
  fs::path old;
  if (fs::exists(folder_, error)) {
    old = temporary_;
    old.replace_extension(".old");
    fs::rename(folder_, old, error);
    require(!error, "{}: cannot replace: {}", folder_.string(), error.message());
  }
  fs::rename(temporary_, folder_, error);
  if (error && !old.empty()) {
    std::error_code ignored;
    fs::rename(old, folder_, ignored);
  }
  require(!error, "{}: cannot write: {}", folder_.string(), error.message());
  temporary_.clear();
  if (!old.empty()) fs::remove_all(old, error);
}

}  // namespace rung::analysis
