// A program outside of the library's tree: it brings its own op, range estimator, quantizers and
// loss, trains with them, chooses them by name, and uses nothing but what is installed.

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "rung/rung.h"

namespace {

using namespace rung;

/// y = x * |x| / 2: an activation that no library has.
struct SignedSquare final : SimpleOp<SignedSquare> {
  static constexpr std::string_view kType = "SignedSquare";
  static constexpr Layout kLayout = Layout::elementwise_keeps_zero;
  std::vector<Shape> infer(std::span<const Shape> inputs) const override { return {inputs[0]}; }
  void forward(const Io& io) const {
    for (std::int64_t i = 0; i < io.input(0).count; ++i) {
      const float x = io.input(0).data[i];
      io.output(0).data[i] = x * std::fabs(x) / 2;
    }
  }
  void backward(const GradIo& io) const {
    for (std::int64_t i = 0; i < io.input(0).count; ++i)
      io.input_grad(0).data[i] = io.output_grad(0).data[i] * std::fabs(io.input(0).data[i]);
  }
};

/// The range of so many standard deviations around the mean.
class ThreeSigma final : public RangeEstimator {
 public:
  explicit ThreeSigma(double sigmas = 3) : sigmas_(sigmas) {}
  std::string name() const override { return "three_sigma"; }
  void visit(AttributeVisitor& visitor) override { visitor("sigmas", sigmas_); }
  void begin_batch(Range seen, std::int64_t) override {
    seen_ =
        count_ == 0 ? seen : Range{std::min(seen_.min, seen.min), std::max(seen_.max, seen.max)};
  }
  void accumulate(std::span<const float> chunk) override {
    for (const float x : chunk) {
      sum_ += x;
      squares_ += static_cast<double>(x) * x;
    }
    count_ += static_cast<std::int64_t>(chunk.size());
  }
  void end_batch() override {}
  void merge(const RangeEstimator& other) override {
    const auto& o = dynamic_cast<const ThreeSigma&>(other);
    sum_ += o.sum_, squares_ += o.squares_, count_ += o.count_;
    seen_ = {std::min(seen_.min, o.seen_.min), std::max(seen_.max, o.seen_.max)};
  }
  Range estimate(const Grid& grid, Symmetry symmetry) const override {
    if (count_ == 0) throw Error("three_sigma: nothing was observed");
    const double n = static_cast<double>(count_), mean = sum_ / n;
    const double sigma = std::sqrt(std::max(0.0, squares_ / n - mean * mean));
    const double reach = sigmas_ * sigma;
    return legal_range({static_cast<float>(mean - reach), static_cast<float>(mean + reach)}, grid,
                       symmetry);
  }
  Range observed() const override { return seen_; }
  std::int64_t count() const override { return count_; }
  void reset() override { *this = ThreeSigma(sigmas_); }
  std::unique_ptr<RangeEstimator> clone() const override {
    return std::make_unique<ThreeSigma>(*this);
  }
  std::vector<double> state() const override {
    return {sum_, squares_, static_cast<double>(count_), seen_.min, seen_.max};
  }
  void load_state(std::span<const double> s) override {
    sum_ = s[0], squares_ = s[1], count_ = static_cast<std::int64_t>(s[2]);
    seen_ = {static_cast<float>(s[3]), static_cast<float>(s[4])};
  }

