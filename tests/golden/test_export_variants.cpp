// Encodings files that AIMET 2.42 wrote with other settings: fewer bits, blocks, LPBQ, signed and
// symmetric activations, int32 biases. The sim is set up as AIMET's was, its file loaded, written
// again, and its outputs compared.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/aimet_files.h"
#include "golden/golden_model.h"
#include "golden/golden_sim.h"
#include "rung/core/error.h"
#include "rung/ptq/ptq.h"
#include "rung/quantsim/config_utils.h"

using namespace rung;

namespace {

constexpr double kLogits = 2e-2;  // of the largest: one step at 2 bits

struct Variant {
  QuantSimOptions options = {};
  ExportOptions written = {};
  std::function<void(QuantizationSimModel&)> change = {};
};

const std::string kFolder = golden::of_2_42("export/variants/");

/// Means the layers that AIMET's variants have in blocks.
bool is_in_blocks(const Node& node) {
  for (const Value* input : node.inputs()) {
    const Value* source = input->producer() != nullptr ? input->producer()->inputs()[0] : input;
    for (const char* name : {"layer2.0.conv2.weight", "layer3.0.conv1.weight", "fc.weight"})
      if (source->name() == name) return true;
  }
  return false;
}

void cut_into_blocks(QuantizationSimModel& sim) {
  CHECK(set_blockwise_quantization_for_weights(sim, is_in_blocks, {.block_size = 4}) == 3);
}
void cut_into_grouped_blocks(QuantizationSimModel& sim) {
  CHECK(set_grouped_blockwise_quantization_for_weights(
            sim, is_in_blocks, {.decompressed_bw = 8, .block_size = 4}) == 3);
}
void make_activations_symmetric(QuantizationSimModel& sim) {
  for (QuantizerHandle each : sim.quantizers()) each.set_symmetric(true);
}

QuantSimOptions bits(int parameters, int outputs) {
  return {.default_output_bw = outputs, .default_param_bw = parameters};
}

/// Returns the settings of each variant, by its name in variants.json.
std::map<std::string, Variant> variants() {
  std::map<std::string, Variant> all = {
      {"w4a8", {.options = bits(4, 8)}},
      {"w2a8", {.options = bits(2, 8)}},
      {"w8a16", {.options = bits(8, 16)}},
      {"w4a8_blocks", {.options = bits(4, 8), .change = cut_into_blocks}},
      {"lpbq", {.options = bits(4, 8), .change = cut_into_grouped_blocks}},
      {"no_int32_bias", {.written = {.export_int32_bias = false}}},
      {"int32_bias_1.0.0", {.written = {.export_int32_bias = true}}},
      {"int32_bias_per_tensor", {.written = {.export_int32_bias = true}}},
      {"signed", {.written = {.force_activation_as = ActivationCodes::signed_codes}}},
      {"symmetric_activations", {.change = make_activations_symmetric}},
      {"symmetric_signed",
       {.written = {.force_activation_as = ActivationCodes::signed_codes},
        .change = make_activations_symmetric}},
      {"float16", {.options = bits(16, 16)}},
  };
  all.at("float16").options.default_data_type = QuantizationDataType::floating;
  for (auto& [name, variant] : all) {
    variant.options.quant_scheme = QuantScheme::post_training_tf;
    variant.options.config_file =
        name == "int32_bias_per_tensor" ? "aimet_2_42_per_tensor" : "aimet_2_42";
    variant.written.derived = DerivedEntries::all;
  }
  return all;
}

/// Returns AIMET's network with its names of tensors, and the weights before quantization.
Graph float_network() {
  Graph weights = golden::network(golden::of_2_42("network/trained.safetensors"));
  ptq::fold_all_batch_norms(weights);
  Graph graph = golden::onnx_network("export/folded_default_config_per_channel/net.onnx");
  for (Parameter* parameter : weights.parameters())
    graph.value(parameter->name()).parameter()->edit().copy_from(parameter->value());
  return graph;
}

QuantizationSimModel make_sim(const Variant& variant) {
  QuantizationSimModel sim(float_network(), variant.options);
  if (variant.change) variant.change(sim);
  return sim;
}

/// Returns "layer2.0.downsample.0" for "/layer2/layer2.0/downsample/downsample.0/Conv".
std::string module_of(const std::string& node) {
  std::vector<std::string> parts;
  for (std::size_t begin = 1, end = 0; (end = node.find('/', begin)) != node.npos;
       begin = end + 1) {
    const std::string part = node.substr(begin, end - begin);
    if (!parts.empty() && part.starts_with(parts.back() + "."))
      parts.back() = part;
    else
      parts.push_back(part);
  }
  std::string module;
  for (const std::string& part : parts) module += (module.empty() ? "" : ".") + part;
  return module;
}

/// Compares the sim's quantizers with AIMET's.
void check_quantizers(QuantizationSimModel& sim, const std::string& name, golden::Report& report) {
  const nlohmann::json expected = golden::json(kFolder + name + ".quantizers.json");
  std::size_t found = 0;
  for (const QuantizerHandle& each : sim.quantizers()) {
    const std::string aimet = aimet_name(each);
    const std::size_t end = aimet.find(".param_quantizers");
    const std::size_t split = end != aimet.npos ? end
                                                : std::min(aimet.find(".input_quantizers"),
                                                           aimet.find(".output_quantizers"));
    const std::string key = module_of(aimet.substr(0, split)) + aimet.substr(split);
    CAPTURE(key);
    REQUIRE(expected.contains(key));
    const nlohmann::json& theirs = expected.at(key);
    ++found;
    const Encoding ours = each.encoding();
    CHECK(ours.bitwidth == theirs.at("bitwidth"));
    CHECK((ours.symmetry != Symmetry::asymmetric) == theirs.at("symmetric"));
    REQUIRE(ours.scale.size() == theirs.at("scale").size());
    for (std::size_t c = 0; c < ours.scale.size(); ++c) {
      const double scale = theirs.at("scale").at(c);
      CHECK(std::abs(ours.scale[c] - scale) <= golden::kFileScale * scale);
      const Range range = ours.effective_range(static_cast<std::int64_t>(c));
      const double width =
          theirs.at("max").at(c).get<double>() - theirs.at("min").at(c).get<double>();
      CHECK(std::abs(range.min - theirs.at("min").at(c).get<double>()) <=
            golden::kFileScale * width);
      CHECK(std::abs(range.max - theirs.at("max").at(c).get<double>()) <=
            golden::kFileScale * width);
      report.add(3);
    }
  }
  CHECK(found == expected.size());
}

void check_logits(QuantizationSimModel& sim, const std::string& name, golden::Report& report) {
  const auto expected = golden::tensors(kFolder + name + ".safetensors").at("eval_logits");
  const golden::Tensors data = golden::tensors(golden::of_2_42("network/data.safetensors"));
  const Tensor got = sim.executor().forward(golden::tensor(data.at("x3")));
  const golden::Difference d =
      golden::difference(golden::doubles(got.data()), golden::doubles(expected.floats));
  double largest = 0;
  for (const float each : expected.floats) largest = std::max(largest, std::abs(double{each}));
  CHECK_MESSAGE(d.largest <= kLogits * largest, name << ": " << d.largest / largest);
  report.add(expected.floats.size());
}

void check_version(const std::string& name, const Variant& variant, const std::string& version,
                   golden::Report& report) {
  CAPTURE(name);
  CAPTURE(version);
  const std::string text = golden::bytes(kFolder + name + "_" + version + ".encodings");
  const nlohmann::json file = nlohmann::json::parse(text);
  const auto expected = golden::entries_of(file);
  QuantizationSimModel sim = make_sim(variant);
  CHECK(sim.load_encodings(text, {.require_all = true}).loaded.size() == sim.quantizers().size());
  check_quantizers(sim, name, report);
  check_logits(sim, name, report);

  ExportOptions options = variant.written;
  options.encodings_version = version;
  const auto got = golden::entries_of(golden::exported(sim, options));
  CHECK(golden::names_of(got) == golden::names_of(expected));
  const std::set<std::string> mistaken = golden::mistaken_biases(sim.graph(), file);
  for (const auto& [tensor, entry] : expected) {
    CAPTURE(tensor);
    if (!mistaken.contains(tensor) && got.contains(tensor))
      golden::check_same(got.at(tensor), entry, report);
  }
}

}  // namespace

