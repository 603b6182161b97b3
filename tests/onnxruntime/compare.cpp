#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "cases.h"
#include "layer.h"
#include "rung/rung.h"

namespace agreement {
namespace {

using namespace rung;
using Json = nlohmann::json;

// A real number this close to the middle of two codes, in steps, may become either: ONNX Runtime's
// integer kernels multiply by rounded quotients of scales.
constexpr double kTie = 1e-4;
constexpr double kEqualCodes = 0.9999;  // of the codes of a layer
constexpr double kEqualOutputs = 0.999, kDecibels = 60;
constexpr double kEqualAccuracy = 0.0005001;  // difference of top-1

std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

template <typename T>
std::vector<T> numbers(const std::string& bytes) {
  std::vector<T> result(bytes.size() / sizeof(T));
  std::memcpy(result.data(), bytes.data(), result.size() * sizeof(T));
  return result;
}

/// What ONNX Runtime made of one network.
class Results {
 public:
  Results(std::string folder, Json outputs)
      : folder_(std::move(folder)), outputs_(std::move(outputs)) {}

  Shape shape(const std::string& name) const {
    return Shape(outputs_.at(name).at("dims").get<std::vector<std::int64_t>>());
  }
  std::vector<float> real(const std::string& name) const {
    return numbers<float>(read(file(name)));
  }
  std::vector<std::int32_t> codes(const std::string& name) const {
    const std::string type = outputs_.at(name).at("type"), bytes = read(file(name));
    if (type == "uint8") return widen(numbers<std::uint8_t>(bytes));
    if (type == "int8") return widen(numbers<std::int8_t>(bytes));
    throw std::runtime_error(name + " has the type " + type);
  }

 private:
  std::string file(const std::string& name) const {
    return folder_ + "/" + outputs_.at(name).at("file").get<std::string>();
  }
  template <typename T>
  static std::vector<std::int32_t> widen(const std::vector<T>& codes) {
    return {codes.begin(), codes.end()};
  }

  std::string folder_;
  Json outputs_;
};

/// Gives biases the values of their int32 codes in the exported file.
void round_biases(Graph& graph, const std::string& path) {
  onnx::ModelProto model;
  if (!model.ParseFromString(read(path))) throw std::runtime_error("cannot read " + path);
  std::map<std::string, const onnx::TensorProto*> tensors;
  for (const onnx::TensorProto& tensor : model.graph().initializer())
    tensors[tensor.name()] = &tensor;
  for (const onnx::NodeProto& node : model.graph().node()) {
    if (node.op_type() != "DequantizeLinear" || !tensors.contains(node.input(0))) continue;
    const onnx::TensorProto& stored = *tensors.at(node.input(0));
    if (stored.data_type() != onnx::TensorProto::INT32) continue;
    const auto codes = numbers<std::int32_t>(stored.raw_data());
    const auto scales = numbers<float>(tensors.at(node.input(1))->raw_data());
    const auto bias = graph.parameter(stored.name()).edit().data();
    for (std::size_t c = 0; c < codes.size(); ++c)
      bias[c] = static_cast<float>(codes[c]) * scales[scales.size() == 1 ? 0 : c];
  }
}

std::string codes_name(const Node& quantizer) {
  return quantizer.name().substr(0, quantizer.name().rfind(".qdq")) + ".q";
}

struct Codes {
  std::int64_t count = 0, equal = 0;
  std::int64_t ties = 0;     ///< of those that differ
  std::int32_t largest = 0;  ///< difference
  void add(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
    if (a.size() != b.size()) throw std::runtime_error("the sizes of codes differ");
    for (std::size_t i = 0; i < a.size(); ++i) {
      ++count;
      equal += a[i] == b[i];
      largest = std::max(largest, std::abs(a[i] - b[i]));
    }
  }
  double share() const { return static_cast<double>(equal) / static_cast<double>(count); }
  double share_with_ties() const {
    return static_cast<double>(equal + ties) / static_cast<double>(count);
  }
};

/// One network in both, and what is to be said about it.
class Comparison {
 public:
  Comparison(const std::string& folder, const Json& test, Json outputs)
      : name_(test.at("name")),
        onnx_(folder + "/" + test.at("model").get<std::string>()),
        rung_(folder + "/" + name_ + ".rung"),
        results_(folder, std::move(outputs)),
        tolerance_(test.at("tolerance")),
        batch_(test.at("batch")),
        x_(Shape(test.at("shape").get<std::vector<std::int64_t>>())) {
    const auto pixels = numbers<float>(read(folder + "/" + test.at("input").get<std::string>()));
    std::ranges::copy(pixels, x_.data().begin());
  }