 private:
  double sigmas_;
  double sum_ = 0, squares_ = 0;
  std::int64_t count_ = 0;
  Range seen_;
};

/// Quantizes to the nearest power of two below a learned largest magnitude: no affine grid at all.
class PowerOfTwo final : public Quantizer {
 public:
  PowerOfTwo() : Quantizer({.bitwidth = 4, .symmetry = Symmetry::symmetric}) {}
  std::string_view kind() const override { return "power_of_two"; }
  std::vector<ParameterSpec> parameters() const override { return {{"max", Shape{}, 1.0f}}; }
  Encoding encoding(ParameterView p) const override {
    return encoding_from_range({-p[0][0], p[0][0]}, bitwidth(), resolved_symmetry());
  }
  void initialize(std::span<const Range> ranges, MutableParameterView p) const override {
    p[0][0] = std::max(-ranges[0].min, ranges[0].max);
  }
  void chain(const EncodingGradient&, const Encoding&, ParameterView,
             MutableParameterView) const override {}
  bool runs_fused() const override { return false; }
  void forward(const QuantizeIo& io) const override {
    const float max = io.parameters[0][0];
    for (std::size_t i = 0; i < io.x.size(); ++i) {
      const float size = std::min(std::fabs(io.x[i]), max);
      const float power = std::exp2(std::nearbyint(std::log2(std::max(size, max / 128))));
      io.y[i] = size < max / 256 ? 0.0f : std::copysign(std::min(power, max), io.x[i]);
    }
  }
  void backward(const QuantizeGradIo& io) const override {
    const float max = io.parameters[0][0];
    for (std::size_t i = 0; i < io.dx.size(); ++i)
      io.dx[i] = std::fabs(io.x[i]) <= max ? io.dy[i] : 0.0f;
    for (const std::span<float> unused : io.dparameters) std::ranges::fill(unused, 0.0f);
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<PowerOfTwo>(*this); }
};

/// Has a scale that is a power of two, so that hardware only shifts: an affine grid, which runs in
/// the fused kernels and goes to ONNX.
class PowerOfTwoScale final : public RangeQuantizer {
 public:
  explicit PowerOfTwoScale(const QuantizerOptions& options) : RangeQuantizer(options) {}
  std::string_view kind() const override { return "power_of_two_scale"; }
  void visit(AttributeVisitor& visitor) override { visitor("least_exponent", least_exponent_); }
  Encoding encoding(ParameterView p) const override {
    Encoding e = encoding_from_range(p[0], p[1], bitwidth(), resolved_symmetry(), granularity());
    for (std::size_t c = 0; c < e.scale.size(); ++c) {
      const float exponent = std::ceil(std::log2(e.scale[c]));
      e.scale[c] = std::exp2(std::max(exponent, static_cast<float>(least_exponent_)));
      if (e.symmetry == Symmetry::asymmetric)
        e.offset[c] = static_cast<std::int64_t>(std::nearbyint(p[0][c] / e.scale[c]));
    }
    return e;
  }
  std::unique_ptr<Quantizer> clone() const override {
    return std::make_unique<PowerOfTwoScale>(*this);
  }

 private:
  std::int64_t least_exponent_ = -16;
};

/// The mean over the batch of (1 - logit of the label)^2 + sum of the other logits squared.
nn::Loss square_loss(const Tensor& logits, std::span<const std::int64_t> labels) {
  nn::Loss loss{0.0, logits.clone()};
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::int64_t c = 0; c < classes; ++c) {
      float& g = loss.gradient.data()[static_cast<std::size_t>(n * classes + c)];
      if (c == labels[static_cast<std::size_t>(n)]) g -= 1.0f;
      loss.value += static_cast<double>(g) * g / static_cast<double>(rows);
      g *= 2.0f / static_cast<float>(rows);
    }
  return loss;
}

bool is_power_of_two(float scale) { return std::exp2(std::nearbyint(std::log2(scale))) == scale; }

/// Returns the largest difference of two tensors of one shape.
float difference(const Tensor& a, const Tensor& b) {
  float largest = 0;
  for (std::size_t i = 0; i < a.data().size(); ++i)
    largest = std::max(largest, std::fabs(a.data()[i] - b.data()[i]));
  return largest;
}

