#include "run/initial_weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "run/model_shape.h"
#include "run/model_source.h"
#include "rung/core/error.h"
#include "rung/io/weights.h"

namespace rung::cli {
namespace {

bool belongs_to(const std::string& parameter, const std::string& layer) {
  return parameter == layer || parameter.starts_with(layer + ".");
}

/// Remembers the parameters of a layer, to put them back.
class Drawn {
 public:
  Drawn(Graph& graph, const InitOptions& options, const ModelShape& shape) {
    if (options.head.empty()) return;
    for (Parameter* parameter : graph.parameters())
      if (belongs_to(parameter->name(), options.head))
        values_.emplace_back(parameter, Tensor(parameter->shape(), parameter->value().data()));
    if (!values_.empty()) return;
    std::vector<std::string> head;
    for (const auto& [name, axis] : shape.head()) head.push_back(name);
    throw Error(fmt::format("--head {}: the model has no such layer; its head is {}", options.head,
                            fmt::join(head, ", ")));
  }
  bool has(const std::string& name) const {
    return std::ranges::any_of(values_,
                               [&](const auto& each) { return each.first->name() == name; });
  }
  void put_back() const {
    for (const auto& [parameter, value] : values_) parameter->edit().copy_from(value);
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [parameter, value] : values_) names.push_back(parameter->name());
    return names;
  }

 private:
  std::vector<std::pair<Parameter*, Tensor>> values_;
};

}  // namespace

void check_init_options(const InitOptions& options) {
  if (options.file.empty() && (options.strict || !options.head.empty()))
    throw UsageError("--head and --init-strict need --init FILE");
  if (options.strict && !options.head.empty())
    throw UsageError("--init-strict takes all of the file, --head leaves a layer out: give one");
}

void load_initial_weights(Graph& graph, const std::string& model,
                          const models::ModelOptions& model_options, const InitOptions& options,
                          const Console& console) {
  if (options.file.empty()) return;
  if (options.strict) return tell(io::load_weights(graph, options.file), options.file, console);
  const ModelShape shape(model, model_options);
  const Drawn drawn(graph, options, shape);
  const io::LoadWeightsReport report =
      io::load_weights(graph, options.file, {.strict = false, .skip_other_shapes = true});
  const auto may_differ = [&](const std::string& name) {
    return options.head.empty() ? shape.is_head(name) : drawn.has(name);
  };
  const bool same_names =
      report.unexpected.empty() &&
      std::ranges::all_of(report.missing, [&](const auto& name) { return drawn.has(name); });
  const std::optional<std::int64_t> channels = shape.channels(report.other_shapes);
  if (same_names && channels)
    throw Error(fmt::format("{}: is for images of {} channels, here they have {}", options.file,
                            *channels, model_options.in_channels));
  const bool fits = same_names && std::ranges::all_of(report.other_shapes, [&](const auto& other) {
                      return may_differ(other.name);
                    });
  if (!fits) io::load_weights(graph, options.file);  // throws, with all that does not fit
  tell(report, options.file, console);
  drawn.put_back();
  std::vector<std::string> anew = drawn.names();
  if (options.head.empty())
    for (const io::OtherShape& other : report.other_shapes)
      anew.push_back(fmt::format("{} ({} there)", other.name, other.file_shape.to_string()));
  if (!anew.empty())
    console.line(fmt::format("weights from {}, but for a new head for {} classes: {}", options.file,
                             model_options.num_classes, fmt::join(anew, ", ")));
}

}  // namespace rung::cli
