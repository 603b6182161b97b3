#include <doctest/doctest.h>

#include <vector>

#include "rung/core/error.h"
#include "rung/nn/lr_scheduler.h"

using namespace rung;

namespace {

// Expected values come from torch.optim.lr_scheduler 1.13, with an initial rate of 0.1.
void check_rates(const nn::LrSchedule& schedule, const std::vector<double>& expected) {
  for (std::size_t t = 0; t < expected.size(); ++t)
    CHECK(schedule(0.1, static_cast<double>(t)) == doctest::Approx(expected[t]).epsilon(1e-12));
}

const std::vector<double> kCosine = {
    0.1,    0.0962320368593087,  0.0855017856687341, 0.06944282990207196,
    0.0505, 0.03155717009792806, 0.0154982143312659, 0.004767963140691306,
    0.001};
const std::vector<double> kWarmCosine = {0.025,
                                         0.043750000000000004,
                                         0.06250000000000001,
                                         0.08125000000000002,
                                         0.1,
                                         0.09336825748732973,
                                         0.07525000000000001,
                                         0.0505,
                                         0.025750000000000012,
                                         0.007631742512670284,
                                         0.001};

}  // namespace

TEST_SUITE_BEGIN("nn schedule");

TEST_CASE("StepLR, MultiStepLR and CosineAnnealingLR are PyTorch's") {
  check_rates(nn::StepLR{.step_size = 3, .gamma = 0.5},
              {0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025, 0.025, 0.025, 0.0125});
  check_rates(nn::MultiStepLR{.milestones = {5, 2}},
              {0.1, 0.1, 0.01, 0.01, 0.01, 0.001, 0.001, 0.001});
  check_rates(nn::CosineAnnealingLR{.t_max = 8, .eta_min = 0.001}, kCosine);
  check_rates(nn::ConstantLR{}, {0.1, 0.1, 0.1});
}

TEST_CASE("a cosine stays at eta_min after its end") {
  const nn::CosineAnnealingLR cosine{.t_max = 8, .eta_min = 0.001};
  CHECK(cosine(0.1, 9) == doctest::Approx(0.001));
  CHECK(cosine(0.1, 100) == doctest::Approx(0.001));
}

TEST_CASE("LinearWarmup before a cosine is PyTorch's SequentialLR of LinearLR and the cosine") {
  check_rates(nn::LinearWarmup{.length = 4,
                               .start_factor = 0.25,
                               .then = nn::CosineAnnealingLR{.t_max = 6, .eta_min = 0.001}},
              kWarmCosine);
}

TEST_CASE("schedules are made by name") {
  check_rates(nn::make_schedule("cosine", {.length = 8, .eta_min = 0.001}), kCosine);
  check_rates(
      nn::make_schedule("cosine",
                        {.length = 10, .eta_min = 0.001, .warmup = 4, .warmup_start_factor = 0.25}),
      kWarmCosine);
  check_rates(nn::make_schedule("step", {.step_size = 2}), {0.1, 0.1, 0.01, 0.01, 0.001});
  check_rates(nn::make_schedule("multistep", {.milestones = {1, 3}}), {0.1, 0.01, 0.01, 0.001});
  check_rates(nn::make_schedule("multistep", {.length = 4}), {0.1, 0.1, 0.01, 0.001});
  check_rates(nn::make_schedule("constant", {.length = 4, .warmup = 2, .warmup_start_factor = 0}),
              {0.0, 0.05, 0.1, 0.1});
  for (const std::string& name : nn::schedule_names())
    CHECK(nn::make_schedule(name, {}) != nullptr);
}

TEST_CASE("milestones count from the start of the run, warm-up included") {
  check_rates(
      nn::make_schedule("multistep",
                        {.length = 6, .milestones = {3}, .warmup = 2, .warmup_start_factor = 0.5}),
      {0.05, 0.075, 0.1, 0.01, 0.01});
}

TEST_CASE("an unknown schedule and options that make no sense are refused") {
  CHECK_THROWS_WITH_AS(nn::make_schedule("cosinus", {}),
                       "unknown schedule 'cosinus'; there are: constant, cosine, multistep, step",
                       Error);
  CHECK_THROWS_AS(nn::make_schedule("cosine", {.length = 0}), Error);
  CHECK_THROWS_AS(nn::make_schedule("step", {.step_size = 0}), Error);
  CHECK_THROWS_AS(nn::make_schedule("cosine", {.length = 5, .warmup = 5}), Error);
  CHECK_THROWS_AS(nn::make_schedule("multistep", {.milestones = {-1}}), Error);
}

TEST_CASE("apply_schedule scales each group from its own initial rate") {
  Parameter a("a", Tensor(Shape{1}), Role::weight), b("b", Tensor(Shape{1}), Role::weight);
  const std::vector<Parameter*> first = {&a}, second = {&b};
  nn::Sgd sgd({{first, {.lr = 0.1}}, {second, {.lr = 0.02}}});
  const nn::LrSchedule schedule = nn::StepLR{.step_size = 1, .gamma = 0.5};
  for (const double t : {0.0, 1.0, 3.0, 2.0}) nn::apply_schedule(schedule, t, sgd);
  CHECK(sgd.lr(0) == doctest::Approx(0.025));
  CHECK(sgd.lr(1) == doctest::Approx(0.005));
}

TEST_SUITE_END();
