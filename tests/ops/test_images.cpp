#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "io/model/attributes.h"
#include "rung/ops/activations.h"
#include "rung/ops/conv_transpose.h"
#include "rung/ops/init.h"
#include "rung/ops/layers.h"
#include "rung/ops/pool.h"
#include "rung/ops/resize.h"
#include "rung/ops/shape_ops.h"
#include "support/gradcheck.h"
#include "support/reference.h"

// What tests/golden/test_ops.cpp, which compares values and gradients, does not look at: builders,
// refusals, other batch sizes.

namespace rung::test {
namespace {

using reference::at;

/// y[n, o, i s - p + u d, j s - p + v d] += x[n, c, i, j] * weight[c, o', u, v] over the channels c
/// of o's group.
Tensor transposed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Shape& shape,
                  const nn::ConvTranspose2dOptions& g) {
  Tensor y(shape);
  const std::int64_t ins = x.size(1) / g.groups, outs = weight.size(1);
  for (std::int64_t n = 0; n < shape[0]; ++n) {
    for (std::int64_t o = 0; o < shape[1]; ++o)
      for (std::int64_t i = 0; i < shape[2]; ++i)
        for (std::int64_t j = 0; j < shape[3]; ++j) at(y, n, o, i, j) = bias.data()[o];
    for (std::int64_t c = 0; c < x.size(1); ++c)
      for (std::int64_t o = 0; o < outs; ++o)
        for (std::int64_t i = 0; i < x.size(2); ++i)
          for (std::int64_t j = 0; j < x.size(3); ++j)
            for (std::int64_t u = 0; u < g.kernel; ++u)
              for (std::int64_t v = 0; v < g.kernel; ++v) {
                const std::int64_t row = i * g.stride - g.padding + u * g.dilation;
                const std::int64_t column = j * g.stride - g.padding + v * g.dilation;
                if (row < 0 || column < 0 || row >= shape[2] || column >= shape[3]) continue;
                at(y, n, c / ins * outs + o, row, column) +=
                    at(x, n, c, i, j) * at(weight, c, o, u, v);
              }
  }
  return y;
}

}  // namespace

