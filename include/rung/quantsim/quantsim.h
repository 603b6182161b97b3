#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/held.h"
#include "rung/exec/executor.h"
#include "rung/graph/graph.h"
#include "rung/io/encodings.h"
#include "rung/io/model_file.h"
#include "rung/io/onnx_export.h"
#include "rung/ops/quantizer_handle.h"
#include "rung/quantsim/config.h"
#include "rung/quantsim/placement_reason.h"
#include "rung/quantsim/scheme.h"

namespace rung {

/// What numbers are rounded to. AIMET: QuantizationDataType.int and .float.
enum class QuantizationDataType { integer, floating };

/// How numbers between two codes are rounded. AIMET: RoundingMode.
enum class RoundingMode {
  nearest,     ///< to the nearest, ties to even
  stochastic,  ///< up or down by chance in training, seeded by the executor; nearest in evaluation
};

/// What happens to the ranges of weights in training under a post-training scheme.
enum class WeightRanges {
  fixed,       ///< stay as calibrated (AIMET version 2)
  recomputed,  ///< are estimated anew from the weights at every step (AIMET version 1)
};

/// What becomes of the batch norms behind a Conv or Gemm that nobody else reads. (Folding them
/// beforehand is ptq::fold_all_batch_norms.)
enum class BatchNormMode {
  keep,                ///< they stay layers of their own
  fold_in_simulation,  ///< quantizers see folded weights, the batch norms go on training; at the
                       ///< end fold_simulated_batch_norms. torch.nn.intrinsic.qat.ConvBn2d
};
RUNG_API std::string_view to_string(BatchNormMode mode);

struct QuantSimOptions {
  QuantScheme quant_scheme = {};  ///< post_training_sqnr
  int default_output_bw = 8;      ///< of activations, 2..32; 32 lets everything pass
  int default_param_bw = 8;       ///< of parameters
  /// floating: both bitwidths must be 16 (float16) or 32 (everything passes).
  QuantizationDataType default_data_type = QuantizationDataType::integer;
  RoundingMode rounding_mode = RoundingMode::nearest;
  WeightRanges weight_ranges = WeightRanges::fixed;
  std::string config_file = "default";  ///< as read_config() takes it
  /// The set of rules for a configuration file that names none, see config_rules(): "rung", or the
  /// version of AIMET that a file of AIMET's was made for.
  std::string config_rules = "rung";
  /// Bitwidth of the model's inputs, its outputs, and the weights of the first and the last layer
  /// that has any; none: as all others (AIMET).
  std::optional<int> edge_bw = {};
  /// Gives tensors the precision of the first of the configuration's supported_kernels if their own
  /// is not among them; else that is only worth a warning. Not compared with AIMET's results.
  /// AIMET: ENFORCE_TARGET_DTYPE_BITWIDTH_CONFIG.
  bool enforce_supported_kernels = false;
  BatchNormMode batch_norms = BatchNormMode::keep;
  /// Simulates int32 biases: those of Conv, ConvTranspose and Gemm between quantizers are rounded
  /// to whole multiples of scale_x * scale_w[c], in evaluation and in training (gradients pass as
  /// if nothing were rounded), so that integer hardware computes the codes that are simulated. At 4
  /// bits these steps are coarse. Not in AIMET.
  bool int32_biases = false;
};

struct CalibrationOptions {
  bool allow_unobserved = false;  ///< quantizers that see no data stay as they are, silently
};

struct OriginalModelOptions {
  bool qdq_weights = false;  ///< parameters are quantize-dequantized, as their quantizers do it
};

/// Which codes stand in encodings from version 2.0.0 on; earlier ones only have unsigned codes.
enum class ActivationCodes { unsigned_codes, signed_codes };

/// Which entries <prefix>.encodings has of tensors without a quantizer, whose numbers are those of
/// one that has one: behind and before ops that only move data, before a Clip, of the constants of
/// Clip and Pad, behind products with positive constants.
enum class DerivedEntries {
  none,
  all,  ///< as AIMET's sim.onnx.export
  /// Those that aimet_onnx's load_encodings_to_sim(strict=True) takes beside <prefix>.onnx; it does
  /// not take int32 biases either, which are left out unless they are asked for.
  loadable,
};

/// What export_to writes. AIMET's arguments of the same names.
struct ExportOptions {
  /// Of <prefix>.encodings: 0.6.1, 1.0.0, 2.0.0 or 2.1.0.
  std::string encodings_version = "1.0.0";
  /// Prefix of the two encodings files; empty: that of the others.
  std::string filename_prefix_encodings = {};
  bool export_model = true;  ///< false: only the encodings are written
  /// Writes <prefix>.onnx: the graph without quantizers, its weights rounded to their codes.
  bool export_onnx = true;
  /// Writes <prefix>_qdq.onnx: quantizers as QuantizeLinear and DequantizeLinear, weights and
  /// biases as whole numbers. AIMET: sim.onnx.export.
  bool export_qdq_onnx = false;
  std::optional<int> onnx_opset = {};               ///< see io::OnnxExportOptions
  io::OnnxCodes onnx_codes = io::OnnxCodes::bytes;  ///< of <prefix>_qdq.onnx
  /// Also gives activations inside a fused group (a Conv's before its Relu) an entry, with the
  /// bitwidth and the data type of the quantizer at the group's end.
  bool propagate_encodings = false;
  DerivedEntries derived = DerivedEntries::none;
  ActivationCodes force_activation_as =
      ActivationCodes::unsigned_codes;  ///< of activations, symmetric or not
  /// Adds int32 entries for biases of ops whose input and weight are quantized, see export_to.
  /// None: in <prefix>_qdq.onnx, and in encodings from version 2.0.0 on.
  std::optional<bool> export_int32_bias = {};
  /// A file by module name whose names <prefix>_torch.encodings shall have where they alone differ
  /// from ours: of a sim that AIMET's prepare_model made the model for. Empty: our names.
  std::string module_names_of = {};
};

/// How load_encodings deals with what does not fit. AIMET's arguments of the same names.
struct LoadEncodingsOptions {
  /// Entries that belong to no enabled quantizer and do not follow from others are an Error; false:
  /// they are skipped.
  bool strict = true;
  /// Enabled quantizers without an entry stay as they are; false: they are disabled.
  bool partial = true;
  /// Enabled quantizers without an entry are an Error. Not in AIMET.
  bool require_all = false;
  /// Whether what was loaded is trained. None: as it was; a quantizer that had no range before is
  /// trained if the scheme is range learning, as after compute_encodings.
  std::optional<bool> requires_grad = {};
  /// false freezes what was loaded, true and none do not.
  std::optional<bool> allow_overwrite = {};
};

/// What load_encodings did with the quantizers and the entries, by name.
struct LoadedEncodings {
  std::vector<std::string> loaded;   ///< quantizers that have an encoding from the file now
  std::vector<std::string> frozen;   ///< quantizers with an entry that were left alone
  std::vector<std::string> missing;  ///< enabled quantizers without an entry
  /// Entries that belong to no enabled quantizer: int32 biases, which follow from their op's
  /// scales, those that follow from other entries (see DerivedEntries), and what
  /// propagate_encodings added.
  std::vector<std::string> skipped;
  /// Our name, by the file's, of modules that were matched by their position: what AIMET's
  /// prepare_model calls module_relu_1 or module_add.
  std::map<std::string, std::string> renamed;
};

struct LoadAndFreezeOptions {
  bool ignore_when_quantizer_disabled = false;  ///< skip such entries instead of an Error
};

/// A model whose tensors go through quantizers: quantization simulation. Owns a copy of the graph
/// with QuantizeDequantize nodes, and an executor for it. All methods that throw Error leave the
/// sim as it was. AIMET: QuantizationSimModel.
class RUNG_API QuantizationSimModel {
 public:
  using Callback = std::function<void(Executor&)>;

