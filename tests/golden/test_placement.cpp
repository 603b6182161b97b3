// Which quantizers AIMET 2.42 places into ten small nets, in five configurations, what their ranges
// are after calibration, and what comes out. Shared quantizers' gradients under range learning.

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "golden/golden.h"
#include "golden/golden_model.h"
#include "golden/golden_runs.h"
#include "golden/golden_sim.h"
#include "golden/placement_configs.h"
#include "rung/io/onnx_import.h"
#include "rung/quantsim/batch_norm_fold.h"
#include "rung/quantsim/quantsim.h"
#include "support/temporary_folder.h"

using namespace rung;

namespace {

const char* const kFolder = "aimet_2_42/placement";

// The bounds of the data's README: a few times AIMET's distance from itself. Where a number lies on
// a rounding tie they are too narrow; AIMET may then be kSpreads times as far away as right ways of
// computing the same are from each other (golden/golden_runs.h).
constexpr double kScale = 2e-6;
constexpr double kMeanOutput = 1e-4, kLargestOutput = 1e-2;
constexpr double kWeightGradients = 1e-4, kRangeGradients = 2e-2;

std::string file(const std::string& name) { return std::string(kFolder) + "/" + name; }

std::vector<std::string> nets() {
  std::vector<std::string> names;
  for (const std::string& name : golden::files(kFolder, ""))
    if (name.ends_with(".onnx")) names.push_back(name.substr(0, name.size() - 5));
  return names;
}

/// Returns the file of a configuration that goes by AIMET's name.
std::string config_file(const std::string& name, const TemporaryFolder& folder) {
  if (name == "default_config") return "aimet_2_42_per_tensor";
  if (name == "default_config_per_channel") return "aimet_2_42";
  if (name == "htp_v73") return "htp";
  if (name == "htp_v69") return folder.write("htp_v69.json", golden::htp_v69());
  if (name == "enpu_v7") return folder.write("enpu_v7.json", golden::enpu_v7());
  throw std::runtime_error("golden data have an unknown configuration: " + name);
}

/// A net as PyTorch wrote it: the module "emb" is the nodes /emb/MatMul and /emb/Add.
class Net {
 public:
  explicit Net(const std::string& name)
      : graph_(io::load_onnx(golden::path(file(name + ".onnx")))) {
    for (const Node* node : graph_.nodes()) modules_[module_of(node->name())].push_back(node);
  }
  const Graph& graph() const { return graph_; }

  /// Returns what we call the quantizer with this name of AIMET's.
  std::string quantizer(const std::string& aimet) const {
    const auto [module, side, key] = split(aimet);
    const std::vector<const Node*>& nodes = modules_.at(module);
    if (side == "output_quantizers") return nodes.back()->output().name();
    if (side == "input_quantizers") return nodes.front()->name() + ".input" + key;
    return parameter(module, key);
  }

  /// Returns the name of a module's weight or bias.
  std::string parameter(const std::string& module, const std::string& key) const {
    for (const Node* node : modules_.at(module))
      for (const Value* value : node->inputs()) {
        if (value->parameter() == nullptr || value->parameter()->role() == Role::buffer) continue;
        const bool is_bias = value->parameter()->role() == Role::bias ||
                             (node->inputs().size() > 2 && value == node->inputs()[2]);
        if (is_bias == (key == "bias")) return value->name();
      }
    throw std::runtime_error("there is no parameter " + module + "." + key);
  }

 private:
  static std::string module_of(const std::string& node) {
    const std::size_t end = node.rfind('/');
    return end == std::string::npos || end == 0 ? node : node.substr(1, end - 1);
  }
  struct Parts {
    std::string module, side, key;
  };
  static Parts split(const std::string& aimet) {
    const std::size_t last = aimet.rfind('.'), before = aimet.rfind('.', last - 1);
    return {aimet.substr(0, before), aimet.substr(before + 1, last - before - 1),
            aimet.substr(last + 1)};
  }

