// Teams smaller than asked for: in a caller's parallel region, where OpenMP grants fewer threads,
// after a fork. The numbers are those of as many threads as there really are.

#include <doctest/doctest.h>
#include <omp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/team.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/models.h"
#include "support/train_step.h"

using namespace rung;

namespace {

/// Puts OpenMP's settings of this thread back.
struct Settings {
  Settings() = default;
  Settings(const Settings&) = delete;
  ~Settings() {
    omp_set_dynamic(dynamic);
    omp_set_max_active_levels(levels);
    omp_set_num_threads(threads);
  }
  const int dynamic = omp_get_dynamic(), levels = omp_get_max_active_levels();
  const int threads = omp_get_max_threads();
};

Graph network() {
  return models::resnet8({.in_channels = 3, .num_classes = 10, .image_size = 16}, Rng(1));
}

/// A step in training and a pass in evaluation; direct convolutions are oneDNN's alone.
std::vector<Tensor> numbers(ConvAlgorithm algorithm) {
  Graph graph = network();
  const StepResult step = train_step(graph, {.conv_algorithm = algorithm}, 8);
  std::vector<Tensor> all = {step.logits};
  for (const auto& [name, gradient] : step.gradients) all.push_back(gradient);
  Executor executor(graph, {.conv_algorithm = algorithm});
  all.push_back(executor.forward(noise({8, 3, 16, 16}, 9)));
  return all;
}

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) {
    return x.shape() == y.shape() && std::ranges::equal(x.data(), y.data());
  });
}

std::vector<Tensor> numbers_of_threads(int threads, ConvAlgorithm algorithm) {
  const Settings settings;
  set_thread_count(threads);
  return numbers(algorithm);
}

/// A parallel region of a caller, which gets what it asks for.
template <typename Body>
void in_region(int threads, const Body& body) {
  const Team team(threads);
  parallel_for(threads, 1, [&](std::int64_t thread, std::int64_t) { body(thread); });
}

constexpr ConvAlgorithm kAlgorithms[] = {ConvAlgorithm::direct, ConvAlgorithm::winograd};

/// Runs `work` in a process of its own and returns its answer; none if it did not end.
std::optional<bool> in_child(bool (*work)()) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(60);
    _exit(work() ? 0 : 1);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  if (!WIFEXITED(status)) return std::nullopt;
  return WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_SUITE("exec: threads") {
  TEST_CASE("forward and backward inside a caller's parallel region run with one thread") {
    for (const ConvAlgorithm algorithm : kAlgorithms) {
      const std::vector<Tensor> expected = numbers_of_threads(1, algorithm);
      const Settings settings;
      for (const int levels : {1, 2}) {  // with 2 OpenMP would nest; oneDNN does not
        omp_set_max_active_levels(levels);
        set_thread_count(3);
        std::array<std::vector<Tensor>, 3> got;
        std::array<int, 3> counts{}, after{};
        in_region(3, [&](std::int64_t i) {
          const auto at = static_cast<std::size_t>(i);
          counts[at] = thread_count();
          got[at] = numbers(algorithm);
          after[at] = omp_get_max_threads();
        });
        if (thread_count() < 3) return;  // run where there are no three
        CHECK(counts == std::array{1, 1, 1});
        CHECK(after == std::array{3, 3, 3});  // the caller's settings are as they were
        for (const std::vector<Tensor>& each : got) CHECK(same(each, expected));
      }
    }
  }

  TEST_CASE("an executor goes from outside a parallel region into it and back") {
    const Settings settings;
    set_thread_count(2);
    Graph graph = network();
    Executor executor(graph, {.conv_algorithm = ConvAlgorithm::direct});
    const Tensor x = noise({8, 3, 16, 16}, 9);
    const Tensor outside = executor.forward(x);
    Tensor inside;
    in_region(2, [&](std::int64_t i) {
      if (i == 1) inside = executor.forward(x);
    });
    CHECK(difference(inside, outside) < 1e-5);
    CHECK(std::ranges::equal(executor.forward(x).data(), outside.data()));
  }

  TEST_CASE("a backward with fewer threads than its forward had is refused") {
    const Settings settings;
    set_thread_count(2);
    if (thread_count() < 2) return;
    Graph graph = network();
    Executor executor(graph);
    const Tensor logits = executor.forward(noise({8, 3, 16, 16}, 9), Mode::train);
    std::string said;
    in_region(2, [&](std::int64_t i) {
      if (i == 0) return;
      try {
        executor.backward(logits);
      } catch (const Error& error) {
        said = error.what();
      }
    });
    CHECK(said ==
          "Executor::backward: the forward before it ran with 2 threads, here there is 1: run both "
          "at the same place");
    executor.backward(logits);
    executor.forward(noise({8, 3, 16, 16}, 9), Mode::train);
    set_thread_count(4);  // more are no trouble
    executor.backward(logits);
    CHECK(omp_get_max_threads() == 4);
  }

  TEST_CASE("a runtime that may start fewer threads does not while a network runs") {
    const int many = omp_get_num_procs() + 2;  // more than OMP_DYNAMIC ever starts
    for (const ConvAlgorithm algorithm : kAlgorithms) {
      const std::vector<Tensor> expected = numbers_of_threads(many, algorithm);
      const Settings settings;
      omp_set_dynamic(1);
      set_thread_count(many);
      CHECK(same(numbers(algorithm), expected));
      CHECK(omp_get_dynamic() == 1);
    }
  }

  TEST_CASE("where no parallel region is allowed there is one thread") {
    for (const ConvAlgorithm algorithm : kAlgorithms) {
      const std::vector<Tensor> expected = numbers_of_threads(1, algorithm);
      const Settings settings;
      set_thread_count(4);
      omp_set_max_active_levels(0);
      CHECK(thread_count() == 1);
      CHECK(same(numbers(algorithm), expected));
    }
  }

  TEST_CASE("after a fork the thread that computed goes on alone, a new one has a team") {
    const Settings settings;
    set_thread_count(3);
    static std::vector<Tensor> alone;
    alone = numbers_of_threads(1, ConvAlgorithm::direct);
    static std::vector<Tensor> together;
    together = numbers(ConvAlgorithm::direct);  // starts the threads
    CHECK(in_child([] {
            return thread_count() == 1 && same(numbers(ConvAlgorithm::direct), alone);
          }) == true);
    static int had;
    had = thread_count();
    CHECK(in_child([] {
            bool right = false;
            std::thread([&right] {
              set_thread_count(3);
              right = thread_count() == had && same(numbers(ConvAlgorithm::direct), together);
            }).join();
            return right;
          }) == true);
  }
}
