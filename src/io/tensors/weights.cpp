#include "rung/io/weights.h"

#include <algorithm>
#include <type_traits>

#include "core/check.h"
#include "io/files/file_kind.h"
#include "io/files/names.h"
#include "io/model/check_values.h"
#include "io/tensors/weight_names.h"
#include "rung/core/closest.h"
#include "rung/io/pth.h"
#include "rung/io/safetensors.h"

namespace rung::io {
namespace {

constexpr std::size_t kListedNames = 8;  // names of each kind that a message shows

/// Names that may stand for each other; long ones and long lists are not worth comparing.
std::string suggestion(const std::string& name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kMaxName = 256, kMaxCandidates = 10'000;
  std::vector<std::string> comparable;
  for (const std::string& candidate : candidates)
    if (candidate.size() <= kMaxName && comparable.size() < kMaxCandidates)
      comparable.push_back(shown_name(candidate));
  if (comparable.empty() || name.size() > kMaxName) return {};
  return fmt::format(" (closest: {})", closest_names(shown_name(name), comparable));
}

/// Collects one kind of complaint: "2 missing: "a" (closest: ...), "b" (...)".
class Complaints {
 public:
  explicit Complaints(std::string_view kind) : kind_(kind) {}
  template <typename Describe>
  void add(const Describe& describe) {
    if (++count_ <= kListedNames) text_ += (count_ > 1 ? ", " : "") + describe();
  }
  void append_to(std::string& message) const {
    if (count_ == 0) return;
    message += fmt::format("; {} {}: {}", count_, kind_, text_);
    if (count_ > kListedNames) message += fmt::format(" and {} more", count_ - kListedNames);
  }

 private:
  std::string_view kind_;
  std::size_t count_ = 0;
  std::string text_;
};

std::vector<Parameter*> weights_of(const Graph& graph) {
  std::vector<Parameter*> parameters = graph.parameters();
  std::erase_if(parameters, [](const Parameter* p) { return p->role() == Role::encoding; });
  return parameters;
}

/// File is a SafetensorsFile or a PthFile.
template <typename File>
std::string prefix_in(const File& file, const std::vector<Parameter*>& parameters) {
  std::vector<std::string> wanted, names;
  for (const Parameter* parameter : parameters) wanted.push_back(parameter->name());
  for (const auto& info : file.tensors()) names.push_back(info.name);
  NamePrefix prefix =
      find_prefix(wanted, names, [&](const std::string& name) { return file.contains(name); });
  require(!prefix.is_ambiguous,
          "{}: has the weights twice, before the names stand {} and {}; save those that are meant",
          file.path().string(), shown_name(prefix.text), shown_name(prefix.other));
  return std::move(prefix.text);
}

/// File is a SafetensorsFile or a PthFile.
template <typename File>
LoadWeightsReport load_from(Graph& graph, const File& file, LoadWeightsOptions options) {
  const std::vector<Parameter*> parameters = weights_of(graph);

  LoadWeightsReport report;
  const std::string& prefix = report.prefix = prefix_in(file, parameters);
  std::vector<Parameter*> found;
  Complaints shapes("of another shape");
  for (Parameter* parameter : parameters) {
    const std::string name = prefix + parameter->name();
    if (!file.contains(name)) {
      report.missing.push_back(parameter->name());
    } else if (const Shape& shape = file.info(name).shape; !(shape == parameter->shape())) {
      report.other_shapes.push_back({parameter->name(), shape});
      if (options.skip_other_shapes) continue;
      shapes.add([&] {
        return fmt::format("{} needs {}, the file has {}", shown_name(parameter->name()),
                           parameter->shape(), shape);
      });
    } else {
      found.push_back(parameter);
    }
  }
  if constexpr (std::is_same_v<File, PthFile>) report.left_out = file.other_dicts();
  for (const auto& info : file.tensors()) {
    if (info.name.ends_with("num_batches_tracked")) continue;
    const bool is_within = info.name.starts_with(prefix);
    const Value* value = is_within ? graph.find_value(info.name.substr(prefix.size())) : nullptr;
    const Parameter* parameter = value == nullptr ? nullptr : value->parameter();
    if (parameter != nullptr && parameter->role() != Role::encoding) continue;
    if (is_bookkeeping(info.name, info.shape) || (!is_within && report.missing.empty()))
      report.left_out.push_back(info.name);
    else
      report.unexpected.push_back(is_within ? info.name.substr(prefix.size()) : info.name);
  }

  Complaints missing("missing"), unexpected("unexpected");
  if (options.strict) {
    for (const std::string& name : report.missing)
      missing.add([&] { return shown_name(name) + suggestion(name, report.unexpected); });
    for (const std::string& name : report.unexpected)
      unexpected.add([&] { return shown_name(name) + suggestion(name, report.missing); });
  }
  std::string message;
  for (const Complaints* complaints : {&missing, &unexpected, &shapes})
    complaints->append_to(message);
  require(message.empty(), "{}: does not fit the model{}{}", file.path().string(),
          prefix.empty() ? "" : fmt::format(" without {} before its names", shown_name(prefix)),
          message);

  // All values are read before the first is written: a failing disk must not leave half a model.
  std::vector<Tensor> values;
  for (const Parameter* parameter : found)
    values.push_back(file.tensor(prefix + parameter->name(), options.saturate));
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i]->role() == Role::buffer) try {
        check_variance(graph, found[i]->name(), values[i]);
      } catch (const Error& error) {
        fail("{}: {}", file.path().string(), error.what());
      }
  for (std::size_t i = 0; i < found.size(); ++i) found[i]->edit().copy_from(values[i]);
  return report;
}

