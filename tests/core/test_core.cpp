#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "rung/core/closest.h"
#include "rung/core/error.h"
#include "rung/core/parallel.h"
#include "rung/core/rng.h"
#include "rung/core/tensor.h"

using namespace rung;

TEST_SUITE("core") {
  TEST_CASE("a shape counts its elements and refuses nonsense") {
    CHECK(Shape{}.numel() == 1);
    CHECK(Shape{2, 0, 3}.numel() == 0);
    CHECK(Shape{2, 3, 4}[-1] == 4);
    CHECK(Shape{2, 3}.to_string() == "[2, 3]");
    CHECK(Shape{2, 3}.with(-1, 7) == Shape{2, 7});
    CHECK_THROWS_AS((Shape{2, -1}), Error);
    CHECK_THROWS_AS((Shape{1ll << 40, 1ll << 40}), Error);
    CHECK_THROWS_AS((void)(Shape{2, 3}[2]), Error);
  }

  TEST_CASE("a tensor is a handle: copies share, clones do not") {
    Tensor a(Shape{2, 2}, {1, 2, 3, 4});
    Tensor shared = a, deep = a.clone();
    a.data()[0] = 9;
    CHECK(shared.data()[0] == 9);
    CHECK(deep.data()[0] == 1);
    CHECK(a.slice(1, 2).data()[0] == 3);
    CHECK(a.reshape({4}).data()[3] == 4);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data().data()) % 64 == 0);
  }

  TEST_CASE("a tensor refuses what does not fit") {
    Tensor a(Shape{2, 2});
    CHECK_THROWS_AS(a.reshape({3}), Error);
    CHECK_THROWS_AS(a.slice(1, 3), Error);
    CHECK_THROWS_AS((void)a.item(), Error);
    CHECK_THROWS_AS(a.copy_from(Tensor(Shape{4})), Error);
    CHECK_THROWS_AS((Tensor(Shape{2}, {1, 2, 3})), Error);
    CHECK_THROWS_AS(Tensor(Shape{1ll << 61}), Error);
  }

  TEST_CASE("random numbers are the same everywhere and splits are independent") {
    Rng rng(42);
    CHECK(rng.next() == 0xBDD732262FEB6E95u);  // SplitMix64's published sequence for seed 42
    CHECK(rng.next() == 0x28EFE333B266F103u);
    Rng a = Rng(1).split("init"), b = Rng(1).split("data");
    CHECK(a.next() != b.next());
    CHECK(Rng(1).split(3).next() == Rng(1).split(3).next());
    Rng stored(7);
    stored.next();
    Rng resumed(0);
    resumed.set_state(stored.state());
    CHECK(stored.next() == resumed.next());
  }

  TEST_CASE("random distributions have their moments") {
    Rng rng(3);
    double sum = 0, squares = 0;
    std::array<int, 5> counts{};
    constexpr int kDraws = 100000;
    for (int i = 0; i < kDraws; ++i) {
      const double x = rng.normal();
      sum += x;
      squares += x * x;
      ++counts[rng.below(5)];
    }
    CHECK(std::abs(sum / kDraws) < 0.02);
    CHECK(std::abs(squares / kDraws - 1) < 0.02);
    for (const int count : counts) CHECK(std::abs(count - kDraws / 5) < 800);
    std::vector<std::int64_t> order = {0, 1, 2, 3, 4, 5, 6};
    rng.shuffle(order);
    CHECK(std::set(order.begin(), order.end()).size() == 7);
  }

  TEST_CASE("parallel_for covers every index once, in chunks that do not depend on the threads") {
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      std::vector<int> seen(1003, 0);
      std::vector<std::int64_t> begins(11, -1);
      parallel_for(1003, 100, [&](std::int64_t begin, std::int64_t end) {
        begins[static_cast<std::size_t>(begin / 100)] = begin;
        for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
      });
      CHECK(std::set(seen.begin(), seen.end()) == std::set{1});
      for (std::size_t i = 0; i < begins.size(); ++i)
        CHECK(begins[i] == static_cast<std::int64_t>(i) * 100);
    }
    set_thread_count(0);
  }

  TEST_CASE("an exception of a parallel loop's body reaches the caller, and the next loop runs") {
    for (const int threads : {1, 2, 3}) {
      set_thread_count(threads);
      for (const std::int64_t bad : {0, 7, 99}) {
        const auto fail_at = [&](std::int64_t i, std::int64_t) {
          if (i == bad) throw Error("this one");
        };
        CHECK_THROWS_WITH_AS(parallel_for(100, 1, fail_at), "this one", Error);
        CHECK_THROWS_WITH_AS(parallel_items(100, 3, fail_at), "this one", Error);
        const auto fail_always = [](std::int64_t, std::int64_t) { throw Error("all of them"); };
        CHECK_THROWS_WITH_AS(parallel_for(100, 1, fail_always), "all of them", Error);
      }
      std::vector<int> seen(100, 0);
      parallel_for(100, 1,
                   [&](std::int64_t i, std::int64_t) { seen[static_cast<std::size_t>(i)] = 1; });
      CHECK(std::set(seen.begin(), seen.end()) == std::set{1});
    }
    set_thread_count(0);
  }

  TEST_CASE("close names are suggested, best first") {
    const std::vector<std::string> names = {"layer1.0.conv1", "fc.weight", "layer1.0.conv2"};
    CHECK(closest_names("layer1.0.conv3", names) == "layer1.0.conv1, layer1.0.conv2, fc.weight");
    CHECK(closest_names("x", {}).empty());
    // Those that contain it come first, however long they are.
    const std::vector<std::string> quantizers = {"fc1", "conv2.weight", "layer1.0.conv1.weight",
                                                 "conv1.weight", "layer2.0.conv1.output"};
    CHECK(closest_names("conv1", quantizers) ==
          "conv1.weight, layer1.0.conv1.weight, layer2.0.conv1.output, fc1");
  }
}