  /// Copies `model` and inserts quantizers where the configuration says. Throws Error for a wrong
  /// bitwidth or configuration and for a model that has quantizers already. What is only doubtful
  /// is told by warnings().
  explicit QuantizationSimModel(const Graph& model, QuantSimOptions options = {});
  ~QuantizationSimModel();
  QuantizationSimModel(QuantizationSimModel&&) noexcept;
  QuantizationSimModel& operator=(QuantizationSimModel&&) noexcept;

  // ---- looking

  Graph& graph();
  const Graph& graph() const;
  Executor& executor();
  const QuantSimOptions& options() const;
  const QuantSimConfig& config() const;
  /// True if the quantizers came with the graph (from_quantized), so that the configuration had no
  /// say about them; also of what was saved of such a sim.
  bool is_imported() const;
  /// Returns what is doubtful about the configuration, one line each: op types that look misspelt
  /// or unknown, bitwidths that are not among supported_kernels. Empty if nothing is, and if
  /// is_imported().
  std::vector<std::string> warnings() const;
  /// Tells for every tensor of the float network, in network order, whether it has a quantizer and
  /// which settings of the configuration decided that, or that it is_imported().
  std::vector<PlacementReason> placement_reasons() const;

  /// Returns a float copy of the graph without any quantizer. Batch norms folded in simulation are
  /// there again, or are folded if parameters are quantize-dequantized. Throws Error if parameters
  /// are to be quantize-dequantized and an enabled quantizer of one has no range yet. AIMET:
  /// get_original_model.
  Graph get_original_model(const OriginalModelOptions& options = {}) const;