  Graph graph_;
  std::map<std::string, std::vector<const Node*>> modules_;
};

/// One net under one configuration: AIMET's quantizers and ours.
struct Case {
  const Net& net;
  const nlohmann::json& quantizers;  ///< AIMET's, by name
  QuantizationSimModel& sim;
  golden::Report& report;
};

/// Quantizers of numbers in a program never see data: we have none for them.
bool never_saw_data(const nlohmann::json& quantizer) { return !quantizer.contains("scale"); }

/// Checks that the same quantizers are there, and that the same ones are one.
void check_places(const Case& at) {
  std::set<std::string> ours, theirs;
  for (const QuantizerHandle& each : at.sim.quantizers()) ours.insert(each.name());
  std::map<const Parameter*, std::string> owner;
  for (const auto& [name, expected] : at.quantizers.items()) {
    if (never_saw_data(expected)) continue;
    const std::string our = at.net.quantizer(name);
    theirs.insert(our);
    CHECK_MESSAGE(ours.contains(our), "there is no quantizer ", name, " (", our, ")");
    if (!ours.contains(our)) continue;
    const QuantizerHandle quantizer = at.sim.quantizer(our);
    const std::string first = expected.value("shared_with", name);
    const QuantizerHandle other = at.sim.quantizer(at.net.quantizer(first));
    CHECK_MESSAGE(quantizer.parameters() == other.parameters(), name, " is not ", first);
    // Our quantizers of the model's input are one, and so is that of a parameter that two read.
    if (quantizer.place() != QuantizerPlace::value) continue;
    const auto [place, is_new] = owner.emplace(quantizer.parameters().front(), first);
    CHECK_MESSAGE(place->second == first, name, " is also ", place->second);
  }
  for (const std::string& our : ours) CHECK_MESSAGE(theirs.contains(our), "AIMET has no ", our);
}

void check_close(const std::string& what, double got, double expected, double tolerance) {
  CHECK_MESSAGE(std::abs(got - expected) <= tolerance * std::abs(expected), what, ": ", got,
                " instead of ", expected);
}

void check_encodings(const Case& at) {
  for (const auto& [name, expected] : at.quantizers.items()) {
    if (never_saw_data(expected)) continue;
    QuantizerHandle quantizer = at.sim.quantizer(at.net.quantizer(name));
    CAPTURE(name);
    CHECK(quantizer.bitwidth() == expected.at("bitwidth"));
    CHECK((quantizer.symmetry() == Symmetry::symmetric) == expected.at("symmetric").get<bool>());
    const Encoding encoding = quantizer.encoding();
    const auto& scales = expected.at("scale");
    REQUIRE(encoding.scale.size() == scales.size());
    CHECK(encoding.per_channel() == (scales.size() > 1));
    for (std::size_t c = 0; c < scales.size(); ++c) {
      const double scale = scales.at(c);
      check_close("scale", encoding.scale[c], scale, kScale);
      // The lowest code is the offset, whichever of AIMET's two grids it counts from.
      const Range range = encoding.effective_range(static_cast<std::int64_t>(c));
      CHECK(std::round(range.min / encoding.scale[c]) ==
            std::round(expected.at("min").at(c).get<double>() / scale));
      at.report.add(2);
    }
    const auto fixed = expected.value("fixed", std::vector<std::string>{});
    CHECK(quantizer.frozen() == (fixed.size() == 2));
    if (fixed == std::vector<std::string>{"min"})
      CHECK(quantizer.ranges().at(0).min ==
            static_cast<float>(expected.at("min_parameter").at(0).get<double>()));
  }
}

void calibrate(QuantizationSimModel& sim, const golden::Tensors& data, unsigned noise = 0) {
  const golden::Batches batches(data, noise);
  sim.compute_encodings([&](Executor& executor) {
    for (const char* batch : {"x0", "x1"}) executor.forward(batches.images(batch));
  });
}

/// Checks distances from AIMET; `among_ourselves` returns those of a right way from the first one.
void check_distances(const golden::Distances& distances, golden::Distances bounds,
                     const std::function<golden::Distances(const golden::Way&)>& among_ourselves,
                     golden::Floors& floors) {
  const bool is_near = std::ranges::all_of(
      distances, [&](const auto& each) { return each.second <= bounds.at(each.first); });
  if (!is_near)
    for (const golden::Way& way : golden::right_ways())
      for (const auto& [what, distance] : among_ourselves(way))
        bounds.at(what) = std::max(bounds.at(what), golden::kSpreads * distance);
  for (const auto& [what, distance] : distances) floors.check(what, distance, bounds.at(what));
}

golden::Distances output_distances(const std::vector<double>& got,
                                   const std::vector<double>& expected) {
  const auto difference = golden::difference(got, expected);
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  return {{"mean output", difference.mean / largest},
          {"largest output", difference.largest / largest}};
}

void check_output(const Case& at, const golden::Tensors& data, const std::string& config,
                  golden::Floors& floors) {
  const auto output_of = [&](Executor& executor, unsigned noise) {
    const golden::Batches batches(data, noise);
    return golden::doubles(executor.forward(batches.images("x_eval")).data());
  };
  const std::vector<double> output = output_of(at.sim.executor(), 0);
  const auto expected = golden::doubles(data.floats(config + ".output"));
  const auto among_ourselves = [&](const golden::Way& way) {
    Graph graph = at.net.graph().clone();
    golden::add_noise(graph, way.noise);
    QuantizationSimModel sim(graph, at.sim.options());
    calibrate(sim, data, way.noise);
    Executor executor(sim.graph(), way.evaluation);
    return output_distances(output_of(executor, way.noise), output);
  };
  check_distances(output_distances(output, expected),
                  {{"mean output", kMeanOutput}, {"largest output", kLargestOutput}},
                  among_ourselves, floors);
  at.report.add(expected.size());
}

void check_float(const Net& net, const golden::Tensors& data) {
  Graph graph = net.graph().clone();
  const Tensor output = Executor(graph).forward(golden::tensor(data.at("x_eval")));
  CHECK(golden::largest_difference(output, golden::tensor(data.at("float"))) < 1e-5);
}

/// Returns a gradient of AIMET's in our layout: it has the weight of a Linear the other way round.
std::vector<double> in_our_layout(const golden::Tensor& gradient, const Parameter& parameter) {
  const Shape& shape = parameter.shape();
  std::vector<double> values = golden::doubles(gradient.floats);
  const bool is_matrix = shape.rank() == 2 && gradient.shape.size() == 2;
  if (!is_matrix || parameter.name().find("MatMul") == std::string::npos) return values;
  const auto rows = static_cast<std::size_t>(shape[0]),
             columns = static_cast<std::size_t>(shape[1]);
  std::vector<double> turned(values.size());
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < columns; ++j) turned[i * columns + j] = values[j * rows + i];
  return turned;
}

