#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "doctest/doctest.h"
#include "rung/core/error.h"
#include "rung/quantsim/config.h"
#include "support/paths.h"

using namespace rung;

namespace {

/// Returns a minimal configuration with one section replaced.
std::string with(const std::string& section, const std::string& content) {
  std::string text = "{";
  for (const std::string name :
       {"defaults", "params", "op_type", "supergroups", "model_input", "model_output"}) {
    std::string value = name == "supergroups" ? "[]" : "{}";
    if (name == "defaults") value = R"({"ops": {}, "params": {}})";
    text += (text.size() > 1 ? ", \"" : "\"") + name + "\": " + (name == section ? content : value);
  }
  return text + "}";
}

void check_rejected(const std::string& text, const std::string& path, const std::string& why) {
  CAPTURE(text);
  CHECK_THROWS_WITH_AS(parse_config(text, "my.json"), doctest::Contains("my.json"), Error);
  CHECK_THROWS_WITH_AS(parse_config(text, "my.json"), doctest::Contains(path.c_str()), Error);
  CHECK_THROWS_WITH_AS(parse_config(text, "my.json"), doctest::Contains(why.c_str()), Error);
}

}  // namespace

TEST_SUITE("quantsim: configuration") {
  TEST_CASE("a configuration is named or read from a file") {
    std::vector<std::string_view> names = config_names();
    CHECK(names == std::vector<std::string_view>{"default", "per_tensor", "aimet_2_42",
                                                 "aimet_2_42_per_tensor", "aimet_2024",
                                                 "aimet_2024_per_channel", "htp", "per_channel"});
    names.pop_back();
    for (const std::string_view name : names)
      CHECK(read_config(fmt::format("{}/apps/configs/{}.json", paths::source_dir(), name)) ==
            read_config(name));
    CHECK(read_config("per_channel") == read_config("default"));
  }

  TEST_CASE("the configurations say what AIMET's of their versions say") {
    const QuantSimConfig config = parse_config(read_config("aimet_2024"), "aimet_2024");
    CHECK(config.default_ops.is_output_quantized == true);
    CHECK(config.default_params.is_quantized == true);
    CHECK(config.default_params.is_symmetric == true);
    CHECK_FALSE(config.per_channel_quantization);
    CHECK(config.params.at("bias").is_quantized == false);
    CHECK(config.op_type.at("Dropout").is_output_quantized == false);
    CHECK(config.supergroups.size() == 5);
    CHECK(config.is_model_input_quantized);
    CHECK_FALSE(config.is_model_output_quantized);
    CHECK(config.rules == config_rules("2024.10"));

    const QuantSimConfig channels =
        parse_config(read_config("aimet_2024_per_channel"), "aimet_2024_per_channel");
    CHECK(channels.per_channel_quantization);
    CHECK(channels.op_type.at("Gemm").per_channel_quantization == false);

    const QuantSimConfig today = parse_config(read_config("aimet_2_42"), "aimet_2_42");
    CHECK_FALSE(today.op_type.contains("Dropout"));
    CHECK(today.op_type.at("Gemm").per_channel_quantization == true);
    CHECK(today.rules == config_rules("2.42"));
    CHECK(parse_config(read_config("htp"), "htp").rules == config_rules("2.42"));
    CHECK(parse_config(read_config("default"), "default").rules == ConfigRules{});
  }

  TEST_CASE("the object rung names a set of rules and changes some of them") {
    const auto rules = [](const std::string& text, const std::string& set = "rung") {
      return parse_config(R"({"rung": )" + text + ", " + with("", "").substr(1), "x",
                          config_rules(set))
          .rules;
    };
    CHECK(rules("{}") == ConfigRules{});
    CHECK(rules("{}", "2.42") == config_rules("2.42"));
    CHECK(rules(R"({"rules": "2024.10"})", "2.42") == config_rules("2024.10"));
    ConfigRules begun = config_rules("2.42");
    begun.fuse_depthwise = true;
    CHECK(rules(R"({"fuse_depthwise": true})", "2.42") == begun);
    ConfigRules changed = config_rules("2.42");
    changed.fuse_depthwise = true;
    changed.tf_enhanced = "sqnr";
    CHECK(rules(R"({"rules": "2.42", "fuse_depthwise": "True", "tf_enhanced": "sqnr"})") ==
          changed);
    const std::string rest = ", " + with("", "").substr(1);
    // Who gave a set another way can see that this is another one.
    CHECK(parse_config(R"({"rung": {"rules": "2024.10"})" + rest, "x").rule_set == "2024.10");
    CHECK(parse_config(R"({"rung": {"fuse_depthwise": true})" + rest, "x").rule_set.empty());
    CHECK(parse_config(with("", ""), "x").rule_set.empty());
    check_rejected(R"({"rung": {"rules": "2.41"})" + rest, "rung.rules", "rung, 2.42, 2024.10");
    check_rejected(R"({"rung": {"fuse_depth": true})" + rest, "rung", "fuse_depthwise");
    check_rejected(R"({"rung": {"fuse_depthwise": 1})" + rest, "rung.fuse_depthwise", "True");
  }

  TEST_CASE("what the files of AIMET 2.42 contain is read") {
    const QuantSimConfig config = parse_config(R"({
        "defaults": {"hw_version": "V85", "ops": {"is_output_quantized": "True"},
                     "params": {"is_quantized": "True", "is_symmetric": "True"},
                     "supported_kernels": [
                       {"activation": {"bitwidth": 16, "dtype": "int"},
                        "param": {"bitwidth": 8, "dtype": "int"}},
                       {"activation": {"bitwidth": 16, "dtype": "float"},
                        "param": {"bitwidth": 16, "dtype": "float"}}],
                     "per_channel_quantization": "False", "strict_symmetric": "False",
                     "unsigned_symmetric": "False"},
        "params": {"bias": {"is_quantized": "False"}},
        "op_type": {
          "BatchNormalization": {"params": {"running_mean": {"is_quantized": "False"},
                                            "running_var": {"is_quantized": "False"}}},
          "Relu": {"encoding_constraints": {"min": 0.0}}},
        "supergroup_pass_list": ["LayerNormalization", "RMSNormalization", "MatmulAdd"],
        "supergroups": [{"op_list": ["Conv", "Relu"]}],
        "model_input": {"is_input_quantized": "True"}, "model_output": {}})",
                                               "v85.json", config_rules("2.42"));
    CHECK(config.hw_version == "V85");
    CHECK(config.op_type.at("BatchNormalization").params.empty());
    CHECK(config.supergroup_passes.size() == 3);
    check_rejected(with("op_type", R"({"BatchNormalization": {"params": {"running_mean":
                        {"is_quantized": "True"}}}})"),
                   "running_mean", "statistics have no quantizer");
    check_rejected(with("op_type", R"({"BatchNormalization": {"params": {"running_men": {}}}})"),
                   "params", "running_men");
  }

  TEST_CASE("booleans may be JSON's or AIMET's strings") {
    const QuantSimConfig config = parse_config(
        with("params", R"({"weight": {"is_quantized": true, "is_symmetric": "False"}})"), "x");
    CHECK(config.params.at("weight").is_quantized == true);
    CHECK(config.params.at("weight").is_symmetric == false);
    CHECK_FALSE(config.default_params.is_quantized.has_value());
  }

  TEST_CASE("everything an op type can say is read") {
    const QuantSimConfig config = parse_config(
        with("op_type", R"({"Softmax": {"is_input_quantized": "True", "is_symmetric": "True",
          "per_channel_quantization": "False", "encoding_constraints": {"min": 0, "max": 1.0},
          "params": {"bias": {"is_quantized": "True"}},
          "supported_kernels": [{"activation": {"bitwidth": 16, "dtype": "float"}}]}})"),
        "x");
    const OpConfig& op = config.op_type.at("Softmax");
    CHECK(op.is_input_quantized == true);
    CHECK(op.is_symmetric == true);
    CHECK(op.per_channel_quantization == false);
    CHECK(op.encoding_constraints->max == 1.0);
    CHECK(op.params.at("bias").is_quantized == true);
    CHECK(op.supported_kernels.at(0).activation.is_float);
  }

  TEST_CASE("encoding constraints may have one side") {
    const auto constraints = [](const std::string& range) {
      return *parse_config(with("op_type", R"({"Relu": {"encoding_constraints": )" + range + "}}"),
                           "x")
                  .op_type.at("Relu")
                  .encoding_constraints;
    };
    CHECK(constraints(R"({"min": 0})").min == 0.0);
    CHECK_FALSE(constraints(R"({"min": 0})").max.has_value());
    CHECK_FALSE(constraints(R"({"max": 6.0})").is_complete());
    CHECK(constraints(R"({"min": -1, "max": 6.0})").is_complete());
  }

  TEST_CASE("errors name the file, the JSON path and what is allowed") {
    check_rejected("{", "my.json", "");
    check_rejected("[]", "my.json", "object");
    check_rejected("{}", "my.json", "defaults");
    check_rejected(with("model_output", R"({"is_quantized": "True"})"), "model_output",
                   "allowed are is_output_quantized");
    check_rejected(with("model_input", R"({"is_input_quantized": "False"})"),
                   "model_input.is_input_quantized", "True");
    check_rejected(with("params", R"({"weight": {"is_symmetric": "yes"}})"),
                   "params.weight.is_symmetric", "\"True\", \"False\", true or false");
    check_rejected(with("params", R"({"gamma": {}})"), "params", "weight, bias");
    check_rejected(with("supergroups", R"([{"op_list": ["Conv"]}])"), "supergroups[0].op_list",
                   "at least 2");
    check_rejected(with("op_type", R"({"Relu": {"encoding_constraints": {"min": 1, "max": 2}}})"),
                   "op_type[\"Relu\"].encoding_constraints", "min <= 0 <= max");
    check_rejected(with("op_type", R"({"Relu": {"encoding_constraints": {"max": 1e300}}})"),
                   "op_type[\"Relu\"].encoding_constraints.max", "float32 holds, got 1e+300");
    check_rejected(with("op_type", R"({"Relu": {"encoding_constraints": {}}})"),
                   "op_type[\"Relu\"].encoding_constraints", "min, max or both");
    check_rejected(with("op_type", R"({"Relu": {"encoding_constraints": {"max": -1}}})"),
                   "op_type[\"Relu\"].encoding_constraints", "min <= 0 <= max");
    check_rejected(with("op_type", R"({"Relu": {"is_input_quantized": "False"}})"),
                   "op_type[\"Relu\"].is_input_quantized", "True");
    check_rejected(with("defaults", R"({"ops": {}, "params": {}, "supported_kernels":
                        [{"activation": {"bitwidth": 8, "dtype": "int"}}]})"),
                   "defaults.supported_kernels[0]", "param");
    check_rejected(with("op_type", R"({"Relu": {"supported_kernels": [{"activation":
                        {"bitwidth": 7, "dtype": "int"}}]}})"),
                   "op_type[\"Relu\"].supported_kernels[0].activation.bitwidth", "4, 8, 16 or 32");
    check_rejected(with("defaults", R"({"ops": {"is_input_quantized": "True"}, "params": {}})"),
                   "defaults.ops", "is_input_quantized");
    check_rejected(with("defaults", R"({"ops": {}, "params": {}, "strict_symmetric": true,
                        "unsigned_symmetric": true})"),
                   "defaults", "together");
  }

  TEST_CASE("a file that is not there is an error that lists what is built in") {
    CHECK_THROWS_WITH_AS(read_config("no/such.json"),
                         doctest::Contains("is default, per_tensor, aimet_2_42, "), Error);
  }
}