  bool real() const {
    io::ModelFile file = io::load_model(rung_);
    if (!has_checkpoint(file)) {
      Executor executor(file.graph);
      return real(executor);
    }
    QuantizationSimModel sim = load_checkpoint(std::move(file), rung_);
    return real(sim.executor());
  }

  bool outputs() const {
    QuantizationSimModel sim = load_checkpoint(rung_);
    const std::vector<Tensor> ours = sim.executor().forward(std::span(&x_, 1));
    double lowest = 999;
    std::int64_t count = 0, equal = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const std::vector<float> theirs = results_.real(name_of(*sim.graph().outputs()[i]));
      const auto values = ours[i].data();
      if (values.size() != theirs.size()) throw std::runtime_error("the sizes of outputs differ");
      double signal = 0, noise = 0;
      for (std::size_t k = 0; k < values.size(); ++k) {
        signal += double{values[k]} * double{values[k]};
        noise += std::pow(double{values[k]} - double{theirs[k]}, 2);
        equal += values[k] == theirs[k];
      }
      count += static_cast<std::int64_t>(values.size());
      const double decibels = noise == 0 ? lowest : 10 * std::log10(signal / noise);
      if (!(decibels >= lowest)) lowest = decibels;  // NaN, too
    }
    const double share = static_cast<double>(equal) / static_cast<double>(count);
    if (share < 1)
      fmt::print("{:28} {:.3f} % of the outputs are equal, {:.1f} dB\n", name_, 100 * share,
                 lowest);
    return share >= kEqualOutputs || lowest >= kDecibels;
  }

  bool layers() const {
    QuantizationSimModel sim = load_checkpoint(rung_);
    round_biases(sim.graph(), onnx_);
    const auto boundary = [&](const Node& quantizer) {
      const std::string name = codes_name(quantizer);
      const Encoding encoding =
          quantizer.as<QuantizeDequantize>()->encoding(quantizer_parameters(quantizer));
      const Shape shape = results_.shape(name);
      Tensor y(shape);
      std::ranges::copy(dequantize(results_.codes(name), shape, encoding), y.data().begin());
      return y;
    };
    Codes all;
    std::int64_t count = 0;
    double worst = 1;
    bool agrees = true;
    for (const QuantizerHandle& each : sim.quantizers()) {
      if (each.place() == QuantizerPlace::parameter || !each.enabled()) continue;
      const LayerOutput ours = run_layer(sim.graph(), each.node(), x_, boundary);
      const auto theirs = results_.codes(codes_name(each.node()));
      Codes one;
      one.add(ours.codes, theirs);
      one.ties = ties(ours, theirs, each.encoding());
      all.add(ours.codes, theirs);
      all.ties += one.ties;
      ++count;
      worst = std::min(worst, one.share());
      if (one.share_with_ties() >= kEqualCodes && one.largest <= 1) continue;
      agrees = false;
      fmt::print("  {}: {:.4f} % of {} codes equal, {} differ at ties, at most {} apart\n",
                 each.name(), 100 * one.share(), one.count, one.ties, one.largest);
    }
    fmt::print(
        "{:28} {} of {} codes differ, {} of them at ties, at most {} apart; the worst of {} layers "
        "has {:.4f} % equal\n",
        name_, all.count - all.equal, all.count, all.ties, all.largest, count, 100 * worst);
    return agrees;
  }

  bool labels() const {
    QuantizationSimModel sim = load_checkpoint(rung_);
    const Node& last = *sim.graph().outputs()[0]->producer();
    const auto theirs = results_.codes(codes_name(last));
    const auto as_trained = logits(sim);
    round_biases(sim.graph(), onnx_);
    const auto ours = logits(sim);
    Codes codes;
    codes.add(ours, theirs);
    const double top1_ours = top1(ours), top1_theirs = top1(theirs);
    fmt::print(
        "{:28} top-1 {:.2f} % here ({:.2f} % with float biases), {:.2f} % there; {:.3f} % of the "
        "logits' codes equal, at most {} apart\n",
        name_, 100 * top1_ours, 100 * top1(as_trained), 100 * top1_theirs, 100 * codes.share(),
        codes.largest);
    return std::abs(top1_ours - top1_theirs) <= kEqualAccuracy;
  }