/// Returns what torch's state_dict() of the same network has, in its order.
StateDict state_dict(const Graph& graph) {
  StateDict result;
  for (const Parameter* parameter : weights_of(graph)) {
    const std::string& name = parameter->name();
    result.emplace_back(name, parameter->value());
    constexpr std::string_view kLast = ".running_var";  // of a batch norm
    if (parameter->role() == Role::buffer && name.ends_with(kLast))
      result.emplace_back(name.substr(0, name.size() - kLast.size()) + ".num_batches_tracked",
                          IntegerTensor{.shape = {}, .values = {0}});
  }
  return result;
}

SafetensorsContent safetensors_content(const Graph& graph, const SaveWeightsOptions& options) {
  SafetensorsContent content{.saturate = options.saturate};
  for (const Parameter* parameter : weights_of(graph)) {
    content.tensors.emplace_back(parameter->name(), parameter->value());
    if (options.float_dtype != Dtype::F32) content.dtypes[parameter->name()] = options.float_dtype;
  }
  return content;
}

}  // namespace

void save_weights(const Graph& graph, const std::filesystem::path& path,
                  const SaveWeightsOptions& options) {
  const bool pth = is_pth_name(path);
  require(options.float_dtype == Dtype::F32 || options.float_dtype == Dtype::F64 ||
              options.float_dtype == Dtype::F16 || options.float_dtype == Dtype::BF16,
          "{}: weights can be F32, F64, F16 or BF16, not {}", path.string(),
          to_string(options.float_dtype));
  if (pth)
    save_pth(path, state_dict(graph),
             {.float_dtype = options.float_dtype, .saturate = options.saturate});
  else
    save_safetensors(path, safetensors_content(graph, options));
}

LoadWeightsReport load_weights(Graph& graph, const std::filesystem::path& path,
                               LoadWeightsOptions options) {
  return holds_pth(path) ? load_from(graph, PthFile(path), options)
                         : load_from(graph, SafetensorsFile(path), options);
}

std::string LoadWeightsReport::to_string() const {
  std::string text;
  if (!prefix.empty()) text = fmt::format("read without {} before the names", shown_name(prefix));
  if (!left_out.empty())
    text += fmt::format("{}left out: {}", text.empty() ? "" : "; ", summary_of(left_out));
  return text;
}

}  // namespace rung::io
