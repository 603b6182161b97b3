#include "rung/quantsim/config.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>
#include <utility>

#include "core/check.h"
#include "core/join.h"
#include "io/files/file.h"
#include "io/files/json.h"
#include "io/files/names.h"
#include "quantsim/placement/config_rules.h"
#include "quantsim/placement/default_configs.h"

namespace rung {

namespace {

/// Another name of "default".
constexpr std::string_view kDefaultAlias = "per_channel";

using io::Json;
using io::JsonPlace;

void expect_keys(const JsonPlace& place, std::span<const std::string_view> allowed) {
  for (const auto& item : place.object().json().items())
    if (std::find(allowed.begin(), allowed.end(), item.key()) == allowed.end())
      place.refuse(fmt::format("has the unknown key {}; allowed are {}", io::shown_name(item.key()),
                               join(allowed)));
}

void expect_keys(const JsonPlace& place, std::initializer_list<std::string_view> allowed) {
  expect_keys(place, std::span(allowed.begin(), allowed.size()));
}

std::optional<JsonPlace> find(const JsonPlace& place, std::string_view key) {
  return place.has(key) ? std::optional(place[key]) : std::nullopt;
}

bool boolean(const JsonPlace& place) {
  const Json& value = place.json();
  if (value.is_boolean()) return value.get<bool>();
  if (value == "True") return true;
  if (value == "False") return false;
  const std::string found = io::dump_json(value, "configuration");
  place.refuse(
      fmt::format("must be \"True\", \"False\", true or false, got {}", io::shown_name(found)));
}

std::optional<bool> find_boolean(const JsonPlace& place, std::string_view key) {
  return place.has(key) ? std::optional(boolean(place[key])) : std::nullopt;
}

/// AIMET has no way to say "no input quantizer" here: an output setting of the producer says it.
std::optional<bool> find_only_true(const JsonPlace& place, std::string_view key) {
  const std::optional<bool> wanted = find_boolean(place, key);
  if (wanted && !*wanted) place[key].refuse("can only be \"True\" (or absent), got \"False\"");
  return wanted;
}

KernelPrecision parse_precision(const JsonPlace& place) {
  expect_keys(place, {"bitwidth", "dtype"});
  KernelPrecision precision;
  const JsonPlace bitwidth = place["bitwidth"];
  const double bits = bitwidth.number();
  if (bits != 4 && bits != 8 && bits != 16 && bits != 32)
    bitwidth.refuse(fmt::format("must be 4, 8, 16 or 32, got {}", bits));
  precision.bitwidth = static_cast<int>(bits);
  const JsonPlace dtype = place["dtype"];
  const std::string name = dtype.string();
  if (name != "int" && name != "float")
    dtype.refuse(fmt::format("must be int or float, got {}", io::shown_name(name)));
  precision.is_float = name == "float";
  if (precision.is_float && bits != 16 && bits != 32)
    bitwidth.refuse(fmt::format("must be 16 or 32 for dtype float, got {}", bits));
  return precision;
}

/// Whether a kernel must say something about parameters: an op may have none.
enum class Params { required, optional };

std::vector<SupportedKernel> parse_kernels(const JsonPlace& parent, Params params) {
  std::vector<SupportedKernel> kernels;
  const std::optional<JsonPlace> list = find(parent, "supported_kernels");
  if (!list) return kernels;
  list->array();
  for (std::size_t i = 0; i < list->size(); ++i) {
    const JsonPlace place = (*list)[i];
    expect_keys(place, {"activation", "param"});
    SupportedKernel kernel;
    kernel.activation = parse_precision(place["activation"]);
    if (params == Params::required || place.has("param"))
      kernel.param = parse_precision(place["param"]);
    kernels.push_back(kernel);
  }
  return kernels;
}

ParamConfig parse_param(const JsonPlace& place) {
  expect_keys(place, {"is_quantized", "is_symmetric"});
  return {find_boolean(place, "is_quantized"), find_boolean(place, "is_symmetric")};
}

std::map<std::string, ParamConfig> parse_params(const JsonPlace& place) {
  expect_keys(place, {"weight", "bias", "running_mean", "running_var"});
  std::map<std::string, ParamConfig> params;
  for (const auto& item : place.json().items()) {
    const JsonPlace param = place[item.key()];
    const ParamConfig config = parse_param(param);
    if (item.key().starts_with("running_")) {
      if (config.is_quantized.value_or(false))
        param.refuse("cannot be quantized: statistics have no quantizer");
      continue;
    }
    params[item.key()] = config;
  }
  return params;
}

EncodingConstraints parse_constraints(const JsonPlace& place) {
  expect_keys(place, {"min", "max"});
  EncodingConstraints range;
  if (const auto min = find(place, "min")) range.min = min->float32();
  if (const auto max = find(place, "max")) range.max = max->float32();
  if (!range.min && !range.max) place.refuse("must have min, max or both");
  // Zero must be on every grid.
  const double min = range.min.value_or(0), max = range.max.value_or(0);
  if (!(min <= 0 && max >= 0 && (min < max || !range.is_complete())))
    place.refuse(fmt::format("must have min <= 0 <= max and min < max, got {} and {}", min, max));
  return range;
}

OpConfig parse_op(const JsonPlace& place) {
  expect_keys(place, {"is_input_quantized", "is_output_quantized", "is_symmetric", "params",
                      "supported_kernels", "per_channel_quantization", "encoding_constraints"});
  OpConfig op;
  op.is_input_quantized = find_only_true(place, "is_input_quantized");
  op.is_output_quantized = find_boolean(place, "is_output_quantized");
  op.is_symmetric = find_boolean(place, "is_symmetric");
  op.per_channel_quantization = find_boolean(place, "per_channel_quantization");
  if (const auto params = find(place, "params")) op.params = parse_params(*params);
  if (const auto range = find(place, "encoding_constraints"))
    op.encoding_constraints = parse_constraints(*range);
  op.supported_kernels = parse_kernels(place, Params::optional);
  return op;
}

void parse_defaults(const JsonPlace& place, QuantSimConfig& config) {
  expect_keys(place, {"ops", "params", "strict_symmetric", "unsigned_symmetric",
                      "per_channel_quantization", "supported_kernels", "hw_version"});
  const JsonPlace ops = place["ops"];
  expect_keys(ops, {"is_output_quantized", "is_symmetric"});
  config.default_ops.is_output_quantized = find_boolean(ops, "is_output_quantized");
  config.default_ops.is_symmetric = find_boolean(ops, "is_symmetric");
  config.default_params = parse_param(place["params"]);
  config.strict_symmetric = find_boolean(place, "strict_symmetric").value_or(false);
  config.unsigned_symmetric = find_boolean(place, "unsigned_symmetric").value_or(false);
  config.per_channel_quantization = find_boolean(place, "per_channel_quantization").value_or(false);
  if (config.strict_symmetric && config.unsigned_symmetric)
    place.refuse("cannot ask for strict_symmetric and unsigned_symmetric together");
  config.supported_kernels = parse_kernels(place, Params::required);
  if (const auto version = find(place, "hw_version")) config.hw_version = version->string();
}

std::vector<std::string> strings(const JsonPlace& list) {
  std::vector<std::string> found;
  list.array();
  for (std::size_t i = 0; i < list.size(); ++i) found.push_back(list[i].string());
  return found;
}

std::vector<std::string> parse_supergroup(const JsonPlace& place) {
  expect_keys(place, {"op_list"});
  const JsonPlace list = place["op_list"];
  std::vector<std::string> types = strings(list);
  if (types.size() < 2)
    list.refuse(fmt::format("must name at least 2 op types, got {}", types.size()));
  return types;
}

ConfigRules parse_rules(const JsonPlace& place, ConfigRules rules) {
  place.object();
  if (const auto base = find(place, "rules")) {
    try {
      rules = config_rules(base->string());
    } catch (const Error& error) {
      base->refuse(error.what());
    }
  }
  std::vector<std::string_view> allowed = {"rules", "tf_enhanced"};
  for (const quantsim::BooleanRule& rule : quantsim::boolean_rules()) {
    allowed.push_back(rule.key);
    if (place.has(rule.key)) rules.*rule.rule = boolean(place[rule.key]);
  }
  expect_keys(place, allowed);
  if (const auto estimator = find(place, "tf_enhanced")) {
    rules.tf_enhanced = estimator->string();
    if (rules.tf_enhanced != "sqnr" && rules.tf_enhanced != "tf_enhanced")
      estimator->refuse(
          fmt::format("must be sqnr or tf_enhanced, got {}", io::shown_name(rules.tf_enhanced)));
  }
  return rules;
}

}  // namespace

std::vector<std::string_view> config_names() {
  std::vector<std::string_view> names;
  for (const quantsim::BuiltInConfig& each : quantsim::built_in_configs())
    names.push_back(each.name);
  names.push_back(kDefaultAlias);
  return names;
}

std::string read_config(std::string_view name) {
  if (name == kDefaultAlias) name = "default";
  for (const quantsim::BuiltInConfig& each : quantsim::built_in_configs())
    if (name == each.name) return std::string(each.json);
  try {
    return io::read_text_file(std::filesystem::path(name));
  } catch (const Error& error) {
    fail("{} (a quantization configuration is {} or the path of a JSON file)", error.what(),
         join(config_names()));
  }
}

QuantSimConfig parse_config(std::string_view text, std::string_view source,
                            const ConfigRules& rules) {
  const Json document = io::parse_json(text, source);
  const JsonPlace root(document, std::string(source));
  expect_keys(root, {"defaults", "params", "op_type", "supergroups", "supergroup_pass_list",
                     "model_input", "model_output", "rung"});
  QuantSimConfig config;
  const auto own = find(root, "rung");
  config.rules = own ? parse_rules(*own, rules) : rules;
  if (own && own->has("rules")) config.rule_set = (*own)["rules"].string();
  parse_defaults(root["defaults"], config);
  config.params = parse_params(root["params"]);

  const JsonPlace op_type = root["op_type"];
  op_type.object();
  for (const auto& item : op_type.json().items())
    config.op_type[item.key()] = parse_op(op_type[item.key()]);

  const JsonPlace supergroups = root["supergroups"];
  supergroups.array();
  for (std::size_t i = 0; i < supergroups.size(); ++i)
    config.supergroups.push_back(parse_supergroup(supergroups[i]));
  if (const auto passes = find(root, "supergroup_pass_list"))
    config.supergroup_passes = strings(*passes);

  const JsonPlace input = root["model_input"];
  expect_keys(input, {"is_input_quantized"});
  config.is_model_input_quantized = find_only_true(input, "is_input_quantized").value_or(false);
  const JsonPlace output = root["model_output"];
  expect_keys(output, {"is_output_quantized"});
  config.is_model_output_quantized = find_only_true(output, "is_output_quantized").value_or(false);
  return config;
}

}  // namespace rung
