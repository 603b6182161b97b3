#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/core/rng.h"
#include "rung/nn/optim.h"

using namespace rung;

namespace {

using Values = std::vector<float>;

// Three steps from kStart with these gradients; the expected values come from torch.optim 1.13.
const Values kStart = {0.5f, -1.25f, 2.0f, 0.001f, -3.0f};
const std::vector<Values> kGradients = {{0.1f, -0.2f, 0.3f, 0.0f, 1.5f},
                                        {-0.05f, 0.4f, 0.25f, 1e-4f, -0.5f},
                                        {0.2f, 0.1f, -0.3f, 2.0f, 0.7f}};

Parameter make_parameter(const std::string& name, const Values& values = kStart) {
  return Parameter(name, Tensor(Shape{static_cast<std::int64_t>(values.size())}, values),
                   Role::weight);
}

void check_close(const ConstTensor& actual, const Values& expected) {
  REQUIRE(actual.data().size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    CHECK(actual.data()[i] == doctest::Approx(expected[i]).epsilon(2e-6));
}

void step(nn::Optimizer& optimizer, Parameter& parameter, const Values& gradient) {
  optimizer.zero_grad();
  parameter.add_grad(gradient);
  optimizer.step();
}

void check_steps(nn::Optimizer& optimizer, Parameter& parameter,
                 const std::vector<Values>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    step(optimizer, parameter, kGradients[i]);
    check_close(parameter.value(), expected[i]);
    check_close(parameter.grad(), kGradients[i]);  // read, never changed
  }
}

const Tensor& find(const nn::OptimizerState& state, const std::string& name) {
  for (const auto& [key, tensor] : state.tensors)
    if (key == name) return tensor;
  FAIL("the state has no " << name);
  return state.tensors.front().second;
}

}  // namespace

TEST_SUITE_BEGIN("nn optim");

TEST_CASE("Sgd moves as torch.optim.SGD") {
  Parameter p = make_parameter("p");
  SUBCASE("plain") {
    nn::Sgd sgd({&p}, {.lr = 0.1});
    check_steps(sgd, p,
                {{0.49000000953674316f, -1.2300000190734863f, 1.9700000286102295f,
                  0.0010000000474974513f, -3.1500000953674316f},
                 {0.4950000047683716f, -1.2699999809265137f, 1.9450000524520874f,
                  0.0009900000877678394f, -3.1000001430511475f},
                 {0.4749999940395355f, -1.2799999713897705f, 1.975000023841858f,
                  -0.1990099996328354f, -3.1700000762939453f}});
    CHECK(sgd.state().tensors.empty());
  }
  SUBCASE("with weight decay") {
    nn::Sgd sgd({&p}, {.lr = 0.1, .weight_decay = 0.05});
    check_steps(sgd, p,
                {{0.48750001192092896f, -1.2237499952316284f, 1.9600000381469727f,
                  0.0009950000094249845f, -3.134999990463257f},
                 {0.49006250500679016f, -1.2576313018798828f, 1.9251999855041504f,
                  0.0009800250409170985f, -3.0693249702453613f},
                 {0.4676121771335602f, -1.2613431215286255f, 1.9455740451812744f,
                  -0.19902488589286804f, -3.12397837638855f}});
  }
  SUBCASE("with momentum, whose buffer starts as the first gradient") {
    nn::Sgd sgd({&p}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05});
    check_steps(sgd, p,
                {{0.48750001192092896f, -1.2237499952316284f, 1.9600000381469727f,
                  0.0009950000094249845f, -3.134999990463257f},
                 {0.4788125157356262f, -1.2340062856674194f, 1.8892000913619995f,
                  0.0009755250066518784f, -3.1908249855041504f},
                 {0.4485996961593628f, -1.247066855430603f, 1.846034049987793f,
                  -0.19904689490795135f, -3.2951133251190186f}});
    check_close(find(sgd.state(), "p.momentum_buffer"),
                {0.3021281361579895f, 0.13060592114925385f, 0.4316599369049072f,
                 2.0002241134643555f, 1.0428837537765503f});
  }
  SUBCASE("with Nesterov's momentum") {
    nn::Sgd sgd({&p}, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true});
    check_steps(sgd, p,
                {{0.4762499928474426f, -1.200124979019165f, 1.9240000247955322f,
                  0.0009905000915750861f, -3.256500005722046f},
                 {0.4711006283760071f, -1.24346125125885f, 1.8258219957351685f,
                  0.0009580403566360474f, -3.23991322517395f},
                 {0.42163386940956116f, -1.2590515613555908f, 1.808274507522583f,
                  -0.3790667951107025f, -3.3868601322174072f}});
  }
}

