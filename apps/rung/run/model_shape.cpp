#include "run/model_shape.h"

namespace rung::cli {
namespace {

/// Returns the parameters that have another shape in the other graph, with the axis that differs.
std::map<std::string, std::int64_t> differing_axes(const Graph& graph, const Graph& other) {
  std::map<std::string, std::int64_t> axes;
  for (const Parameter* parameter : graph.parameters()) {
    const Shape &a = parameter->shape(), &b = other.parameter(parameter->name()).shape();
    for (std::int64_t axis = 0; axis < a.rank() && a.rank() == b.rank(); ++axis)
      if (a[axis] != b[axis]) axes[parameter->name()] = axis;
  }
  return axes;
}

std::optional<std::int64_t> number_in(const std::map<std::string, std::int64_t>& axes,
                                      const std::vector<io::OtherShape>& others) {
  for (const io::OtherShape& other : others)
    if (const auto found = axes.find(other.name);
        found != axes.end() && found->second < other.file_shape.rank())
      return other.file_shape[found->second];
  return {};
}

}  // namespace

ModelShape::ModelShape(const std::string& model, const models::ModelOptions& options) {
  const Graph graph = models::build(model, options);
  models::ModelOptions more_classes = options, more_channels = options;
  ++more_classes.num_classes;
  ++more_channels.in_channels;
  classes_ = differing_axes(graph, models::build(model, more_classes));
  channels_ = differing_axes(graph, models::build(model, more_channels));
}

std::optional<std::int64_t> ModelShape::classes(const std::vector<io::OtherShape>& others) const {
  return number_in(classes_, others);
}

std::optional<std::int64_t> ModelShape::channels(const std::vector<io::OtherShape>& others) const {
  return number_in(channels_, others);
}

}  // namespace rung::cli
