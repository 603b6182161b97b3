// Looking at tensors: elements, printing, comparing. The printed texts are torch 2.15's, but for
// the shape at the end.

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <span>
#include <sstream>
#include <type_traits>

#include "rung/core/error.h"
#include "rung/core/tensor.h"

using namespace rung;

namespace {

std::string printed(const ConstTensor& tensor) {
  std::ostringstream out;
  out << tensor;
  return out.str();
}

Tensor counted(const Shape& shape, float divisor = 1.0f) {
  Tensor tensor(shape);
  for (std::size_t i = 0; i < tensor.data().size(); ++i)
    tensor.data()[i] = static_cast<float>(i) / divisor;
  return tensor;
}

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_SUITE_BEGIN("core: tensor");

TEST_CASE("at takes one index per axis, inside of the shape") {
  Tensor x = counted({2, 3, 4});
  CHECK(x.at(0, 0, 0) == 0.0f);
  CHECK(x.at(1, 2, 3) == 23.0f);
  CHECK(x.at(1, 0, 2) == 14.0f);
  x.at(1, 0, 2) = -1.0f;
  CHECK(x.data()[14] == -1.0f);
  CHECK(Tensor::scalar(2.5f).at() == 2.5f);
  CHECK_THROWS_WITH_AS(x.at(1, 3, 0), "Tensor::at: indices (1, 3, 0) are outside of [2, 3, 4]",
                       Error);
  CHECK_THROWS_AS(x.at(-1, 0, 0), Error);
  CHECK_THROWS_AS(x.at(1, 0), Error);
  CHECK_THROWS_AS(x.at(0, 0, 0, 0), Error);
  CHECK_THROWS_AS(Tensor().at(0), Error);
}

TEST_CASE("a read-only tensor is the same storage, which cannot be written through it") {
  Tensor x = counted({2, 3});
  const ConstTensor seen = x;
  x.at(1, 2) = 7.0f;
  CHECK(seen.at(1, 2) == 7.0f);
  CHECK(equal(seen, x));
  CHECK(seen.slice(1, 2).reshape({3}).at(2) == 7.0f);
  Tensor copy = seen.clone();
  copy.fill(0.0f);
  CHECK(seen.at(1, 2) == 7.0f);
  copy.copy_from(seen);
  CHECK(allclose(copy, seen));
  CHECK_THROWS_AS((void)seen.at(2, 0), Error);
  CHECK(printed(seen) == printed(x));
  CHECK_FALSE(ConstTensor().defined());

  const auto is_read_only = [](auto numbers) {
    return std::is_same_v<decltype(numbers), std::span<const float>>;
  };
  ConstTensor handle = x;
  CHECK(is_read_only(handle.data()));
  CHECK(is_read_only(handle.slice(0, 1).data()));
  CHECK(is_read_only(handle.reshape({6}).data()));
  static_assert(std::is_same_v<decltype(handle.at(0, 0)), float>);
  static_assert(!std::is_constructible_v<Tensor, ConstTensor>);
  static_assert(!std::is_assignable_v<Tensor&, ConstTensor>);
  static_assert(std::is_convertible_v<Tensor, ConstTensor>);
}

TEST_CASE("a tensor is printed as torch prints it") {
  CHECK(printed(Tensor({2, 2}, {1, 2, 3, -4})) ==
        "tensor([[ 1.,  2.],\n        [ 3., -4.]], [2, 2])");
  CHECK(printed(Tensor({3}, {0.5f, 1.25f, -100.0f})) ==
        "tensor([   0.5000,    1.2500, -100.0000], [3])");
  CHECK(printed(Tensor({2}, {1e-5f, 1.0f})) == "tensor([1.0000e-05, 1.0000e+00], [2])");
  CHECK(printed(Tensor::scalar(3.5f)) == "tensor(3.5000, [])");
  CHECK(printed(Tensor({3}, {kNan, 1.0f, kInfinity})) == "tensor([nan, 1., inf], [3])");
  CHECK(printed(Tensor(Shape{0, 3})) == "tensor([], [0, 3])");
  CHECK(printed(Tensor()) == "tensor(undefined)");
  CHECK(printed(counted({2, 2, 2}, 7.0f)) ==
        "tensor([[[0.0000, 0.1429],\n         [0.2857, 0.4286]],\n\n"
        "        [[0.5714, 0.7143],\n         [0.8571, 1.0000]]], [2, 2, 2])");
  CHECK(printed(counted({30}, 7.0f)) ==
        "tensor([0.0000, 0.1429, 0.2857, 0.4286, 0.5714, 0.7143, 0.8571, 1.0000, 1.1429,\n"
        "        1.2857, 1.4286, 1.5714, 1.7143, 1.8571, 2.0000, 2.1429, 2.2857, 2.4286,\n"
        "        2.5714, 2.7143, 2.8571, 3.0000, 3.1429, 3.2857, 3.4286, 3.5714, 3.7143,\n"
        "        3.8571, 4.0000, 4.1429], [30])");
}

TEST_CASE("of many elements only the ends of each axis are printed") {
  CHECK(printed(counted({20, 100})) ==
        "tensor([[0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 9.7000e+01, 9.8000e+01,\n"
        "         9.9000e+01],\n"
        "        [1.0000e+02, 1.0100e+02, 1.0200e+02,  ..., 1.9700e+02, 1.9800e+02,\n"
        "         1.9900e+02],\n"
        "        [2.0000e+02, 2.0100e+02, 2.0200e+02,  ..., 2.9700e+02, 2.9800e+02,\n"
        "         2.9900e+02],\n"
        "        ...,\n"
        "        [1.7000e+03, 1.7010e+03, 1.7020e+03,  ..., 1.7970e+03, 1.7980e+03,\n"
        "         1.7990e+03],\n"
        "        [1.8000e+03, 1.8010e+03, 1.8020e+03,  ..., 1.8970e+03, 1.8980e+03,\n"
        "         1.8990e+03],\n"
        "        [1.9000e+03, 1.9010e+03, 1.9020e+03,  ..., 1.9970e+03, 1.9980e+03,\n"
        "         1.9990e+03]], [20, 100])");
}

TEST_CASE("equal and allclose are torch's") {
  const Tensor x({2}, {1.0f, 2.0f});
  CHECK(equal(x, x.clone()));
  CHECK_FALSE(equal(x, Tensor({2, 1}, {1.0f, 2.0f})));
  CHECK_FALSE(equal(x, Tensor({2}, {1.0f, std::nextafter(2.0f, 3.0f)})));
  CHECK_FALSE(equal(Tensor({1}, {kNan}), Tensor({1}, {kNan})));
  CHECK(equal(Tensor(), Tensor()));
  CHECK(allclose(x, Tensor({2}, {1.0f, 2.00001f})));
  CHECK_FALSE(allclose(x, Tensor({2}, {1.0f, 2.0001f})));
  CHECK(allclose(x, Tensor({2}, {1.0f, 2.0001f}), {.rtol = 1e-3}));
  CHECK(allclose(x, Tensor({2}, {1.0f, 2.0001f}), {.rtol = 0, .atol = 1e-3}));
  // |a - b| is measured by b alone.
  CHECK(allclose(Tensor::scalar(0.9f), Tensor::scalar(1.0f), {.rtol = 0.105, .atol = 0}));
  CHECK_FALSE(allclose(Tensor::scalar(1.0f), Tensor::scalar(0.9f), {.rtol = 0.105, .atol = 0}));
  const Tensor nan({1}, {kNan}), infinity({1}, {kInfinity});
  CHECK_FALSE(allclose(nan, nan));
  CHECK(allclose(nan, nan, {.equal_nan = true}));
  CHECK(allclose(infinity, infinity));
  CHECK_FALSE(allclose(infinity, Tensor({1}, {-kInfinity})));
  CHECK_FALSE(allclose(infinity, Tensor({1}, {1.0f})));
  CHECK_THROWS_AS(allclose(x, Tensor({3}, {1.0f, 2.0f, 3.0f})), Error);
}

TEST_SUITE_END();
