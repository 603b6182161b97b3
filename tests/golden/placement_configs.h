#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

// Configurations of AIMET 2.42 for hardware that Rung ships none for: what they say about the ops
// of the golden nets, in our own words.

namespace golden {

namespace detail {

/// Returns the lists of op types that begin with one of `firsts` and end with one of `lasts`.
inline std::string groups(std::initializer_list<std::string_view> firsts,
                          std::initializer_list<std::string_view> lasts) {
  std::string all;
  for (const std::string_view first : firsts)
    for (const std::string_view last : lasts) {
      if (!all.empty()) all += ", ";
      all += R"({"op_list": [)" + std::string(first) + ", \"" + std::string(last) + "\"]}";
    }
  return all;
}

}  // namespace detail

/// HTP V69: no supergroup begins with a Conv, and Sigmoid and Softmax have no fixed range.
inline std::string htp_v69() {
  return R"({"rung": {"rules": "2.42"},
    "defaults": {"hw_version": "V69", "ops": {"is_output_quantized": "True"},
                 "params": {"is_quantized": "True", "is_symmetric": "True"},
                 "per_channel_quantization": "False"},
    "params": {"bias": {"is_quantized": "False"}},
    "op_type": {
      "Conv": {"per_channel_quantization": "True"}, "Gemm": {"per_channel_quantization": "True"},
      "ConvTranspose": {"per_channel_quantization": "True"},
      "MatMul": {"per_channel_quantization": "True"}, "PRelu": {"per_channel_quantization": "True"},
      "BatchNormalization": {"params": {"running_mean": {"is_quantized": "False"},
                                        "running_var": {"is_quantized": "False"}}},
      "LayerNormalization": {"params": {"weight": {"is_symmetric": "False"}}},
      "Gather": {"is_output_quantized": "False"},
      "Tanh": {"encoding_constraints": {"min": -1.0, "max": 1.0}},
      "Relu": {"encoding_constraints": {"min": 0.0}}},
    "supergroup_pass_list": ["LayerNormalization", "RMSNormalization", "MatmulAdd"],
    "supergroups": [)" +
         detail::groups({"\"ConvTranspose\"", "\"Add\"", "\"Gemm\""}, {"Relu"}) +
         R"(], "model_input": {"is_input_quantized": "True"}, "model_output": {}})";
}

/// eNPU V7, per tensor: everything symmetric, and nearly every op fused with an activation.
inline std::string enpu_v7() {
  const std::initializer_list<std::string_view> with_norm = {
      "\"Conv\", \"BatchNormalization\"", "\"ConvTranspose\", \"BatchNormalization\"",
      "\"AveragePool\", \"BatchNormalization\"", "\"MaxPool\", \"BatchNormalization\"",
      "\"BatchNormalization\""};
  std::string groups;
  for (const std::string_view first : with_norm)
    groups +=
        detail::groups({first}, {"Relu", "Clip", "Sigmoid", "Tanh", "HardSwish", "Gelu"}) + ", ";
  groups += detail::groups({"\"Conv\"", "\"ConvTranspose\"", "\"AveragePool\"", "\"MaxPool\""},
                           {"Relu", "Clip", "Sigmoid", "Tanh", "PRelu", "LeakyRelu", "HardSwish",
                            "Gelu", "BatchNormalization"}) +
            ", ";
  groups += detail::groups({"\"Gemm\"", "\"MatMul\"", "\"Add\"", "\"Sub\"", "\"Mul\""},
                           {"Relu", "Clip", "Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Gelu"});
  return R"({"rung": {"rules": "2.42"},
    "defaults": {"ops": {"is_output_quantized": "True", "is_symmetric": "True"},
                 "params": {"is_quantized": "True", "is_symmetric": "True"}},
    "params": {"bias": {"is_quantized": "False"}},
    "op_type": {
      "BatchNormalization": {"params": {"weight": {"is_quantized": "False"},
                                        "bias": {"is_quantized": "False"}}},
      "Sigmoid": {"encoding_constraints": {"min": 0.0, "max": 1.0}},
      "Softmax": {"encoding_constraints": {"min": 0.0, "max": 1.0}},
      "Tanh": {"encoding_constraints": {"min": -1.0, "max": 1.0}},
      "LayerNormalization": {"params": {"weight": {"is_symmetric": "False"}}}},
    "supergroup_pass_list": ["LayerNormalization", "RMSNormalization", "MatmulAdd"],
    "supergroups": [)" +
         groups + R"(], "model_input": {"is_input_quantized": "True"},
    "model_output": {"is_output_quantized": "True"}})";
}

}  // namespace golden
