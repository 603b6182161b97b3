#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "rung/io/weights.h"
#include "rung/models.h"

namespace rung::cli {

/// Knows in which parameters of one of rung's models the number of classes and of image channels
/// shows, so that files of weights can be asked for them.
class ModelShape {
 public:
  /// Builds the model for these and for other numbers, and looks at what differs.
  ModelShape(const std::string& model, const models::ModelOptions& options);

  /// True for the parameters of the head: their shapes depend on the number of classes.
  bool is_head(const std::string& parameter) const { return classes_.contains(parameter); }
  const std::map<std::string, std::int64_t>& head() const { return classes_; }
  /// Return the numbers that a file has, as far as parameters of another shape tell.
  std::optional<std::int64_t> classes(const std::vector<io::OtherShape>& others) const;
  std::optional<std::int64_t> channels(const std::vector<io::OtherShape>& others) const;

 private:
  std::map<std::string, std::int64_t> classes_, channels_;  // parameter -> the axis that shows it
};

}  // namespace rung::cli
