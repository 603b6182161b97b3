#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/nn/loss.h"
#include "rung/testing/gradcheck.h"

using namespace rung;

namespace {

void check_close(const Tensor& actual, const std::vector<float>& expected) {
  REQUIRE(actual.data().size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(actual.data()[i] == doctest::Approx(expected[i]).epsilon(1e-6));
}

const Tensor kLogits({3, 4},
                     {1.5f, -0.5f, 0.25f, 2.0f, 0.0f, 0.0f, 0.0f, 0.0f, -3.0f, 80.0f, 1.0f, 0.5f});
const std::vector<std::int64_t> kLabels = {3, 1, 2};

}  // namespace

TEST_SUITE_BEGIN("nn loss");

TEST_CASE("cross entropy and its gradient are PyTorch's") {
  const nn::Loss loss = nn::cross_entropy(kLogits, kLabels);
  CHECK(loss.value == doctest::Approx(27.002718252142117).epsilon(1e-12));
  check_close(loss.gradient, {0.10855778306722641f, 0.014691698364913464f, 0.03110232576727867f,
                              -0.15435180068016052f, 0.0833333358168602f, -0.25f,
                              0.0833333358168602f, 0.0833333358168602f, 2.995275243286542e-37f,
                              0.3333333432674408f, -0.3333333432674408f, 9.918989792976727e-36f});
}

TEST_CASE("cross entropy with label smoothing is PyTorch's") {
  const nn::Loss smooth = nn::cross_entropy(kLogits, kLabels, {.label_smoothing = 0.1});
  CHECK(smooth.value == doctest::Approx(26.421468252142116).epsilon(1e-12));
  check_close(
      smooth.gradient,
      {0.10022445023059845f, 0.006358365062624216f, 0.02276899293065071f, -0.12935180962085724f,
       0.07500000298023224f, -0.22499999403953552f, 0.07500000298023224f, 0.07500000298023224f,
       -0.008333333767950535f, 0.32499998807907104f, -0.3083333373069763f, -0.008333333767950535f});
  const nn::Loss uniform = nn::cross_entropy(kLogits, kLabels, {.label_smoothing = 1.0});
  CHECK(uniform.value == doctest::Approx(21.190218252142117).epsilon(1e-12));
}

TEST_CASE("the gradient of cross entropy agrees with finite differences") {
  Rng rng(3);
  Tensor logits(Shape{17, 10});
  for (float& x : logits.data()) x = static_cast<float>(3.0 * rng.normal());
  std::vector<std::int64_t> labels(17);
  for (std::int64_t& label : labels) label = static_cast<std::int64_t>(rng.below(10));
  for (const double smoothing : {0.0, 0.2}) {
    const nn::CrossEntropyOptions options{.label_smoothing = smoothing};
    const Tensor gradient = nn::cross_entropy(logits, labels, options).gradient;
    for (std::size_t i = 0; i < 170; i += 7) {
      const float x = logits.data()[i];
      const float above = x + 1e-2f, below = x - 1e-2f;
      logits.data()[i] = above;
      const double high = nn::cross_entropy(logits, labels, options).value;
      logits.data()[i] = below;
      const double low = nn::cross_entropy(logits, labels, options).value;
      logits.data()[i] = x;
      const double slope = (high - low) / (static_cast<double>(above) - below);
      CHECK(gradient.data()[i] == doctest::Approx(slope).epsilon(1e-4));
    }
  }
}

TEST_CASE("logits of any finite size give finite losses, and infinite ones are not hidden") {
  const std::vector<std::int64_t> labels = {1};
  CHECK(nn::cross_entropy(Tensor({1, 2}, {3e38f, -3e38f}), labels).value ==
        doctest::Approx(6e38).epsilon(1e-6));
  CHECK(nn::cross_entropy(Tensor({1, 2}, {-3e38f, 3e38f}), labels).value == 0.0);
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(nn::cross_entropy(Tensor({1, 2}, {-infinity, 0.0f}), labels).value == 0.0);
  CHECK_FALSE(std::isfinite(nn::cross_entropy(Tensor({1, 2}, {infinity, 0.0f}), labels).value));
  CHECK(std::isnan(nn::cross_entropy(Tensor({1, 2}, {std::nanf(""), 0.0f}), labels).value));
  CHECK(std::isnan(nn::cross_entropy(Tensor({1, 2}, {0.0f, std::nanf("")}), labels).value));
}

TEST_CASE("cross entropy refuses labels and shapes that do not fit") {
  const Tensor logits(Shape{2, 3});
  const std::vector<std::int64_t> too_high = {0, 3}, negative = {-1, 0}, short_one = {0};
  CHECK_THROWS_WITH_AS(
      nn::cross_entropy(logits, too_high),
      "cross_entropy: label 3 of row 1 is outside of [0, 3), the classes of the logits", Error);
  CHECK_THROWS_AS(nn::cross_entropy(logits, negative), Error);
  CHECK_THROWS_AS(nn::cross_entropy(logits, short_one), Error);
  CHECK_THROWS_AS(nn::cross_entropy(Tensor(Shape{6}), too_high), Error);
  CHECK_THROWS_AS(nn::cross_entropy(Tensor(Shape{0, 3}), {}), Error);
  CHECK_THROWS_AS(nn::cross_entropy(logits, std::vector<std::int64_t>{0, 0}, {1.5}), Error);
}

TEST_CASE("cross entropy can be passed on as a loss function, and so can a lambda") {
  const nn::LossFunction plain = nn::cross_entropy;
  const nn::LossFunction own = [](const Tensor& logits, std::span<const std::int64_t> labels) {
    return nn::cross_entropy(logits, labels, {.label_smoothing = 0.1});
  };
  CHECK(plain(kLogits, kLabels).value == doctest::Approx(27.002718252142117));
  CHECK(own(kLogits, kLabels).value == doctest::Approx(26.421468252142116));
}

TEST_CASE("mean squared error and its gradient are PyTorch's") {
  const Tensor prediction({2, 2}, {1.0f, 2.0f, -3.0f, 0.5f});
  const Tensor target({2, 2}, {0.0f, 2.5f, 1.0f, 0.25f});
  const nn::Loss loss = nn::mse_loss(prediction, target);
  CHECK(loss.value == 4.328125);
  check_close(loss.gradient, {0.5f, -0.25f, -2.0f, 0.125f});
  CHECK_THROWS_AS(nn::mse_loss(prediction, Tensor(Shape{4})), Error);
  CHECK_THROWS_AS(nn::mse_loss(Tensor(Shape{0}), Tensor(Shape{0})), Error);
}

TEST_CASE("mean squared error of a large tensor sums over all of its chunks") {
  Tensor ones = Tensor::full(Shape{100003}, 1.0f);
  ones.data().back() = 3.0f;
  const nn::Loss loss = nn::mse_loss(ones, Tensor(Shape{100003}));
  CHECK(loss.value == doctest::Approx(100011.0 / 100003.0).epsilon(1e-14));
  CHECK(loss.gradient.data().back() == doctest::Approx(6.0 / 100003.0));
}

TEST_CASE("a row is right if the label's logit is larger than all others: ties and NaN are wrong") {
  const float nan = std::nanf("");
  const Tensor logits({5, 3}, {1, 2, 0, 2, 2, 0, 2, 2, 0, nan, 1, 0, 5, nan, 0});
  const std::vector<std::int64_t> labels = {1, 0, 1, 0, 0};
  CHECK(nn::count_correct(logits, labels) == 1);
  CHECK(nn::top1_accuracy(logits, labels) == doctest::Approx(0.2));
}

namespace {

// Values of torch.nn.functional 2.15 in float64.
const Tensor kX({2, 4}, {1.5f, -0.5f, 0.25f, 20.0f, 0.0f, -90.0f, 2.5f, -1.0f});
const Tensor kT({2, 4}, {1.0f, 0.0f, 0.25f, 0.875f, 0.5f, 0.0f, 2.0f, -1.0f});
const Tensor kShares({2, 4}, {1.0f, 0.0f, 0.25f, 0.875f, 0.5f, 0.0f, 1.0f, 0.0f});
const Tensor kLog({2, 4}, {-0.5f, -1.5f, -2.25f, -3.0f, -4.0f, -0.125f, -2.5f, -9.0f});
const Tensor kProbabilities({2, 4}, {0.5f, 0.25f, 0.25f, 0.0f, 0.125f, 0.5f, 0.25f, 0.125f});
const Tensor kLogTarget({2, 4}, {-0.75f, -1.0f, -2.0f, -3.0f, -4.0f, -0.25f, -2.5f, -8.0f});

void check_loss(const nn::Loss& loss, double value, const std::vector<float>& gradient) {
  CHECK(loss.value == doctest::Approx(value).epsilon(1e-12));
  check_close(loss.gradient, gradient);
}

}  // namespace

TEST_CASE("element-wise losses and their gradients are PyTorch's") {
  check_loss(nn::l1_loss(kX, kT), 13.890625,
             {0.125f, -0.125f, 0.0f, 0.125f, -0.125f, -0.125f, 0.125f, 0.0f});
  check_loss(nn::smooth_l1_loss(kX, kT), 13.578125,
             {0.0625f, -0.0625f, 0.0f, 0.125f, -0.0625f, -0.125f, 0.0625f, 0.0f});
  check_loss(
      nn::smooth_l1_loss(kX, kT, {.beta = 0.75}), 13.630208333333334,
      {0.0833333333f, -0.0833333333f, 0.0f, 0.125f, -0.0833333333f, -0.125f, 0.0833333333f, 0.0f});
  check_loss(nn::smooth_l1_loss(kX, kT, {.beta = 0}), 13.890625,
             {0.125f, -0.125f, 0.0f, 0.125f, -0.125f, -0.125f, 0.125f, 0.0f});
  check_loss(nn::binary_cross_entropy_with_logits(kX, kShares), 0.6280285358091968,
             {-0.0228031905f, 0.0471925836f, 0.0390220626f, 0.0156249997f, 0.0f, 1.02425158e-40f,
              -0.0094822725f, 0.0336176777f});
  check_loss(nn::kl_div(kLog, kProbabilities), 0.15590895789752224,
             {-0.0625f, -0.03125f, -0.03125f, -0.0f, -0.015625f, -0.0625f, -0.03125f, -0.015625f});
  check_loss(nn::kl_div(kLog, kProbabilities, {.reduction = nn::KlReduction::batch_mean}),
             0.623635831590089,
             {-0.25f, -0.125f, -0.125f, -0.0f, -0.0625f, -0.25f, -0.125f, -0.0625f});
  check_loss(nn::kl_div(kLog, kLogTarget, {.log_target = true}), 0.00033340849419969656,
             {-0.0590458191f, -0.0459849301f, -0.0169169104f, -0.00622338355f, -0.00228945486f,
              -0.0973500979f, -0.0102606248f, -4.19328285e-05f});
}

TEST_CASE("element-wise losses have the gradients that they claim") {
  const Tensor x({6}, {0.3f, -0.4f, 1.7f, -2.2f, 0.05f, 3.0f});
  const Tensor t({6}, {0.1f, 0.2f, 0.9f, 0.6f, 0.5f, 0.75f});
  const testing::GradcheckOptions options{.step = 1e-3, .tolerance = 1e-5};
  const auto check = [&](const auto& loss) {
    const auto result = testing::gradcheck([&](const Tensor& p) { return loss(p, t); }, x, options);
    CHECK(result.compared == 6);
    CHECK_MESSAGE(result.ok(), result.to_string());
  };
  check(nn::mse_loss);
  check(nn::l1_loss);
  check([](const Tensor& p, const Tensor& q) { return nn::smooth_l1_loss(p, q, {.beta = 0.7}); });
  check(nn::binary_cross_entropy_with_logits);
  check([](const Tensor& p, const Tensor& q) {
    return nn::kl_div(p, q, {.reduction = nn::KlReduction::batch_mean});
  });
}

TEST_CASE("element-wise losses refuse what does not fit") {
  CHECK_THROWS_WITH_AS(nn::l1_loss(kX, Tensor(Shape{4, 2})),
                       "l1_loss: prediction and target must have one shape with elements, got "
                       "[2, 4] and [4, 2]",
                       Error);
  CHECK_THROWS_AS(nn::kl_div(Tensor(Shape{0}), Tensor(Shape{0})), Error);
  CHECK_THROWS_AS(nn::smooth_l1_loss(kX, kT, {.beta = -1}), Error);
}

TEST_SUITE_END();