  /// Returns the quantizer of this name, with or without ".qdq" (see QuantizerHandle::name), or of
  /// this AIMET name; throws Error with close names if there is none.
  QuantizerHandle quantizer(std::string_view name);
  std::vector<QuantizerHandle> quantizers();  ///< in network order
  /// Returns the layers that exclude_layers_from_quantization was given, sorted.
  const std::vector<std::string>& excluded_layers() const;

  // ---- calibrating

  /// Computes every enabled quantizer's range: those of parameters from their present values, then
  /// those of activations from what `callback` runs through the executor (in Mode::eval).
  /// Meanwhile parameters are quantized and activations only observed. Frozen quantizers keep
  /// their ranges and quantize. With a range learning scheme min and max require gradients
  /// afterwards. Throws Error naming the quantizers that saw no data, or the tensor with NaN or
  /// infinite elements; then (and if the callback throws) every quantizer is as before. What the
  /// callback runs through other executors of the graph is not seen, unless they observe, too, and
  /// are merged:
  ///
  ///   Observers more = executor.observers()->fresh();
  ///   { const auto observing = other.observe(more);  other.forward(images); }  // in a thread, say
  ///   executor.observers()->merge(more);
  ///
  /// AIMET: compute_encodings.
  void compute_encodings(const Callback& callback, CalibrationOptions options = {});
  /// Computes the ranges of the parameters' quantizers alone, from their present values: after
  /// training with fixed ranges, whose weights have moved. Frozen and disabled ones are left alone.
  /// Throws Error naming a parameter with NaN or infinite elements. AIMET: compute_param_encodings.
  void compute_param_encodings();
  /// Returns what the last compute_encodings (or compute_param_encodings) did beyond the
  /// configuration, one line each: a bias that is more than 2^30 steps of scale_x * scale_w[c] does
  /// not fit int32 with room for sums (a filter of zeros, an input that is always 0), so it
  /// enlarges the range of the weight's quantizer in that channel, unless that is frozen.
  const std::vector<std::string>& calibration_notes() const;
  /// Sets which percentage of the numbers the percentile scheme keeps at either end, 50 < p <= 100,
  /// from the next compute_encodings on. Throws Error with any other scheme.
  void set_percentile_value(double percentile);

  // ---- choosing what is quantized

  /// Removes every quantizer of these layers: on their inputs, behind their outputs and on their
  /// parameters. A layer is a node, or a prefix that stands for all nodes below it ("layer1.0").
  /// They are recorded as `excluded_layers` of all files. Throws Error for a name that is no layer,
  /// and if another layer reads one of the parameters. AIMET: exclude_layers_from_quantization.
  void exclude_layers_from_quantization(const std::vector<std::string>& names);
  /// Disables the quantizers of all parameters that are this to their op ("weight", "bias"),
  /// whatever their own names are; throws Error naming the existing ones if there is none. AIMET:
  /// exclude_param_from_quantization.
  void exclude_param_from_quantization(std::string_view name);