TEST_CASE("Adam moves as torch.optim.Adam") {
  Parameter p = make_parameter("p");
  SUBCASE("with the defaults") {
    nn::Adam adam({&p}, {.lr = 0.01});
    check_steps(adam, p,
                {{0.49000000953674316f, -1.2400000095367432f, 1.9900000095367432f,
                  0.0010000000474974513f, -3.009999990463257f},
                 {0.4873366355895996f, -1.2436610460281372f, 1.980088233947754f,
                  -0.006440316326916218f, -3.0140020847320557f},
                 {0.4807555079460144f, -1.2478175163269043f, 1.9779077768325806f,
                  -0.012828739359974861f, -3.019418716430664f}});
    check_close(find(adam.state(), "p.exp_avg"),
                {0.023600000888109207f, 0.02979999966919422f, 0.01679999753832817f,
                 0.20000900328159332f, 0.14650000631809235f});
    check_close(find(adam.state(), "p.exp_avg_sq"),
                {5.2477513236226514e-05f, 0.00020976005180273205f, 0.00024225760716944933f,
                 0.004000000189989805f, 0.0029852520674467087f});
  }
  SUBCASE("with other options and weight decay") {
    nn::Adam adam({&p},
                  {.lr = 0.02, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.1});
    check_steps(adam, p,
                {{0.48013246059417725f, -1.2300612926483154f, 1.9800399541854858f,
                  -0.0008181820157915354f, -3.0199832916259766f},
                 {0.46772781014442444f, -1.230685830116272f, 1.9602056741714478f,
                  -0.0018367688171565533f, -3.021710157394409f},
                 {0.4512507915496826f, -1.23036789894104f, 1.9480690956115723f,
                  -0.015669355168938637f, -3.026749849319458f}});
  }
}

TEST_CASE("AdamW moves as torch.optim.AdamW, and its state goes on where it stopped") {
  // torch 2.15
  const std::vector<Values> defaults = {
      {0.3995000123977661f, -1.1487499475479126f, 1.8980000019073486f, 0.000999000039882958f,
       -3.0969998836517334f},
      {0.3724668025970459f, -1.1842116117477417f, 1.7969847917556763f, -0.07340516895055771f,
       -3.133924722671509f},
      {0.306283175945282f, -1.2245924472808838f, 1.773383378982544f, -0.1372160017490387f,
       -3.1849563121795654f}};
  Parameter p = make_parameter("p");
  SUBCASE("with the defaults") {
    nn::AdamW adamw({&p}, {.lr = 0.1});
    check_steps(adamw, p, defaults);
    check_close(find(adamw.state(), "p.exp_avg"),
                {0.023600000888109207f, 0.02980000153183937f, 0.01680000126361847f,
                 0.20000900328159332f, 0.14650000631809235f});
  }
  SUBCASE("with other options") {
    nn::AdamW adamw({&p},
                    {.lr = 0.05, .beta1 = 0.8, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.2});
    check_steps(adamw, p,
                {{0.4450004994869232f, -1.187500238418579f, 1.9300001859664917f,
                  0.0009900000877678394f, -3.0199999809265137f},
                 {0.42992767691612244f, -1.1965466737747192f, 1.8612943887710571f,
                  -0.037275251001119614f, -3.0073728561401367f},
                 {0.3914338946342468f, -1.2072867155075073f, 1.8360508680343628f,
                  -0.07151316851377487f, -3.003556966781616f}});
  }
  SUBCASE("resumed") {
    nn::AdamW first({&p}, {.lr = 0.1});
    step(first, p, kGradients[0]);
    nn::AdamW second({&p}, {.lr = 0.7});
    second.load_state(first.state());
    for (std::size_t i = 1; i < 3; ++i) step(second, p, kGradients[i]);
    check_close(p.value(), defaults[2]);
    nn::Adam adam({&p}, {.lr = 0.1});
    CHECK_THROWS_AS(adam.load_state(first.state()), Error);
  }
  SUBCASE("refused") {
    CHECK_THROWS_WITH_AS(nn::AdamW({&p}, {.beta1 = 1.0}), "adamw: beta1 must be in [0, 1), got 1",
                         Error);
  }
}

