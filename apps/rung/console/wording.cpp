#include "console/wording.h"

#include <array>
#include <string_view>

namespace rung::cli {
namespace {

/// Files have fields with the same names as options of the library: a word alone does not tell that
/// a value came from the command line, but the function that it was given to does.
struct Wording {
  std::string_view library, option;
  std::string_view function = {};  ///< only in messages of this one
};

constexpr std::string_view kBlocks = "blockwise_quantization_for_weights: ";

// Whole phrases first; what is left of a function's name in front of a message comes last.
constexpr std::array kWordings = {
    Wording{"QuantizationSimModel: default_data_type floating", "--data-type float"},
    Wording{"QuantizationSimModel: edge_bw", "--edge-bw"},
    Wording{"QuantizationSimModel: default_output_bw", "--output-bw"},
    Wording{"QuantizationSimModel: default_param_bw", "--param-bw"},
    Wording{"set_percentile_value: the scheme is", "--percentile: the scheme is"},
    Wording{"post_training_percentile", "percentile"},
    Wording{"enforce_supported_kernels can", "the configuration's supported_kernels can"},
    Wording{"none of the nodes has a quantized weight",
            "--block-size divides the input channels of no weight", kBlocks},
    Wording{"decompressed_bw", "--decompressed-bw", kBlocks},
    Wording{"block_size", "--block-size", kBlocks},
    Wording{"set_grouped_blockwise_quantization_for_weights: ", ""},
    Wording{"set_blockwise_quantization_for_weights: ", ""},
    Wording{"sgd: weight_decay", "--weight-decay"},
    Wording{"adam: weight_decay", "--weight-decay"},
    Wording{"sgd: momentum", "--momentum"},
    Wording{"sgd: nesterov needs a momentum", "--nesterov needs a --momentum"},
    Wording{"cross_entropy: label_smoothing", "--label-smoothing"},
    Wording{"clip_grad_norm: max_norm", "--clip-grad-norm"},
    Wording{"DataLoader: batch_size", "--batch-size"},
    Wording{"random_crop: size must be positive and padding",
            "--crop-padding: the size must be "
            "positive and the padding"},
    Wording{"random_erasing: probability", "--random-erasing"},
    Wording{"give one as input_shapes", "give one with --input-shape"},
    Wording{"give its shape as input_shapes", "give its shape with --input-shape"},
    Wording{"(or leave that file out: export_onnx, export_qdq_onnx)",
            "(or leave that file out: --onnx)"},
    Wording{"export float weights (OnnxQuantizers::baked), or disable it",
            "export float weights, --onnx float"},
    Wording{"export with export_int32_bias = false", "export with --float-biases"},
    Wording{", only floats are fed: give it a value as one of the constants",
            ", only floats can be fed"},
    Wording{"load_weights reads plain weights", "rung convert makes a model of plain weights"},
    Wording{"call compute_encodings or set_range", "rung quantize calibrates it"},
    Wording{"run compute_encodings(), set a range, or disable it", "rung quantize calibrates it"},
    Wording{"run compute_encodings() or set a range", "rung quantize calibrates it"},
    Wording{"compute_encodings: no data", "calibration: no data"},
    Wording{"train_one_epoch: ", "training: "},
    Wording{"evaluate: the ", "evaluation: the "},
    Wording{"find_overlap: ", ""},
    Wording{"export_to: ", ""},
};

}  // namespace

std::string in_options(std::string message) {
  for (const auto& [library, option, function] : kWordings) {
    if (message.find(function) == std::string::npos) continue;
    for (std::size_t at = 0; (at = message.find(library, at)) != std::string::npos;
         at += option.size())
      message.replace(at, library.size(), option);
  }
  return message;
}

}  // namespace rung::cli