TEST_SUITE("golden 2.42: variants of encodings files") {
  TEST_CASE("every variant loads, answers as AIMET's sim and is written as AIMET wrote it") {
    golden::Report report("golden 2.42: variants");
    const std::map<std::string, Variant> known = variants();
    const nlohmann::json listed = golden::json(golden::of_2_42("export/variants.json"));
    CHECK(listed.size() == known.size());
    for (const auto& [name, facts] : listed.items()) {
      REQUIRE_MESSAGE(known.contains(name), name);
      if (name == "float16") continue;
      for (const std::string version : facts.at("versions"))
        check_version(name, known.at(name), version, report);
    }
  }

  TEST_CASE("calibrated ranges are AIMET's: files need not be loaded") {
    golden::Report report("golden 2.42: variants calibrated");
    const golden::Tensors data = golden::tensors(golden::of_2_42("network/data.safetensors"));
    for (const auto& [name, variant] : variants()) {
      if (name == "float16") continue;
      CAPTURE(name);
      QuantizationSimModel sim = make_sim(variant);
      golden::compute_encodings(sim, data);
      check_quantizers(sim, name, report);
    }
  }

  TEST_CASE("AIMET writes no entries of float16, Rung does: both are read") {
    QuantizationSimModel sim = make_sim(variants().at("float16"));
    for (const char* version : {"1.0.0", "2.0.0"}) {
      CAPTURE(version);
      const std::string theirs = golden::bytes(kFolder + "float16_" + version + ".encodings");
      CHECK(golden::entries_of(nlohmann::json::parse(theirs)).empty());
      CHECK_THROWS_WITH_AS(sim.load_encodings(theirs), doctest::Contains("has no encodings"),
                           Error);
      const nlohmann::json ours = golden::exported(sim, {.encodings_version = version});
      CHECK(golden::entries_of(ours).size() == sim.quantizers().size());
      CHECK(sim.load_encodings(ours.dump()).loaded.size() == sim.quantizers().size());
    }
  }
}