TEST_CASE("parameters without a gradient, frozen ones and buffers stay as they are") {
  Parameter idle = make_parameter("idle"), frozen = make_parameter("frozen");
  Parameter buffer("running_mean", Tensor(Shape{5}, kStart), Role::buffer);
  Parameter moving = make_parameter("moving");
  nn::Sgd sgd({&idle, &frozen, &buffer, &moving}, {.lr = 0.1, .momentum = 0.9});
  frozen.add_grad(kGradients[0]);
  moving.add_grad(kGradients[0]);
  frozen.set_requires_grad(false);
  sgd.step();
  CHECK(idle.version() == 1);
  CHECK(frozen.version() == 1);
  CHECK(buffer.version() == 1);
  CHECK(moving.version() == 2);  // written through edit(), once
  CHECK(sgd.state().tensors.size() == 1);
  for (const auto& [name, value] : sgd.state().scalars) CHECK(name != "running_mean.step");
}

TEST_CASE("a parameter that starts to train late starts its momentum then") {
  Parameter late = make_parameter("late"), reference = make_parameter("reference");
  Parameter other = make_parameter("other");
  nn::Sgd sgd({&late, &other}, {.lr = 0.1, .momentum = 0.9});
  step(sgd, other, kGradients[0]);
  step(sgd, late, kGradients[1]);
  nn::Sgd fresh({&reference}, {.lr = 0.1, .momentum = 0.9});
  step(fresh, reference, kGradients[1]);
  check_close(late.value(),
              Values(reference.value().data().begin(), reference.value().data().end()));
}

TEST_CASE("groups have their own options and learning rates") {
  Parameter a = make_parameter("a"), b = make_parameter("b");
  const std::vector<Parameter*> first = {&a}, second = {&b};
  nn::Sgd sgd({{first, {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.05, .nesterov = true}},
               {second, {.lr = 0.1}}});
  REQUIRE(sgd.group_count() == 2);
  a.add_grad(kGradients[0]);
  b.add_grad(kGradients[0]);
  sgd.step();
  CHECK(a.value().data()[0] == doctest::Approx(0.4762499928474426f));
  CHECK(b.value().data()[0] == doctest::Approx(0.49000000953674316f));
  sgd.set_lr(1, 0.0);
  const float before = b.value().data()[0];
  sgd.step();
  CHECK(b.value().data()[0] == before);
  CHECK(sgd.lr(0) == 0.1);
  CHECK(sgd.lr(1) == 0.0);
  CHECK(sgd.initial_lr(1) == 0.1);
  CHECK_THROWS_AS(sgd.lr(2), Error);
  CHECK_THROWS_AS(sgd.set_lr(0, -1.0), Error);
  CHECK_THROWS_AS(sgd.set_lr(0, std::nan("")), Error);
}

TEST_CASE("options that make no sense are refused") {
  Parameter p = make_parameter("p");
  CHECK_THROWS_AS(nn::Sgd({&p}, {.nesterov = true}), Error);
  CHECK_THROWS_AS(nn::Sgd({&p}, {.momentum = -0.1}), Error);
  CHECK_THROWS_AS(nn::Sgd({&p}, {.lr = -0.1}), Error);
  CHECK_THROWS_AS(nn::Sgd({&p, &p}, {}), Error);
  CHECK_THROWS_AS(nn::Sgd({&p, nullptr}, {}), Error);
  CHECK_THROWS_AS(nn::Adam({&p}, {.beta1 = 1.0}), Error);
  CHECK_THROWS_AS(nn::Adam({&p}, {.eps = -1.0}), Error);
}

