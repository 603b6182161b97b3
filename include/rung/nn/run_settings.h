#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "rung/core/export.h"

namespace rung::nn {

/// What a run was told, as far as its result depends on it: name -> value, in UTF-8. Checkpoints
/// keep it, so that no run goes on with something else.
using RunSettings = std::map<std::string, std::string>;

/// A setting that a checkpoint's run had otherwise.
struct SettingDifference {
  std::string file;  ///< the checkpoint
  std::string name;
  std::optional<std::string> was, is;  ///< nothing: was not recorded, is not given
};

/// Decides whether a run may go on although a setting is another one now.
using AcceptDifference = std::function<bool(const SettingDifference& difference)>;

/// Throws Error, beginning with the file, that lists how the settings it was written with differ
/// from the present ones; differences that `accepts` returns true for do not count.
RUNG_API void check_same(const RunSettings& was, const RunSettings& is, const std::string& file,
                         const AcceptDifference& accepts = {});

}  // namespace rung::nn
