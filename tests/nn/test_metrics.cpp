// What a classifier gets right and wrong: values of torch.topk and of torchmetrics' definitions,
// counted by hand.

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/rng.h"
#include "rung/nn/loss.h"
#include "rung/nn/metrics.h"
#include "rung/nn/train.h"
#include "support/message_of.h"

using namespace rung;

namespace {

const float kNan = std::nanf("");

// Labels 0, 0, 1, 2, 2, 2: right; taken for 2; a tie with 0; right; NaN; taken for 1.
const Tensor kScores({6, 3}, {5, 1, 2, 0, 1, 3, 4, 4, 0, -3, -2, -1, 0, kNan, 9, 1, 3, 2});
const std::vector<std::int64_t> kLabels = {0, 0, 1, 2, 2, 2};

}  // namespace

TEST_SUITE_BEGIN("nn metrics");

TEST_CASE("a label is among the k largest if fewer than k others are as large or larger") {
  const Tensor scores({1, 7}, {7, 6, 5, 5, 5, 1, -std::numeric_limits<float>::infinity()});
  const auto among = [&](std::int64_t label, std::int64_t k) {
    return nn::count_correct(scores, std::vector<std::int64_t>{label}, k) == 1;
  };
  CHECK(among(0, 1));
  CHECK(!among(1, 1));
  CHECK(among(1, 2));
  for (const std::int64_t tied : {2, 3, 4}) {
    CHECK(!among(tied, 3));  // torch.topk would take any of the three
    CHECK(!among(tied, 4));
    CHECK(among(tied, 5));
  }
  CHECK(!among(5, 5));
  CHECK(among(5, 6));
  CHECK(among(6, 7));
  CHECK(!nn::count_correct(Tensor({1, 2}, {1, kNan}), std::vector<std::int64_t>{0}, 2));
  CHECK(message_of([&] { among(0, 0); }).find("top_k must be positive") != std::string::npos);
}

TEST_CASE("without ties it is what sorting finds") {
  Rng rng(3);
  const std::int64_t rows = 50, classes = 11;
  Tensor scores({rows, classes});
  std::vector<std::int64_t> labels;
  for (float& x : scores.data()) x = static_cast<float>(rng.normal());
  for (std::int64_t i = 0; i < rows; ++i)
    labels.push_back(static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(classes))));
  for (std::int64_t k = 1; k <= classes; ++k) {
    std::int64_t expected = 0;
    for (std::int64_t i = 0; i < rows; ++i) {
      std::int64_t rank = 0;
      for (std::int64_t c = 0; c < classes; ++c)
        rank += scores.at(i, c) > scores.at(i, labels[static_cast<std::size_t>(i)]);
      expected += rank < k;
    }
    CHECK(nn::count_correct(scores, labels, k) == expected);
    nn::MulticlassAccuracy accuracy(classes, k);
    accuracy.update(scores, labels);
    CHECK(accuracy.micro() == static_cast<double>(expected) / rows);
  }
}

TEST_CASE("accuracy by class") {
  nn::MulticlassAccuracy accuracy(4);
  CHECK(accuracy.micro() == 0.0);
  nn::MulticlassAccuracy three(3);
  three.update(kScores.slice(0, 2), std::vector<std::int64_t>{0, 0});
  three.update(kScores.slice(2, 6), std::vector<std::int64_t>{1, 2, 2, 2});
  CHECK(three.images() == std::vector<std::int64_t>{2, 1, 3});
  CHECK(three.per_class() == std::vector<double>{0.5, 0.0, 1.0 / 3.0});
  CHECK(three.micro() == 2.0 / 6.0);
  CHECK(std::isnan(accuracy.per_class()[3]));
}

TEST_CASE("the diagonal of the confusion matrix is what is right, NaN is taken for nothing") {
  nn::MulticlassConfusionMatrix matrix(3);
  matrix.update(kScores, kLabels);
  CHECK(matrix.compute() ==
        std::vector<std::vector<std::int64_t>>{{1, 0, 1}, {1, 0, 0}, {0, 1, 1}});
  CHECK(matrix.at(2, 1) == 1);
  CHECK(matrix.at(1, 1) == 0);
  CHECK(matrix.without_prediction() == 1);
  std::int64_t diagonal = 0;
  for (std::int64_t c = 0; c < 3; ++c) diagonal += matrix.at(c, c);
  CHECK(diagonal == nn::count_correct(kScores, kLabels));
}

TEST_CASE("what does not fit is refused, with nothing counted") {
  nn::MulticlassConfusionMatrix matrix(3);
  nn::MulticlassAccuracy accuracy(3);
  CHECK(message_of([&] { matrix.update(kScores, std::vector<std::int64_t>(5)); }) != "no Error");
  CHECK(message_of([&] {
          accuracy.update(Tensor({1, 4}), std::vector<std::int64_t>(1));
        }) != "no Error");
  CHECK(message_of([&] {
          accuracy.update(Tensor({1, 3}), std::vector<std::int64_t>{3});
        }) != "no Error");
  CHECK(message_of([] { nn::MulticlassAccuracy none(0); }) != "no Error");
  CHECK(message_of([] { nn::MulticlassConfusionMatrix none(0); }) != "no Error");
  CHECK(accuracy.images() == std::vector<std::int64_t>{0, 0, 0});
}

TEST_CASE("figures of a part of a pass") {
  const nn::Metrics before = nn::Metrics::of(10.0, 4, 8, 6),
                    after = nn::Metrics::of(16.0, 7, 12, 10);
  const nn::Metrics since = after.since(before);
  CHECK(since.images == 4);
  CHECK(since.loss == 1.5);
  CHECK(since.top1 == 0.75);
  CHECK(since.top5 == 1.0);
  CHECK(!nn::Metrics::of(1.0, 1, 2).since({}).top5);
}

TEST_SUITE_END();