/// Our estimator and our quantizer as a scheme: registered, chosen by name, saved, loaded,
/// exported.
bool quantizes_by_name(const std::string& folder) {
  register_range_estimator("three_sigma", [] { return std::make_unique<ThreeSigma>(); });
  register_quantizer("power_of_two_scale", [](const QuantizerOptions& options) {
    return std::make_unique<PowerOfTwoScale>(options);
  });
  const QuantScheme scheme{
      .estimator = "three_sigma", .quantizer = "power_of_two_scale", .learn = true};
  Graph model = models::lenet({.in_channels = 1, .num_classes = 4, .image_size = 28}, Rng(3));
  QuantizationSimModel sim(model, {.quant_scheme = scheme, .config_file = "per_channel"});
  Rng rng(4);
  Tensor images(Shape{8, 1, 28, 28});
  for (float& pixel : images.data()) pixel = static_cast<float>(rng.normal());
  for (QuantizerHandle each : sim.quantizers())
    if (each.place() == QuantizerPlace::value) each.set_range_estimator(ThreeSigma(4));
  sim.compute_encodings([&](Executor& executor) { (void)executor.forward(images); });
  for (const QuantizerHandle& each : sim.quantizers())
    for (const float scale : each.encoding().scale)
      if (!is_power_of_two(scale) || !each.learned()) return false;

  save_checkpoint(sim, folder + "/own.rung");
  QuantizationSimModel back = load_checkpoint(folder + "/own.rung");
  const Tensor y = sim.executor().forward(images);
  if (difference(back.executor().forward(images), y) != 0) return false;
  if (parse_quant_scheme(to_string(back.options().quant_scheme)) != scheme) return false;
  for (const QuantizerHandle& each : back.quantizers()) {
    const bool is_value = each.place() == QuantizerPlace::value;
    if (to_string(each.op().estimator()) !=
        (is_value ? "three_sigma {sigmas=4}" : "three_sigma {sigmas=3}"))
      return false;
  }
  back.export_to(folder, "own", {.export_qdq_onnx = true, .export_int32_bias = false});
  Graph exported = io::load_onnx(folder + "/own_qdq.onnx");
  Executor executor(exported);
  const float difference_of_onnx = difference(executor.forward(images), y);
  std::printf("chosen by name: %s, ONNX differs by %.2g\n", to_string(scheme).c_str(),
              static_cast<double>(difference_of_onnx));
  return difference_of_onnx < 1e-3f;
}

}  // namespace

int main() {
  // A network with an op of ours, and a quantizer of ours behind it.
  Graph graph;
  const Var x = graph.input("x", {1, 1, 8, 8});
  Var y = nn::conv2d(x, {.out_channels = 8, .kernel = 3, .padding = 1}, "conv");
  y = graph.add(std::make_unique<SignedSquare>(), {y}, "square");
  y = nn::quantize_dequantize(y, std::make_unique<PowerOfTwo>(), std::make_unique<ThreeSigma>(),
                              "square.q");
  y = nn::flatten(nn::global_avg_pool(y, "pool"), "flatten");
  graph.set_outputs({nn::linear(y, {.out_features = 2}, "fc")});
  nn::init_parameters(graph, Rng(1).split("init"));

  // Two classes: horizontal and vertical stripes, with noise.
  Rng rng(2);
  Tensor images(Shape{64, 1, 8, 8});
  std::vector<std::int64_t> labels;
  for (std::int64_t n = 0; n < 64; ++n) {
    labels.push_back(n % 2);
    for (std::int64_t i = 0; i < 64; ++i)
      images.data()[static_cast<std::size_t>(n * 64 + i)] =
          static_cast<float>((n % 2 == 0 ? i / 8 % 2 : i % 2) + 0.2 * rng.normal());
  }

  // Calibrate our quantizer with our estimator, then train with our loss.
  Executor executor(graph);
  Node& node = graph.node("square.q");
  auto* quantize = node.as<QuantizeDequantize>();
  Observers observers;
  observers.observe(node);
  {
    const auto observing = executor.observe(observers);
    (void)executor.forward(images);
  }
  quantize->calibrate(observers.at(node), quantizer_parameters(node));
  std::printf("%s\n", to_string(quantize->encoding(quantizer_parameters(node))).c_str());

  nn::Sgd sgd(graph.parameters(), {.lr = 0.05, .momentum = 0.9});
  double first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    const nn::Loss loss = square_loss(executor.forward(images, Mode::train), labels);
    sgd.zero_grad();
    executor.backward(loss.gradient);
    sgd.step();
    (step == 0 ? first : last) = loss.value;
  }
  const double top1 = nn::top1_accuracy(executor.forward(images), labels);
  std::printf("loss %.4f -> %.4f, top-1 %.1f %%\n", first, last, 100 * top1);
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("rung-consumer-" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const bool by_name = quantizes_by_name(folder.string());
  std::filesystem::remove_all(folder);
  return last < 0.5 * first && top1 > 0.95 && by_name ? EXIT_SUCCESS : EXIT_FAILURE;
}
