#include "kernels/winograd/convolution.h"

#include <algorithm>

#include "kernels/winograd/kernels.h"
#include "rung/core/parallel.h"

namespace rung::kernels::winograd {
namespace {

constexpr std::int64_t kFloatsPerKiB = 256;
constexpr std::int64_t kRowsAtOnce = 12;  // multiply() likes multiples of it

std::int64_t divided_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

std::int64_t lanes_of(const Sizes& sizes) { return static_cast<std::int64_t>(sizes.format); }
std::int64_t blocks_of(const Sizes& sizes, std::int64_t channels) {
  return divided_up(channels, lanes_of(sizes));
}
std::int64_t tiles_y(const Sizes& s) { return divided_up(s.out_height(), kOut); }
std::int64_t tiles_x(const Sizes& s) { return divided_up(s.out_width(), kOut); }
std::int64_t tiles_of(const Sizes& s) { return s.images * tiles_y(s) * tiles_x(s); }

Image input_image(const Sizes& s) {
  return {blocks_of(s, s.inputs), s.height, s.width, tiles_y(s), tiles_x(s), s.padding};
}
Image output_image(const Sizes& s) {
  return {blocks_of(s, s.outputs), s.out_height(), s.out_width(), tiles_y(s), tiles_x(s), 0};
}

const Kernels& kernels_of(const Sizes& sizes) {
  const WinogradKernels& table = winograd_table_kernels();
  return sizes.format == Format::blocked16 ? table.lanes16 : table.lanes8;
}

std::int64_t stride_of(std::int64_t rows, std::int64_t channels) {
  return rows * channels + kFloatsPerKiB / 16;  // a cache line apart: no power of two
}

// Takes a part of the scratch memory.
Matrices take(float*& scratch, std::int64_t rows, std::int64_t blocks, std::int64_t lanes) {
  const Matrices m{scratch, rows, blocks, stride_of(rows, blocks * lanes)};
  scratch += kPoints * m.stride;
  return m;
}
std::int64_t floats_of(std::int64_t rows, std::int64_t channels) {
  return kPoints * stride_of(rows, channels);
}

// Calls body(block, begin, end) for every block and some rows of it, on all threads.
template <typename Body>
void for_rows(std::int64_t blocks, std::int64_t rows, std::int64_t at_once, const Body& body) {
  const std::int64_t pieces = divided_up(rows, at_once);
  parallel_for(blocks * pieces, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i % pieces * at_once;
      body(i / pieces, row, std::min(rows, row + at_once));
    }
  });
}

}  // namespace

Sizes transposed(const Sizes& sizes) {
  Sizes result = sizes;
  std::swap(result.inputs, result.outputs);
  result.height = sizes.out_height();
  result.width = sizes.out_width();
  result.padding = 2 - sizes.padding;
  return result;
}

Cut cut_forward(const Sizes& s) {
  const std::int64_t lanes = lanes_of(s), out_blocks = blocks_of(s, s.outputs);
  const std::int64_t in = blocks_of(s, s.inputs) * lanes, out = out_blocks * lanes;
  const std::int64_t tiles = tiles_of(s);
  Cut cut{};
  cut.workers = thread_count();
  cut.apart = in * out <= 260 * 260;
  if (cut.apart) {
    const std::int64_t fit = 256 * kFloatsPerKiB / (kPoints * (in + out));  // in the L2 cache
    const std::int64_t fair = divided_up(tiles, cut.workers);
    cut.tiles = std::max<std::int64_t>(1, std::min(fit, fair) / kRowsAtOnce) * kRowsAtOnce;
    cut.workers = std::min(cut.workers, divided_up(tiles, cut.tiles));
    cut.blocks = out_blocks;
    cut.scratch =
        floats_of(in, out) + cut.workers * (floats_of(cut.tiles, in + out) + kPoints * 16);
  } else {
    const std::int64_t fit = 4800 * kFloatsPerKiB / (kPoints * in * lanes);
    cut.blocks = std::clamp<std::int64_t>(fit / kPanel * kPanel, 1, out_blocks);
    const std::int64_t width = cut.blocks * lanes;
    const std::int64_t group = 8000 * kFloatsPerKiB / (kPoints * (in + width));
    cut.tiles = std::min(tiles, std::max<std::int64_t>(1, group / kRowsAtOnce) * kRowsAtOnce);
    cut.scratch = floats_of(in, width) + floats_of(cut.tiles, in) + floats_of(cut.tiles, width);
  }
  return cut;
}

