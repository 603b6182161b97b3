#include "quantsim/placement/config_rules.h"

#include <array>

#include "core/check.h"
#include "core/join.h"

namespace rung {

namespace {

constexpr std::array<std::string_view, 3> kNames = {"rung", "2.42", "2024.10"};

ConfigRules aimet_2_42() {
  return {.quantize_data_movement = false,
          .share_concat_inputs = true,
          .share_relu_quantizer = true,
          .share_resize_quantizer = true,
          .fuse_depthwise = false,
          .fuse_activations = true,
          .disjoint_supergroups = true,
          .run_supergroup_passes = true,
          .quantize_constant_products = false,
          .quantize_constant_factors = true,
          .symmetric_constraints = true,
          .asymmetric_layer_norm = true,
          .skip_reused_layers = true,
          .use_all_two_bit_codes = true,
          .keep_grids = true,
          .limit_encodings = true,
          .current_scheme_names = true,
          .tf_enhanced = "tf_enhanced"};
}

ConfigRules aimet_2024_10() {
  return {.quantize_data_movement = true,
          .share_concat_inputs = false,
          .share_relu_quantizer = false,
          .share_resize_quantizer = false,
          .fuse_depthwise = true,
          .fuse_activations = false,
          .disjoint_supergroups = false,
          .run_supergroup_passes = false,
          .quantize_constant_products = true,
          .quantize_constant_factors = false,
          .symmetric_constraints = false,
          .asymmetric_layer_norm = false,
          .skip_reused_layers = false,
          .use_all_two_bit_codes = false,
          .keep_grids = false,
          .limit_encodings = false,
          .current_scheme_names = false,
          .tf_enhanced = "sqnr"};
}

}  // namespace

std::span<const std::string_view> config_rule_sets() { return kNames; }

ConfigRules config_rules(std::string_view name) {
  if (name == "2.42") return aimet_2_42();
  if (name == "2024.10") return aimet_2024_10();
  require(name == "rung", "there is no set of configuration rules '{}'; there are {}", name,
          join(kNames));
  return {};
}

std::string_view name_of(const ConfigRules& rules) {
  for (const std::string_view name : kNames)
    if (config_rules(name) == rules) return name;
  return "own";
}

namespace quantsim {

std::span<const BooleanRule> boolean_rules() {
  static constexpr std::array<BooleanRule, 17> kRules = {{
      {"quantize_data_movement", &ConfigRules::quantize_data_movement},
      {"share_concat_inputs", &ConfigRules::share_concat_inputs},
      {"share_relu_quantizer", &ConfigRules::share_relu_quantizer},
      {"share_resize_quantizer", &ConfigRules::share_resize_quantizer},
      {"fuse_depthwise", &ConfigRules::fuse_depthwise},
      {"fuse_activations", &ConfigRules::fuse_activations},
      {"disjoint_supergroups", &ConfigRules::disjoint_supergroups},
      {"run_supergroup_passes", &ConfigRules::run_supergroup_passes},
      {"quantize_constant_products", &ConfigRules::quantize_constant_products},
      {"quantize_constant_factors", &ConfigRules::quantize_constant_factors},
      {"symmetric_constraints", &ConfigRules::symmetric_constraints},
      {"asymmetric_layer_norm", &ConfigRules::asymmetric_layer_norm},
      {"skip_reused_layers", &ConfigRules::skip_reused_layers},
      {"use_all_two_bit_codes", &ConfigRules::use_all_two_bit_codes},
      {"keep_grids", &ConfigRules::keep_grids},
      {"limit_encodings", &ConfigRules::limit_encodings},
      {"current_scheme_names", &ConfigRules::current_scheme_names},
  }};
  return kRules;
}

GridRules grid_rules(const ConfigRules& rules) {
  return {.use_all_two_bit_codes = rules.use_all_two_bit_codes,
          .limit_encodings = rules.limit_encodings};
}

}  // namespace quantsim

}  // namespace rung