  // ---- files

  /// Writes <prefix>.safetensors (float master weights), <prefix>.onnx (weights rounded to their
  /// codes), <prefix>.encodings (by tensor name) and <prefix>_torch.encodings (by module name) into
  /// `directory`, which is created. Returns their paths. Every quantized tensor has an entry, and
  /// every name in the files is in the graph. Batch norms that were folded in simulation are folded
  /// in what is written.
  ///
  /// A bias's int32 entry has scale_b[c] = scale_x * scale_w[c], where scale_x belongs to the
  /// nearest quantizer before the op, behind layers that only move data. (AIMET 2.42 takes another
  /// scale behind MaxPool and Pad, max |b| / 2^31, with which no integer runtime can add.) Where
  /// training has made a
  /// bias too large for int32 at that scale, the weight's scale is larger in the files, see
  /// calibration_notes(); a sim that was just calibrated has such scales already.
  ///
  /// Throws Error for an uncalibrated quantizer, an unknown version or what it or ONNX cannot
  /// express, and a file that cannot be written. AIMET: export.
  std::vector<std::string> export_to(const std::string& directory, const std::string& prefix,
                                     const ExportOptions& options = {}) const;
  /// Writes <prefix>.safetensors alone, the float master weights, and returns its path. AIMET:
  /// export_weights_to_safetensors.
  std::string export_weights_to_safetensors(const std::string& directory,
                                            const std::string& prefix) const;
  /// Writes <prefix>.json: the encodings by module name. Returns its path; throws Error as
  /// export_to. AIMET: save_encodings_to_json.
  std::string save_encodings_to_json(const std::string& directory, const std::string& prefix) const;
  /// Returns the encodings of the enabled quantizers that have one, by module name, without version
  /// and arguments. AIMET: get_activation_param_encodings.
  io::ModuleEncodingsFile get_activation_param_encodings() const;

  /// Sets quantizers to the encodings of a file: its path, or its text (which begins with "{").
  /// Reads all versions, by module name (<prefix>_torch.encodings, <prefix>.json, a plain table of
  /// parameters) and by tensor name (<prefix>.encodings). Bitwidth and symmetry come from the file,
  /// too; min and max become such that scale and offset are the file's exactly. Modules that
  /// AIMET's prepare_model named are matched by their place among their siblings of the same kind.
  /// Frozen quantizers are left alone. Throws Error naming the file and every entry at fault:
  /// unknown or disabled ones (unless not strict), those of enabled quantizers that have neither
  /// scale nor range, another number of channels, contradicting numbers. AIMET: load_encodings.
  LoadedEncodings load_encodings(const std::string& path_or_text,
                                 const LoadEncodingsOptions& options = {});
  /// Loads and freezes: requires_grad = false, allow_overwrite = false. AIMET, deprecated there:
  /// load_and_freeze_encodings.
  LoadedEncodings load_and_freeze_encodings(const std::string& path_or_text,
                                            LoadAndFreezeOptions options = {});
  /// Loads and freezes the entries of parameters only (what AdaRound or SeqMSE found), strictly.
  /// Throws Error if there are none. AIMET: set_and_freeze_param_encodings.
  LoadedEncodings set_and_freeze_param_encodings(const std::string& path_or_text);

  /// Takes a graph that has its quantizers already: what io::load_onnx makes of an ONNX file with
  /// QuantizeLinear and DequantizeLinear. The options say what later calibration and training do;
  /// nothing is inserted, and is_imported(). Throws Error if the graph has no quantizers.
  static QuantizationSimModel from_quantized(Graph graph, QuantSimOptions options = {});

  // ---- state; save_checkpoint() below writes it with the graph

  /// Takes a graph that has its quantizers and what state() said about it: restores a sim from a
  /// model file. Throws Error if the state cannot be read or the graph has no quantizers.
  static QuantizationSimModel from_state(Graph graph, std::string_view state);
  /// Returns the options, the configuration, the excluded layers and the executor's step count as
  /// JSON text; ranges, bitwidths, what is frozen and what is learned are in the graph's nodes and
  /// parameters.
  std::string state() const;

