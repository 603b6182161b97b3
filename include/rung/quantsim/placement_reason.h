#pragma once

#include <string>
#include <vector>

#include "rung/core/export.h"
#include "rung/ops/quantizer_handle.h"

namespace rung {

/// A setting that said whether a tensor has a quantizer.
struct PlacementRule {
  /// The JSON path in the configuration, e.g. "defaults.ops.is_output_quantized", sometimes with
  /// what it found: "supergroups[0] Conv, Relu: inside (conv1, relu1)".
  std::string setting = {};
  bool is_quantized = false;
  friend bool operator==(const PlacementRule&, const PlacementRule&) = default;
};

/// Whether a tensor of the float network has a quantizer, and why.
struct RUNG_API PlacementReason {
  std::string tensor = {};  ///< its name in the float network
  std::string quantizer =
      {};  ///< what QuantizerHandle::name() is or would be: the tensor, or an edge
  QuantizerPlace place = QuantizerPlace::value;
  bool is_present = false;  ///< a quantizer stands there now
  bool is_enabled = false;  ///< and it quantizes
  /// Every setting that spoke about it, in order of precedence: the last one decided. Empty if none
  /// did; then there is no quantizer.
  std::vector<PlacementRule> rules = {};

  /// The quantizer that this one is in another place (QuantizerHandle::name()), and the rule that
  /// says so: "rung.share_concat_inputs of cat". Empty if it has its own.
  std::string shared_with = {}, sharing_rule = {};

  // Of the quantizer that is present, and which setting or option decided; empty: none, the default
  int bitwidth = 0;
  std::string format = {};  ///< the name of a FloatFormat; empty: integers
  Symmetry symmetry = Symmetry::asymmetric;
  bool per_channel = false;
  std::string precision_rule = {}, symmetric_rule = {}, per_channel_rule = {};

  /// What is no longer as the rules wanted it, because somebody changed the sim: "removed by hand",
  /// "disabled by hand", "added by hand", "bitwidth changed by hand"; empty if nothing is.
  std::string by_hand = {};

  /// Returns "none", "quantizer 8 bit symmetric per channel", or the same with "disabled".
  std::string state() const;
  /// Returns the deciding setting, those that it overruled, and what somebody changed by hand, as
  /// one line.
  std::string why() const;
};

}  // namespace rung