void add(std::vector<double>& sum, const std::vector<double>& values) {
  sum.resize(std::max(sum.size(), values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
}

/// Gradients by parameter; AIMET's are summed over what is one parameter here.
struct Gradients {
  std::map<std::string, std::vector<double>> weights, ranges;
};

Gradients expected_gradients(const Net& net, QuantizationSimModel& sim,
                             const golden::Tensors& data) {
  Gradients gradients;
  for (const auto& [tensor, unused] : data.all()) {
    if (!tensor.starts_with("grad.")) continue;
    const std::string name = tensor.substr(5);
    const std::size_t end = name.rfind('.');
    const bool is_constant = end == std::string::npos;  // of Constants: "p" is not trained here
    if (is_constant || name == "k.bias") {              // of Attention: 0 but for rounding
      data.at(tensor);
      continue;
    }
    const std::string owner = name.substr(0, end), last = name.substr(end + 1);
    if (last == "min" || last == "max") {
      Parameter* range = sim.quantizer(net.quantizer(owner)).parameters().at(last == "min" ? 0 : 1);
      CHECK_MESSAGE(range->requires_grad(), range->name());
      add(gradients.ranges[range->name()], golden::doubles(data.floats(tensor)));
    } else {
      Parameter& weight = sim.graph().parameter(net.parameter(owner, last));
      add(gradients.weights[weight.name()], in_our_layout(data.at(tensor), weight));
    }
  }
  return gradients;
}

QuantizationSimModel learning_sim(const Net& net, const golden::Tensors& data, unsigned noise) {
  Graph graph = net.graph().clone();
  golden::add_noise(graph, noise);
  QuantizationSimModel sim(graph,
                           {.quant_scheme = QuantScheme::training_range_learning_with_tf_init,
                            .config_file = "aimet_2_42_per_tensor"});
  calibrate(sim, data, noise);
  freeze_bn_stats(sim.graph());
  return sim;
}

/// Computes the gradients of the same parameters as `expected`.
Gradients our_gradients(QuantizationSimModel& sim, const golden::Tensors& data,
                        const golden::Way& way, const Gradients& expected) {
  Executor executor(sim.graph(), way.training);
  executor.forward(golden::Batches(data, way.noise).images("x_eval"), Mode::train);
  executor.backward(golden::tensor(data.at("dy")));
  Gradients gradients;
  const auto take = [&](const auto& wanted, auto& taken) {
    for (const auto& [name, unused] : wanted)
      taken[name] = golden::doubles(sim.graph().parameter(name).grad().data());
  };
  take(expected.weights, gradients.weights);
  take(expected.ranges, gradients.ranges);
  return gradients;
}

golden::Distances gradient_distances(const Gradients& got, const Gradients& expected) {
  std::vector<double> errors, ours, theirs;
  for (const auto& [name, gradient] : expected.weights)
    errors.push_back(golden::difference(got.weights.at(name), gradient).relative_l2);
  for (const auto& [name, gradient] : expected.ranges) {
    ours.insert(ours.end(), got.ranges.at(name).begin(), got.ranges.at(name).end());
    theirs.insert(theirs.end(), gradient.begin(), gradient.end());
  }
  std::ranges::sort(errors);
  return {{"weight gradients", errors.at(errors.size() / 2)},
          {"range gradients", golden::difference(ours, theirs).relative_l2}};
}

void check_gradients(const std::string& name, const Net& net, const golden::Tensors& data,
                     golden::Floors& floors, golden::Report& report) {
  QuantizationSimModel sim = learning_sim(net, data, 0);
  const Gradients expected = expected_gradients(net, sim, data);
  golden::Way first;
  first.training.conv_algorithm = golden::conv_algorithm();
  const Gradients ours = our_gradients(sim, data, first, expected);
  for (const auto* part : {&expected.weights, &expected.ranges})
    for (const auto& [unused, gradient] : *part) report.add(gradient.size());
  const auto among_ourselves = [&](const golden::Way& way) {
    QuantizationSimModel other = learning_sim(net, data, way.noise);
    return gradient_distances(our_gradients(other, data, way, expected), ours);
  };
  CAPTURE(name);
  check_distances(gradient_distances(ours, expected),
                  {{"weight gradients", kWeightGradients}, {"range gradients", kRangeGradients}},
                  among_ourselves, floors);
}

/// The weights are in the ONNX files, too, but those that PyTorch turned or shares there.
void look_at_weights(const golden::Tensors& data) {
  for (const auto& [tensor, unused] : data.all())
    if (tensor.starts_with("weight.")) data.at(tensor);
}

}  // namespace

TEST_SUITE("golden: placement") {
  TEST_CASE("quantizers, ranges, outputs and gradients are those of AIMET 2.42") {
    golden::Report report("golden: placement");
    golden::Floors floors;
    const TemporaryFolder folder;
    REQUIRE_FALSE(nets().empty());
    for (const std::string& name : nets()) {
      CAPTURE(name);
      const Net net(name);
      const golden::Tensors data = golden::tensors(file(name + ".safetensors"));
      const nlohmann::json configs = golden::json(file(name + ".json"));
      look_at_weights(data);
      check_float(net, data);
      for (const auto& [config, quantizers] : configs.items()) {
        CAPTURE(config);
        QuantizationSimModel sim(net.graph(), {.quant_scheme = QuantScheme::post_training_tf,
                                               .config_file = config_file(config, folder)});
        CHECK(sim.warnings().empty());
        const Case at{net, quantizers, sim, report};
        check_places(at);
        calibrate(sim, data);
        check_encodings(at);
        check_output(at, data, config, floors);
      }
      check_gradients(name, net, data, floors, report);
      golden::check_all_used(data);
    }
    floors.note(report);
  }
}
