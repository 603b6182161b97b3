#include "quantsim/default_configs.h"

// The contents of apps/configs/*.json, so that the library needs no file at run time; a test keeps
// the two equal.

namespace rung::quantsim {

const std::string_view kDefaultConfig = R"json({
  "defaults": {
    "ops": {
      "is_output_quantized": "True"
    },
    "params": {
      "is_quantized": "True",
      "is_symmetric": "True"
    },
    "strict_symmetric": "False",
    "per_channel_quantization": "False"
  },
  "params": {
    "bias": {
      "is_quantized": "False"
    }
  },
  "op_type": {
    "Cast": {"is_output_quantized": "False"},
    "Dropout": {"is_output_quantized": "False"},
    "Expand": {"is_output_quantized": "False"},
    "Squeeze": {"is_output_quantized": "False"},
    "Pad": {"is_output_quantized": "False"},
    "Mean": {"is_output_quantized": "False"},
    "Gather": {"is_output_quantized": "False"}
  },
  "supergroups": [
    {"op_list": ["Conv", "Relu"]},
    {"op_list": ["ConvTranspose", "Relu"]},
    {"op_list": ["Conv", "Clip"]},
    {"op_list": ["Add", "Relu"]},
    {"op_list": ["Gemm", "Relu"]}
  ],
  "model_input": {
    "is_input_quantized": "True"
  },
  "model_output": {}
}
)json";

const std::string_view kPerChannelConfig = R"json({
  "defaults": {
    "ops": {
      "is_output_quantized": "True"
    },
    "params": {
      "is_quantized": "True",
      "is_symmetric": "True"
    },
    "strict_symmetric": "False",
    "per_channel_quantization": "True"
  },
  "params": {
    "bias": {
      "is_quantized": "False"
    }
  },
  "op_type": {
    "Cast": {"is_output_quantized": "False"},
    "Dropout": {"is_output_quantized": "False"},
    "Expand": {"is_output_quantized": "False"},
    "Squeeze": {"is_output_quantized": "False"},
    "Pad": {"is_output_quantized": "False"},
    "Mean": {"is_output_quantized": "False"},
    "Gather": {"is_output_quantized": "False"},
    "Gemm": {"per_channel_quantization": "False"},
    "MatMul": {"per_channel_quantization": "False"},
    "LayerNormalization": {"per_channel_quantization": "False"}
  },
  "supergroups": [
    {"op_list": ["Conv", "Relu"]},
    {"op_list": ["ConvTranspose", "Relu"]},
    {"op_list": ["Conv", "Clip"]},
    {"op_list": ["Add", "Relu"]},
    {"op_list": ["Gemm", "Relu"]}
  ],
  "model_input": {
    "is_input_quantized": "True"
  },
  "model_output": {}
}
)json";

}  // namespace rung::quantsim