 private:
  struct Impl;
  friend RUNG_API void compute_encodings_for_sims(
      std::span<QuantizationSimModel* const> sims,
      const std::function<void(std::span<Executor* const>)>& callback, CalibrationOptions options);
  LoadedEncodings load(const std::string& path_or_text, const LoadEncodingsOptions& options,
                       bool parameters_only);
  explicit QuantizationSimModel(std::unique_ptr<Impl> impl);
  Held<std::unique_ptr<Impl>> impl_;
};

/// Returns AIMET's name of a quantizer: <module>.param_quantizers.<param>,
/// <module>.output_quantizers.<i> or <module>.input_quantizers.<i>; a module is the node that has
/// the parameter, output or input.
RUNG_API std::string aimet_name(const QuantizerHandle& quantizer);

/// Runs the sims' executors, in the order of the sims.
using SimsCallback = std::function<void(std::span<Executor* const>)>;
/// Calibrates several sims with one pass over the data. Throws Error as compute_encodings does, for
/// no sim and for one given twice; then all are as before. AIMET: compute_encodings_for_sims.
RUNG_API void compute_encodings_for_sims(std::span<QuantizationSimModel* const> sims,
                                         const SimsCallback& callback,
                                         CalibrationOptions options = {});

/// Loads strictly and disables the quantizers that have no entry: load_encodings with partial =
/// false. AIMET: load_encodings_to_sim.
RUNG_API LoadedEncodings load_encodings_to_sim(QuantizationSimModel& sim,
                                               const std::string& path_or_text);

/// Lets the inputs of every op of this ONNX type share the quantizer behind its output, so that all
/// have the same scale and offset (all inputs of a Concat). Sharing walks up: the quantizer behind
/// an input's producer is replaced, and behind ops that only move numbers (Reshape, Flatten,
/// Identity, Transpose, ...) those before them, too; a graph input gets the quantizer on its edge.
/// A producer without a quantizer stays without. Calibration then observes all places together.
/// Throws Error naming an op whose output has no enabled quantizer, several outputs, or none of
/// this type. AIMET: propagate_output_encodings.
RUNG_API void propagate_output_encodings(QuantizationSimModel& sim, std::string_view op_type);
/// The same for the ops that `condition` accepts.
RUNG_API void propagate_output_encodings(QuantizationSimModel& sim,
                                         const std::function<bool(const Node&)>& condition);

/// Returns what a calibration has seen so far as JSON text, and takes it back, so that it can go on
/// where it was interrupted, or be merged with others. Throw Error, and change nothing, if no
/// quantizer observes or the state is that of other quantizers.
RUNG_API std::string calibration_state(const Observers& observers);
RUNG_API void load_calibration_state(Observers& observers, std::string_view state);
/// The same for the calibration under way: call them inside the callback of compute_encodings.
RUNG_API std::string calibration_state(QuantizationSimModel& sim);
RUNG_API void load_calibration_state(QuantizationSimModel& sim, std::string_view state);

/// The section of a model file that holds QuantizationSimModel::state().
inline constexpr std::string_view kQuantSimSection = "quantsim";

/// Writes a model file (*.rung) that holds the whole sim, weights and encodings included, and the
/// extras: training goes on from it bit for bit. Throws Error as io::save_model does, and for a
/// section named kQuantSimSection. AIMET: save_checkpoint, which pickles.
RUNG_API void save_checkpoint(const QuantizationSimModel& sim, const std::string& path,
                              io::ModelExtras extras = {});
/// Reads such a file, trusting nothing in it. Throws Error beginning with the path, also if it
/// holds a float model. AIMET: load_checkpoint.
RUNG_API QuantizationSimModel load_checkpoint(const std::string& path);
/// True if the model file holds a sim.
RUNG_API bool has_checkpoint(const io::ModelFile& file);
/// The same from a model file read already, whose graph is moved from; `path` begins every Error.
RUNG_API QuantizationSimModel load_checkpoint(io::ModelFile&& file, std::string_view path);

/// Prints a table with one row per quantizer.
RUNG_API std::ostream& operator<<(std::ostream& out, const QuantizationSimModel& sim);

}  // namespace rung