void forward(const Sizes& s, const Cut& cut, const float* x, const float* weights, bool rotated,
             const float* bias, const float* added, bool relu, float* y, float* scratch) {
  const Kernels& k = kernels_of(s);
  const std::int64_t lanes = lanes_of(s), tiles = tiles_of(s);
  const Image in = input_image(s), out = output_image(s);
  const std::int64_t inputs = in.blocks * lanes;
  const Finish finish{bias, added, relu};
  const auto transform_weights = [&](std::int64_t block, std::int64_t count, const Matrices& u) {
    for_rows(count, inputs, 64, [&](std::int64_t slot, std::int64_t begin, std::int64_t end) {
      k.weights(weights, rotated ? s.inputs : s.outputs, rotated ? s.outputs : s.inputs, rotated,
                block + slot, slot, begin, end, u);
    });
  };
  const auto multiply = [&](const Matrices& v, const Matrices& u, const Matrices& m,
                            std::int64_t rows, std::int64_t point) {
    k.multiply({.m = rows,
                .n = m.blocks * lanes,
                .k = inputs,
                .a = v.data + point * v.stride,
                .a_row = inputs,
                .a_step = 1,
                .b = u.data + point * u.stride,
                .c = m.data + point * m.stride,
                .c_row = m.blocks * lanes,
                .adds = false});
  };
  if (cut.apart) {
    const Matrices u = take(scratch, inputs, out.blocks, lanes);
    transform_weights(0, out.blocks, u);
    const std::int64_t groups = divided_up(tiles, cut.tiles);
    const std::int64_t grain = divided_up(groups, cut.workers);
    parallel_for(groups, grain, [&](std::int64_t begin, std::int64_t end) {
      float* own = scratch + begin / grain *
                                 (floats_of(cut.tiles, inputs + out.blocks * lanes) +
                                  kPoints * kFloatsPerKiB / 16);
      const Matrices v = take(own, cut.tiles, in.blocks, lanes);
      const Matrices m = take(own, cut.tiles, out.blocks, lanes);
      for (std::int64_t group = begin; group < end; ++group) {
        const std::int64_t first = group * cut.tiles, rows = std::min(cut.tiles, tiles - first);
        for (std::int64_t block = 0; block < in.blocks; ++block)
          k.input(x, in, block, first, 0, rows, v);
        for (std::int64_t point = 0; point < kPoints; ++point) multiply(v, u, m, rows, point);
        for (std::int64_t block = 0; block < out.blocks; ++block)
          k.output(m, out, block, block, first, 0, rows, y, finish);
      }
    });
    return;
  }
  const Matrices v = take(scratch, cut.tiles, in.blocks, lanes);
  for (std::int64_t block = 0; block < out.blocks; block += cut.blocks) {
    const std::int64_t count = std::min(cut.blocks, out.blocks - block);
    float* rest = scratch;
    const Matrices u = take(rest, inputs, count, lanes);
    const Matrices m = take(rest, cut.tiles, count, lanes);
    transform_weights(block, count, u);
    for (std::int64_t first = 0; first < tiles; first += cut.tiles) {
      const std::int64_t rows = std::min(cut.tiles, tiles - first);
      if (block == 0 || tiles > cut.tiles)
        for_rows(in.blocks, rows, 16, [&](std::int64_t b, std::int64_t begin, std::int64_t end) {
          k.input(x, in, b, first, begin, end, v);
        });
      parallel_for(kPoints, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t point = begin; point < end; ++point) multiply(v, u, m, rows, point);
      });
      for_rows(count, rows, 16, [&](std::int64_t slot, std::int64_t begin, std::int64_t end) {
        k.output(m, out, block + slot, slot, first, begin, end, y, finish);
      });
    }
  }
}

Cut cut_weights(const Sizes& s) {
  const std::int64_t lanes = lanes_of(s), out_blocks = blocks_of(s, s.outputs);
  const std::int64_t in = blocks_of(s, s.inputs) * lanes;
  const std::int64_t tiles = tiles_of(s);
  Cut cut{};
  const std::int64_t fit = 4800 * kFloatsPerKiB / (kPoints * in * lanes);
  cut.blocks = fit >= out_blocks ? out_blocks
                                 : std::clamp<std::int64_t>(fit / kPanel * kPanel, 1, out_blocks);
  const std::int64_t width = cut.blocks * lanes;
  const std::int64_t group = 1500 * kFloatsPerKiB / (kPoints * (in + width));
  cut.tiles = std::min(tiles, std::max<std::int64_t>(1, group));
  cut.scratch = floats_of(in, width) + floats_of(cut.tiles, in) + floats_of(cut.tiles, width);
  return cut;
}

void backward_weights(const Sizes& s, const Cut& cut, const float* x, const float* dy,
                      float* gradient, float* scratch) {
  const Kernels& k = kernels_of(s);
  const std::int64_t lanes = lanes_of(s), tiles = tiles_of(s);
  const Image in = input_image(s), out = output_image(s);
  const std::int64_t inputs = in.blocks * lanes;
  const Matrices v = take(scratch, cut.tiles, in.blocks, lanes);
  for (std::int64_t block = 0; block < out.blocks; block += cut.blocks) {
    const std::int64_t count = std::min(cut.blocks, out.blocks - block);
    float* rest = scratch;
    const Matrices du = take(rest, inputs, count, lanes);
    for (std::int64_t first = 0; first < tiles; first += cut.tiles) {
      const std::int64_t rows = std::min(cut.tiles, tiles - first);
      float* after = rest;
      const Matrices m = take(after, rows, count, lanes);
      if (block == 0 || tiles > cut.tiles)
        for_rows(in.blocks, rows, 16, [&](std::int64_t b, std::int64_t begin, std::int64_t end) {
          k.input(x, in, b, first, begin, end, v);
        });
      for_rows(count, rows, 16, [&](std::int64_t slot, std::int64_t begin, std::int64_t end) {
        k.output_gradient(dy, out, block + slot, slot, first, begin, end, m);
      });
      parallel_for(kPoints, 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t point = begin; point < end; ++point)
          k.multiply({.m = inputs,
                      .n = count * lanes,
                      .k = rows,
                      .a = v.data + point * v.stride,
                      .a_row = 1,
                      .a_step = inputs,
                      .b = m.data + point * m.stride,
                      .c = du.data + point * du.stride,
                      .c_row = count * lanes,
                      .adds = first > 0});
      });
    }
    for_rows(count, s.inputs, 64, [&](std::int64_t slot, std::int64_t begin, std::int64_t end) {
      k.weights_gradient(du, s.outputs, s.inputs, block + slot, slot, begin, end, gradient);
    });
  }
}

}  // namespace rung::kernels::winograd