TEST_CASE("training continues bit for bit from a saved state") {
  const auto make = [](Parameter& p, bool adam) -> std::unique_ptr<nn::Optimizer> {
    const std::vector<Parameter*> all = {&p};
    if (adam) return std::make_unique<nn::Adam>(all, nn::AdamOptions{.lr = 0.02});
    return std::make_unique<nn::Sgd>(all, nn::SgdOptions{.lr = 0.1, .momentum = 0.9});
  };
  const auto two_steps = [](nn::Optimizer& optimizer, Parameter& p) {
    step(optimizer, p, kGradients[0]);
    optimizer.set_lr(0, 0.05);
    step(optimizer, p, kGradients[1]);
  };
  for (const bool adam : {false, true}) {
    Parameter whole = make_parameter("p"), stopped = make_parameter("p");
    const auto reference = make(whole, adam);
    two_steps(*reference, whole);
    step(*reference, whole, kGradients[2]);

    const auto first = make(stopped, adam);
    two_steps(*first, stopped);
    const nn::OptimizerState saved = first->state();
    Parameter resumed("p", stopped.value().clone(), Role::weight);
    step(*first, stopped, kGradients[0]);  // must not change what was saved

    const auto second = make(resumed, adam);
    second->load_state(saved);
    CHECK(second->lr() == 0.05);
    step(*second, resumed, kGradients[2]);
    for (std::size_t i = 0; i < kStart.size(); ++i)
      CHECK(resumed.value().data()[i] == whole.value().data()[i]);
  }
}

TEST_CASE("a state that does not fit is refused and changes nothing") {
  Parameter p = make_parameter("p");
  nn::Sgd sgd({&p}, {.lr = 0.1, .momentum = 0.9});
  step(sgd, p, kGradients[0]);
  const nn::OptimizerState good = sgd.state();

  nn::OptimizerState bad = good;
  bad.kind = "adam";
  CHECK_THROWS_WITH_AS(sgd.load_state(bad), "sgd: the state is that of an optimizer 'adam'", Error);
  bad = good;
  bad.scalars.pop_back();
  CHECK_THROWS_AS(sgd.load_state(bad), Error);
  bad = good;
  bad.scalars.emplace_back("q.step", 1.0);
  CHECK_THROWS_AS(sgd.load_state(bad), Error);
  bad = good;
  bad.tensors[0].second = Tensor(Shape{4});
  CHECK_THROWS_AS(sgd.load_state(bad), Error);
  bad = good;
  bad.tensors.emplace_back("q.momentum_buffer", Tensor(Shape{5}));
  CHECK_THROWS_AS(sgd.load_state(bad), Error);
  bad = good;
  bad.scalars[0].second = 0.5;
  bad.scalars.back().second = 1.5;  // half a step
  CHECK_THROWS_AS(sgd.load_state(bad), Error);
  CHECK(sgd.lr() == 0.1);
  check_close(find(sgd.state(), "p.momentum_buffer"), kGradients[0]);
  sgd.load_state(good);
}

TEST_CASE("the result of a step does not depend on the number of threads") {
  const int threads = thread_count();
  Rng rng(1);
  Values start(200003), gradient(200003);
  for (float& x : start) x = static_cast<float>(rng.normal());
  for (float& x : gradient) x = static_cast<float>(rng.normal());
  std::vector<Values> results;
  for (const int count : {1, 3}) {
    set_thread_count(count);
    Parameter p = make_parameter("p", start);
    nn::Sgd sgd({&p}, {.lr = 0.1, .momentum = 0.9, .nesterov = true});
    nn::Adam adam({&p}, {.lr = 0.01});
    step(sgd, p, gradient);
    step(adam, p, gradient);
    results.emplace_back(p.value().data().begin(), p.value().data().end());
  }
  set_thread_count(threads);
  CHECK(results[0] == results[1]);
}

TEST_CASE("an optimizer of one's own needs only update()") {
  class SignDescent final : public nn::Optimizer {
   public:
    explicit SignDescent(const std::vector<Parameter*>& parameters, double lr)
        : Optimizer("sign", {"last_gradient"}) {
      add_group(parameters, lr);
    }

   private:
    void update(std::size_t group, Slot& slot) override {
      if (slot.buffers.empty()) allocate_buffers(slot);
      slot.buffers[0].copy_from(slot.parameter->grad());
      for (float& x : slot.parameter->edit().data()) {
        const auto i = static_cast<std::size_t>(&x - slot.parameter->value().data().data());
        x -= static_cast<float>(lr(group)) * (slot.buffers[0].data()[i] > 0 ? 1.0f : -1.0f);
      }
    }
  };
  Parameter p = make_parameter("p");
  SignDescent sign({&p}, 0.25);
  step(sign, p, kGradients[0]);
  CHECK(p.value().data()[0] == 0.25f);
  CHECK(p.value().data()[1] == -1.0f);
  check_close(find(sign.state(), "p.last_gradient"), kGradients[0]);
}

TEST_SUITE_END();