TEST_SUITE("ops images") {
  TEST_CASE("conv_transpose2d spreads pixels by the weight") {
    struct Case {
      Shape x, y;
      nn::ConvTranspose2dOptions options;
    };
    const std::vector<Case> cases = {
        {{2, 3, 4, 5}, {2, 5, 8, 10}, {5, 3, 2, 1, 1}},
        {{2, 17, 3, 3}, {2, 20, 6, 6}, {20, 4, 2, 1}},
        {{1, 16, 3, 2}, {1, 3, 6, 4}, {3, 2, 2}},
        {{1, 4, 4, 4}, {1, 6, 6, 6}, {.out_channels = 6, .kernel = 3, .groups = 2}},
        {{1, 32, 3, 3},
         {1, 32, 7, 7},
         {.out_channels = 32, .kernel = 3, .stride = 2, .groups = 32}},
        {{1, 2, 3, 3},
         {1, 3, 5, 5},
         {.out_channels = 3, .kernel = 2, .padding = 0, .dilation = 2}}};
    for (const Case& each : cases) {
      CAPTURE(each.x.to_string());
      const auto& o = each.options;
      const Build build = [&](Graph& graph, const Operands& in) {
        auto op = std::make_unique<ConvTranspose>();
        op->stride_h = op->stride_w = o.stride;
        op->padding_h = op->padding_w = o.padding;
        op->dilation_h = op->dilation_w = o.dilation;
        op->output_padding_h = op->output_padding_w = o.output_padding;
        op->groups = o.groups;
        return graph.add(std::move(op), {in[0], in[1], in[2]}, "op");
      };
      const Tensor x = uniform(each.x, Rng(1)), bias = uniform(Shape{each.y[1]}, Rng(3));
      const Tensor weight =
          uniform({each.x[1], each.y[1] / o.groups, o.kernel, o.kernel}, Rng(2), -0.5, 0.5);
      check_values({x, weight, bias}, build, transposed(x, weight, bias, each.y, o), 5e-6);
      gradcheck({x, weight, bias}, build, {.tolerance = 2e-3, .samples = 15});
    }
  }

  TEST_CASE("conv_transpose2d has PyTorch's parameters, initialization and rules") {
    Graph graph;
    const Var x = graph.input("x", {1, 8, 4, 4});
    const Var y = nn::conv_transpose2d(x,
                                       {.out_channels = 6,
                                        .kernel = 3,
                                        .stride = 2,
                                        .padding = 1,
                                        .output_padding = 1,
                                        .groups = 2},
                                       "up");
    graph.set_outputs({y});
    CHECK(y.shape() == Shape{1, 6, 8, 8});
    CHECK(graph.parameter("up.weight").shape() == Shape{8, 3, 3, 3});
    CHECK(graph.parameter("up.bias").shape() == Shape{6});
    nn::init_parameters(graph, Rng(1));
    float largest = 0.0f;
    for (const float w : graph.parameter("up.weight").value().data())
      largest = std::max(largest, std::abs(w));
    const float bound = 1.0f / std::sqrt(27.0f);  // torch counts O / groups * KH * KW
    CHECK(largest <= bound);
    CHECK(largest >= 0.9f * bound);
    Executor executor(graph);
    CHECK(executor.forward(Tensor(Shape{3, 8, 4, 4})).shape() == Shape{3, 6, 8, 8});
    CHECK_THROWS_WITH_AS(
        nn::conv_transpose2d(x, {.out_channels = 4, .kernel = 3, .stride = 2, .output_padding = 2},
                             "bad1"),
        "[ConvTranspose bad1] output_padding must be at least 0 and below the stride 2x2, or not "
        "more than the padding at bottom and right, got 2x2",
        Error);
    CHECK_THROWS_AS(nn::conv_transpose2d(x, {.out_channels = 4, .kernel = 3, .groups = 3}, "bad2"),
                    Error);
    CHECK_THROWS_AS(nn::conv_transpose2d(x, {.out_channels = 4, .kernel = 1, .padding = 2}, "bad3"),
                    Error);
  }

  TEST_CASE("upsample takes a scale or sizes, and any batch") {
    Graph graph;
    const Var x = graph.input("x", {1, 3, 4, 5});
    const Var doubled = nn::upsample(x, {.scale = 2.0}, "double");
    const Var sized =
        nn::upsample(doubled, {.sizes = {3, 7}, .mode = nn::UpsampleMode::bilinear}, "sized");
    graph.set_outputs({sized});
    CHECK(doubled.shape() == Shape{1, 3, 8, 10});
    CHECK(sized.shape() == Shape{1, 3, 3, 7});
    Executor executor(graph);
    CHECK(executor.forward(Tensor(Shape{4, 3, 4, 5})).shape() == Shape{4, 3, 3, 7});
    CHECK_THROWS_WITH_AS(nn::upsample(x, {}, "bad"),
                         "[Resize bad] needs either two positive scales or sizes [H, W], got 0 and "
                         "0, []",
                         Error);
    CHECK_THROWS_AS(nn::upsample(x, {.scale = 2.0, .sizes = {8, 10}}, "bad"), Error);
    CHECK_THROWS_AS(nn::upsample(x, {.scale = 0.1}, "bad"), Error);
    CHECK_THROWS_AS(nn::upsample(x, {.scale = 1e30}, "bad"), Error);
    CHECK_THROWS_AS(nn::upsample(x, {.scale = NAN}, "bad"), Error);
    auto area = std::make_unique<Resize>();
    area->mode = "area";
    area->sizes = {2, 2};
    CHECK_THROWS_WITH_AS(graph.add(std::move(area), {x}, "bad"),
                         "[Resize bad] mode must be one of nearest, linear, cubic, got area",
                         Error);
  }

  TEST_CASE("bicubic upsampling weights sixteen pixels by Keys' kernel") {
    const auto keys = [](double distance) {
      const double d = std::abs(distance), a = -0.75;
      if (d <= 1.0) return (a + 2.0) * d * d * d - (a + 3.0) * d * d + 1.0;
      return d < 2.0 ? a * d * d * d - 5.0 * a * d * d + 8.0 * a * d - 4.0 * a : 0.0;
    };
    for (const Shape& shape : std::vector<Shape>{{1, 1, 4, 5}, {2, 17, 3, 4}})
      for (const std::array<std::int64_t, 2> size : {std::array<std::int64_t, 2>{8, 7}, {2, 3}}) {
        CAPTURE(shape.to_string());
        const Tensor x = uniform(shape, Rng(30));
        Tensor expected(Shape{shape[0], shape[1], size[0], size[1]});
        const auto place = [&](std::int64_t i, std::int64_t axis) {
          return (static_cast<double>(i) + 0.5) * static_cast<double>(shape[axis + 2]) /
                     static_cast<double>(size[static_cast<std::size_t>(axis)]) -
                 0.5;
        };
        for (std::int64_t plane = 0; plane < shape[0] * shape[1]; ++plane)
          for (std::int64_t i = 0; i < size[0]; ++i)
            for (std::int64_t j = 0; j < size[1]; ++j) {
              double sum = 0.0;
              for (std::int64_t r = -4; r < shape[2] + 4; ++r)
                for (std::int64_t c = -4; c < shape[3] + 4; ++c) {
                  const std::int64_t row = std::clamp<std::int64_t>(r, 0, shape[2] - 1),
                                     column = std::clamp<std::int64_t>(c, 0, shape[3] - 1);
                  sum += keys(place(i, 0) - static_cast<double>(r)) *
                         keys(place(j, 1) - static_cast<double>(c)) *
                         x.data()[(plane * shape[2] + row) * shape[3] + column];
                }
              expected.data()[(plane * size[0] + i) * size[1] + j] = static_cast<float>(sum);
            }
        const Build build = [&](Graph&, const Operands& in) {
          return nn::upsample(
              in[0], {.sizes = {size[0], size[1]}, .mode = nn::UpsampleMode::bicubic}, "op");
        };
        check_values({x}, build, expected, 2e-6);
        gradcheck({x}, build);
      }
  }

  TEST_CASE("resizing and pooling between convolutions stay in the blocked format") {
    Graph graph;
    const Var x = graph.input("x", {1, 16, 8, 8});
    Var y = nn::upsample(identity_conv(graph, x, "before"), {.scale = 2.0}, "up");
    y = nn::max_pool2d(y, {.kernel = 3, .stride = 2, .ceil_mode = true}, "max");
    y = nn::hardswish(nn::identity(y, "same"), "act");
    graph.set_outputs({identity_conv(graph, y, "after")});
    Executor executor(graph);
    const std::vector<Shape> shapes = {{4, 16, 8, 8}};
    CHECK(stats(executor.plan(shapes, Mode::eval)).reorders <= 2);  // of the input and output
  }

  TEST_CASE("windows of ceil_mode start inside the image, and padding has four sides") {
    Graph graph;
    const Var x = graph.input("x", {1, 2, 5, 7});
    const auto pool = [&](std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
      const nn::Pool2dOptions options{
          .kernel = kernel, .stride = stride, .padding = padding, .ceil_mode = true};
      return nn::max_pool2d(x, options, "op" + std::to_string(graph.nodes().size())).shape();
    };
    CHECK(pool(2, 2, 0) == Shape{1, 2, 3, 4});
    CHECK(pool(2, 2, 1) == Shape{1, 2, 3, 4});  // a fourth row would be padding only
    CHECK(pool(1, 3, 0) == Shape{1, 2, 2, 3});
    auto sides = std::make_unique<AveragePool>();
    sides->window = {.kernel_h = 2, .kernel_w = 3, .padding_left = 2, .padding_bottom = 1};
    CHECK(graph.add(std::move(sides), {x}, "sides").shape() == Shape{1, 2, 5, 7});
    CHECK_THROWS_AS(nn::avg_pool2d(x, {.kernel = 2, .dilation = 2}, "bad"), Error);
    CHECK_THROWS_AS(nn::max_pool2d(x, {.kernel = 3, .dilation = 3}, "bad"), Error);
    CHECK_THROWS_WITH_AS(nn::max_pool2d(x, {.kernel = 2, .padding = 2}, "bad"),
                         "[MaxPool bad] padding must be smaller than the 2 pixels that the window "
                         "reaches over, got 2 and 2",
                         Error);
  }

  TEST_CASE("zero_pad2d surrounds images, and pads that do not fit are refused") {
    const Tensor x = uniform({2, 17, 2, 3}, Rng(4));
    const Build build = [](Graph&, const Operands& in) {
      return nn::zero_pad2d(in[0], {.left = 1, .right = 2, .top = 0, .bottom = 3}, "op");
    };
    Tensor expected(Shape{2, 17, 5, 6});
    for (std::int64_t n = 0; n < 2; ++n)
      for (std::int64_t c = 0; c < 17; ++c)
        for (std::int64_t i = 0; i < 2; ++i)
          for (std::int64_t j = 0; j < 3; ++j) at(expected, n, c, i, j + 1) = at(x, n, c, i, j);
    check_values({x}, build, expected, 0.0);
    gradcheck({x}, build);
    Graph graph;
    const Var image = graph.input("x", {1, 3, 4, 5});
    const auto pad = [&](std::vector<std::int64_t> pads, const std::string& mode) {
      auto op = std::make_unique<Pad>();
      op->pads = std::move(pads);
      op->mode = mode;
      return graph.add(std::move(op), {image}, "bad");
    };
    CHECK_THROWS_AS(pad({0, 0, 1, 1}, "constant"), Error);
    CHECK_THROWS_AS(pad({0, 0, 4, 0, 0, 0, 0, 0}, "reflect"), Error);
    CHECK_THROWS_AS(pad({0, 0, -3, 0, 0, 0, -2, 0}, "constant"), Error);
    CHECK_THROWS_WITH_AS(pad({0, 0, 0, 0, 0, 0, 0, 0}, "wrap"),
                         "[Pad bad] mode must be constant, reflect or edge, got wrap", Error);
  }

  TEST_CASE("axes are named once, inside, and where squeezed of extent 1") {
    Graph graph;
    const Var x = graph.input("x", {2, 1, 3, 1});
    CHECK(nn::squeeze(x, {-1}, "squeezed").shape() == Shape{2, 1, 3});
    CHECK(nn::unsqueeze(x, {0, -1}, "unsqueezed").shape() == Shape{1, 2, 1, 3, 1, 1});
    CHECK(nn::transpose(x, {2, 0, -1, 1}, "transposed").shape() == Shape{3, 2, 1, 1});
    CHECK(nn::mean(x, {.axes = {0, 2}}, "mean").shape() == Shape{1, 1});
    CHECK_THROWS_AS(nn::squeeze(x, {0}, "bad"), Error);
    CHECK_THROWS_AS(nn::squeeze(x, {}, "bad"), Error);
    CHECK_THROWS_AS(nn::squeeze(x, {1, -3}, "bad"), Error);
    CHECK_THROWS_AS(nn::unsqueeze(x, {6}, "bad"), Error);
    CHECK_THROWS_AS(nn::transpose(x, {0, 1, 2}, "bad"), Error);
    CHECK_THROWS_AS(nn::transpose(x, {0, 1, 2, 2}, "bad"), Error);
    CHECK_THROWS_AS(nn::mean(x, {.axes = {4}}, "bad"), Error);
    CHECK(nn::reshape(x, {0, 0, 3}, "fewer").shape() == Shape{2, 1, 3});
    CHECK(nn::reshape(x, {0, 1, 1, 1, -1, 1}, "more").shape() == Shape{2, 1, 1, 1, 3, 1});
    constexpr std::int64_t kHuge = std::int64_t{1} << 31;
    CHECK_THROWS_AS(nn::reshape(x, {kHuge, kHuge, kHuge, -1}, "bad"), Error);
    CHECK(graph.nodes().size() == 6);
  }

  TEST_CASE("views of views and of parameters reach outputs and gradients") {
    const Tensor x = uniform({2, 17, 1, 1}, Rng(5));
    const Build build = [](Graph&, const Operands& in) {
      const Var flat = nn::squeeze(nn::identity(in[0], "same"), {2, 3}, "flat");
      return nn::add(nn::unsqueeze(flat, {2, 3}, "back"), in[0], "op");
    };
    Tensor doubled = x.clone();
    for (float& value : doubled.data()) value *= 2.0f;
    check_values({x}, build, doubled, 0.0);
    gradcheck({x}, build);
  }

  TEST_CASE("the attributes of every op go through a file and back") {
    for (const std::string_view type : op_types()) {
      CAPTURE(std::string(type));
      auto op = make_op(type), copy = make_op(type);
      if (auto* resize = dynamic_cast<Resize*>(op.get())) resize->sizes = {7, 9};
      if (auto* pad = dynamic_cast<Pad*>(op.get())) pad->pads = {0, 1, 2, 3};
      if (auto* pool = dynamic_cast<MaxPool*>(op.get()))
        pool->window = {.padding_top = 1,
                        .padding_left = 2,
                        .padding_bottom = 3,
                        .padding_right = 4,
                        .dilation_w = 5,
                        .ceil_mode = true};
      const io::Json written = io::attributes_to_json(*op);
      io::attributes_from_json(*copy, io::JsonPlace(written, "attributes"));
      CHECK(io::attributes_to_json(*copy) == written);
    }
  }
}

}  // namespace rung::test