 private:
  bool real(Executor& executor) const {
    const std::vector<Tensor> ours = executor.forward(std::span(&x_, 1));
    double difference = 0, largest = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const std::vector<float> theirs = results_.real(name_of(*executor.graph().outputs()[i]));
      const auto values = ours[i].data();
      if (values.size() != theirs.size()) throw std::runtime_error("the sizes of outputs differ");
      for (std::size_t k = 0; k < values.size(); ++k) {
        difference = std::max(difference, std::abs(double{values[k]} - double{theirs[k]}));
        largest = std::max(largest, std::abs(double{theirs[k]}));
      }
    }
    fmt::print("{:28} outputs differ by {:.2g} of at most {:.3g}\n", name_, difference, largest);
    return difference <= tolerance_ * largest;
  }

  /// Returns the name of an output in the file: behind a quantizer that is switched off stands what
  /// is in front of it.
  static std::string name_of(const Value& output) {
    const auto* op = output.producer()->as<QuantizeDequantize>();
    const bool is_off = op != nullptr && !op->enabled();
    return is_off ? output.producer()->inputs()[0]->name() : output.name();
  }

  /// Counts the codes that differ where a real number lies between two codes.
  static std::int64_t ties(const LayerOutput& ours, std::span<const std::int32_t> theirs,
                           const Encoding& encoding) {
    std::int64_t count = 0;
    for (std::size_t i = 0; i < theirs.size(); ++i) {
      const double steps = double{ours.real.data()[i]} / double{encoding.scale[0]};
      const bool between = std::abs(steps - std::floor(steps) - 0.5) < kTie;
      count += between && ours.codes[i] != theirs[i];
    }
    return count;
  }
  /// Returns the codes of the logits of all images.
  std::vector<std::int32_t> logits(QuantizationSimModel& sim) const {
    const Node& last = *sim.graph().outputs()[0]->producer();
    const Encoding encoding = last.as<QuantizeDequantize>()->encoding(quantizer_parameters(last));
    const std::int64_t images = x_.shape()[0], size = x_.shape().numel() / images;
    std::vector<std::int32_t> all;
    for (std::int64_t first = 0; first < images; first += batch_) {
      Tensor x(x_.shape().with(0, std::min(batch_, images - first)));
      std::ranges::copy(x_.data().subspan(static_cast<std::size_t>(first * size), x.data().size()),
                        x.data().begin());
      const Tensor y = sim.executor().forward(x);
      const auto codes = quantize(y.data(), y.shape(), encoding);
      all.insert(all.end(), codes.begin(), codes.end());
    }
    return all;
  }

  /// Returns the share of the images that are classified right.
  double top1(std::span<const std::int32_t> logits) const {
    const auto clothes = datasets::fashion_mnist(Split::test);
    nn::Image image;
    const std::int64_t images = x_.shape()[0];
    const std::size_t classes = logits.size() / static_cast<std::size_t>(images);
    std::int64_t right = 0;
    for (std::int64_t i = 0; i < images; ++i)
      right += is_right(logits.subspan(static_cast<std::size_t>(i) * classes, classes),
                        clothes->get(i, image));
    return static_cast<double>(right) / static_cast<double>(images);
  }

  /// A tie is wrong.
  static bool is_right(std::span<const std::int32_t> logits, std::int64_t label) {
    const auto at = static_cast<std::size_t>(label);
    for (std::size_t i = 0; i < logits.size(); ++i)
      if (i != at && logits[i] >= logits[at]) return false;
    return true;
  }

  std::string name_, onnx_, rung_;
  Results results_;
  double tolerance_;
  std::int64_t batch_;
  Tensor x_;
};

}  // namespace

bool compare(const std::string& folder) {
  const Json cases = Json::parse(read(folder + "/cases.json"));
  const Json results = Json::parse(read(folder + "/results.json"));
  bool agrees = true;
  for (const Json& test : cases) {
    const Comparison comparison(folder, test, results.at(test.at("name").get<std::string>()));
    bool good = false;
    switch (static_cast<Kind>(test.at("kind").get<int>())) {
      case Kind::real:
        good = comparison.real();
        break;
      case Kind::layers:
        good = comparison.layers();
        break;
      case Kind::outputs:
        good = comparison.outputs();
        break;
      case Kind::labels:
        good = comparison.labels();
        break;
    }
    if (!good) fmt::print("FAILED: {}\n", test.at("name").get<std::string>());
    agrees = agrees && good;
  }
  return agrees;
}

}  // namespace agreement
