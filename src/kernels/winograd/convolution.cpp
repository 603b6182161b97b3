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

namespace {

constexpr std::int64_t kManyChannels = 160;  // of both sides: transformed weights fit the L2 cache
constexpr std::int64_t kDeepChannels = 64;   // of a chunk and of a slice

bool is_deep(std::int64_t in, std::int64_t out) { return in * out > kManyChannels * kManyChannels; }

std::int64_t rounded_down(std::int64_t a, std::int64_t b) { return std::max(b, a / b * b); }

// What one pass works on.
struct Pass {
  explicit Pass(const Sizes& s)
      : k(kernels_of(s)),
        multiply(s.format == Format::blocked16 ? multiply_kernels().lanes16
                                               : multiply_kernels().lanes8),
        in(input_image(s)),
        out(output_image(s)),
        lanes(lanes_of(s)),
        inputs(in.blocks * lanes),
        outputs(out.blocks * lanes),
        tiles(tiles_of(s)) {}
  const Kernels& k;
  void (*multiply)(const Product& product);
  Image in, out;
  std::int64_t lanes, inputs, outputs;  // channels, whole blocks
  std::int64_t tiles;
};

// m = v u, or m += v u, for every point; `inputs` channels of v.
void multiply_tiles(const Pass& p, const Matrices& v, const Matrices& u, const Matrices& m,
                    std::int64_t rows, bool adds) {
  for (std::int64_t point = 0; point < kPoints; ++point)
    p.multiply({.m = rows,
                .n = m.blocks * p.lanes,
                .k = v.blocks * p.lanes,
                .a = v.data + point * v.stride,
                .a_row = v.blocks * p.lanes,
                .a_step = 1,
                .b = u.data + point * u.stride,
                .c = m.data + point * m.stride,
                .c_row = m.blocks * p.lanes,
                .adds = adds});
}

// du = v^T m, or du += v^T m, for every point; `rows` tiles.
void multiply_channels(const Pass& p, const Matrices& v, const Matrices& m, const Matrices& du,
                       std::int64_t rows, bool adds) {
  for (std::int64_t point = 0; point < kPoints; ++point)
    p.multiply({.m = v.blocks * p.lanes,
                .n = m.blocks * p.lanes,
                .k = rows,
                .a = v.data + point * v.stride,
                .a_row = 1,
                .a_step = v.blocks * p.lanes,
                .b = m.data + point * m.stride,
                .c = du.data + point * du.stride,
                .c_row = m.blocks * p.lanes,
                .adds = adds});
}

// Calls body(item, scratch of its worker) for every item, on all threads.
template <typename Body>
void for_items(std::int64_t items, std::int64_t workers, float* scratch, std::int64_t each,
               const Body& body) {
  parallel_items(items, workers, [&](std::int64_t item, std::int64_t worker) {
    body(item, scratch + worker * each);
  });
}

}  // namespace

namespace {

// Memory of one thread, if there are many channels: a slice's weights or sums, and both sides.
std::int64_t deep_floats(const Pass& p, std::int64_t tiles) {
  const std::int64_t channels = std::min(kDeepChannels, p.inputs);
  const std::int64_t width = std::min(kDeepChannels, p.outputs);
  return floats_of(channels, width) + floats_of(tiles, channels) + floats_of(tiles, width);
}

Cut cut_deep(const Pass& p) {
  Cut cut{.deep = true, .tiles = std::min<std::int64_t>(p.tiles, 256), .parts = 1};
  cut.workers = std::min<std::int64_t>(thread_count(),
                                       divided_up(p.outputs, std::min(kDeepChannels, p.outputs)));
  cut.scratch = cut.workers * deep_floats(p, cut.tiles);
  return cut;
}

}  // namespace

Cut cut_forward(const Sizes& s) {
  const Pass p(s);
  Cut cut;
  if (is_deep(p.inputs, p.outputs)) {
    cut = cut_deep(p);
  } else {
    const std::int64_t fit = 256 * kFloatsPerKiB / (kPoints * (p.inputs + p.outputs));
    const std::int64_t fair = divided_up(p.tiles, thread_count());
    cut.tiles = rounded_down(std::min(fit, fair), kRowsAtOnce);
    cut.workers = std::min<std::int64_t>(thread_count(), divided_up(p.tiles, cut.tiles));
    cut.scratch = floats_of(p.inputs, p.outputs) +
                  cut.workers * (floats_of(cut.tiles, p.inputs) + floats_of(cut.tiles, p.outputs));
  }
  cut.scratch += p.outputs;  // the bias, padded
  return cut;
}

namespace {

// Transformed weights are shared; each thread does groups of tiles by itself.
void forward_by_tiles(const Sizes& s, const Cut& cut, const float* x, const float* weights,
                      bool rotated, const Finish& finish, float* y, float* scratch) {
  const Pass p(s);
  const Interval interval = passes(finish.epilogue);
  const Matrices u = take(scratch, p.inputs, p.out.blocks, p.lanes);
  for_rows(p.out.blocks, p.inputs, 64, [&](std::int64_t b, std::int64_t begin, std::int64_t end) {
    p.k.weights(weights, rotated ? s.inputs : s.outputs, rotated ? s.outputs : s.inputs, rotated, b,
                b, 0, begin, end, u);
  });
  const std::int64_t each = floats_of(cut.tiles, p.inputs) + floats_of(cut.tiles, p.outputs);
  for_items(divided_up(p.tiles, cut.tiles), cut.workers, scratch, each,
            [&](std::int64_t group, float* own) {
              const Matrices v = take(own, cut.tiles, p.in.blocks, p.lanes);
              const Matrices m = take(own, cut.tiles, p.out.blocks, p.lanes);
              const std::int64_t first = group * cut.tiles;
              const std::int64_t rows = std::min(cut.tiles, p.tiles - first);
              for (std::int64_t b = 0; b < p.in.blocks; ++b)
                p.k.input(x, p.in, b, b, first, 0, rows, v);
              multiply_tiles(p, v, u, m, rows, false);
              for (std::int64_t b = 0; b < p.out.blocks; ++b)
                p.k.output(m, p.out, b, b, first, 0, rows, y, finish, interval);
            });
}

// Each thread makes some output channels, adding up slice by slice of the input channels, whose
// weights it transforms by itself.
void forward_deep(const Sizes& s, const Cut& cut, const float* x, const float* weights,
                  bool rotated, const Finish& finish, float* y, float* scratch) {
  const Pass p(s);
  const Interval interval = passes(finish.epilogue);
  const std::int64_t slice = std::min(kDeepChannels / p.lanes, p.in.blocks);
  const std::int64_t chunk = std::min(kDeepChannels / p.lanes, p.out.blocks);
  for_items(divided_up(p.out.blocks, chunk), cut.workers, scratch, deep_floats(p, cut.tiles),
            [&](std::int64_t item, float* own) {
              const std::int64_t out = item * chunk, width = std::min(chunk, p.out.blocks - out);
              for (std::int64_t first = 0; first < p.tiles; first += cut.tiles) {
                const std::int64_t rows = std::min(cut.tiles, p.tiles - first);
                float* rest = own;
                const Matrices m = take(rest, rows, width, p.lanes);
                for (std::int64_t in = 0; in < p.in.blocks; in += slice) {
                  const std::int64_t depth = std::min(slice, p.in.blocks - in);
                  float* after = rest;
                  const Matrices v = take(after, rows, depth, p.lanes);
                  const Matrices u = take(after, depth * p.lanes, width, p.lanes);
                  for (std::int64_t b = 0; b < depth; ++b)
                    p.k.input(x, p.in, in + b, b, first, 0, rows, v);
                  for (std::int64_t b = 0; b < width; ++b)
                    p.k.weights(weights, rotated ? s.inputs : s.outputs,
                                rotated ? s.outputs : s.inputs, rotated, out + b, b, in * p.lanes,
                                0, depth * p.lanes, u);
                  multiply_tiles(p, v, u, m, rows, in > 0);
                }
                for (std::int64_t b = 0; b < width; ++b)
                  p.k.output(m, p.out, out + b, b, first, 0, rows, y, finish, interval);
              }
            });
}

}  // namespace

void forward(const Sizes& s, const Cut& cut, const float* x, const float* weights, bool rotated,
             const Finish& finish, float* y, float* scratch) {
  Finish padded = finish;
  if (finish.bias != nullptr) {
    const std::int64_t channels = blocks_of(s, s.outputs) * lanes_of(s);
    std::copy_n(finish.bias, s.outputs, scratch);
    std::fill(scratch + s.outputs, scratch + channels, 0.0f);
    padded.bias = scratch;
    scratch += channels;
  }
  const auto pass = cut.deep ? forward_deep : forward_by_tiles;
  pass(s, cut, x, weights, rotated, padded, y, scratch);
}

Cut cut_weights(const Sizes& s) {
  const Pass p(s);
  if (is_deep(p.inputs, p.outputs)) return cut_deep(p);
  // The number of parts must not depend on that of threads, or sums would.
  const std::int64_t sums = floats_of(p.inputs, p.outputs);
  const std::int64_t fit = 384 * kFloatsPerKiB / (kPoints * (p.inputs + p.outputs));
  Cut cut;
  cut.parts = std::clamp<std::int64_t>(4800 * kFloatsPerKiB / sums, 2, 8);
  cut.parts = std::min(cut.parts, divided_up(p.tiles, 128));
  cut.tiles = std::min(divided_up(p.tiles, cut.parts), rounded_down(fit, 4));
  cut.workers = std::min<std::int64_t>(thread_count(), cut.parts);
  cut.scratch = cut.parts * sums +
                cut.workers * (floats_of(cut.tiles, p.inputs) + floats_of(cut.tiles, p.outputs));
  return cut;
}

namespace {

// Each part of the tiles has sums of its own, which are added up at the end.
void weights_by_tiles(const Sizes& s, const Cut& cut, const float* x, const float* dy,
                      float* gradient, float* scratch) {
  const Pass p(s);
  const std::int64_t sums = floats_of(p.inputs, p.outputs);
  const std::int64_t length = divided_up(p.tiles, cut.parts);
  float* all = scratch;
  for_items(cut.parts, cut.workers, scratch + cut.parts * sums,
            floats_of(cut.tiles, p.inputs) + floats_of(cut.tiles, p.outputs),
            [&](std::int64_t part, float* own) {
              float* at = all + part * sums;
              const Matrices du = take(at, p.inputs, p.out.blocks, p.lanes);
              const std::int64_t begin = part * length;
              const std::int64_t end = std::min(p.tiles, begin + length);
              for (std::int64_t first = begin; first < end; first += cut.tiles) {
                const std::int64_t rows = std::min(cut.tiles, end - first);
                float* rest = own;
                const Matrices v = take(rest, rows, p.in.blocks, p.lanes);
                const Matrices m = take(rest, rows, p.out.blocks, p.lanes);
                for (std::int64_t b = 0; b < p.in.blocks; ++b)
                  p.k.input(x, p.in, b, b, first, 0, rows, v);
                for (std::int64_t b = 0; b < p.out.blocks; ++b)
                  p.k.output_gradient(dy, p.out, b, b, first, 0, rows, m);
                multiply_channels(p, v, m, du, rows, first > begin);
              }
            });
  const Matrices du = take(all, p.inputs, p.out.blocks, p.lanes);
  const std::int64_t used = divided_up(p.tiles, length);
  for_rows(p.out.blocks, s.inputs, 64, [&](std::int64_t b, std::int64_t begin, std::int64_t end) {
    p.k.weights_gradient(du, used, sums, s.outputs, s.inputs, b, b, 0, begin, end, gradient);
  });
}

// Each thread makes the gradients of some output channels, slice by slice of the input channels.
void weights_deep(const Sizes& s, const Cut& cut, const float* x, const float* dy, float* gradient,
                  float* scratch) {
  const Pass p(s);
  const std::int64_t slice = std::min(kDeepChannels / p.lanes, p.in.blocks);
  const std::int64_t chunk = std::min(kDeepChannels / p.lanes, p.out.blocks);
  for_items(divided_up(p.out.blocks, chunk), cut.workers, scratch, deep_floats(p, cut.tiles),
            [&](std::int64_t item, float* own) {
              const std::int64_t out = item * chunk, width = std::min(chunk, p.out.blocks - out);
              const bool once = p.tiles <= cut.tiles;  // then dy is transformed for all slices
              for (std::int64_t in = 0; in < p.in.blocks; in += slice) {
                const std::int64_t depth = std::min(slice, p.in.blocks - in);
                float* rest = own;
                const Matrices m = take(rest, std::min(cut.tiles, p.tiles), width, p.lanes);
                const Matrices du = take(rest, depth * p.lanes, width, p.lanes);
                for (std::int64_t first = 0; first < p.tiles; first += cut.tiles) {
                  const std::int64_t rows = std::min(cut.tiles, p.tiles - first);
                  float* after = rest;
                  const Matrices v = take(after, rows, depth, p.lanes);
                  const Matrices now{m.data, rows, width, m.stride};
                  for (std::int64_t b = 0; b < depth; ++b)
                    p.k.input(x, p.in, in + b, b, first, 0, rows, v);
                  if (in == 0 || !once)
                    for (std::int64_t b = 0; b < width; ++b)
                      p.k.output_gradient(dy, p.out, out + b, b, first, 0, rows, now);
                  multiply_channels(p, v, now, du, rows, first > 0);
                }
                for (std::int64_t b = 0; b < width; ++b)
                  p.k.weights_gradient(du, 1, 0, s.outputs, s.inputs, out + b, b, in * p.lanes, 0,
                                       depth * p.lanes, gradient);
              }
            });
}

}  // namespace

void backward_weights(const Sizes& s, const Cut& cut, const float* x, const float* dy,
                      float* gradient, float* scratch) {
  const auto pass = cut.deep ? weights_deep : weights_by_tiles;
  pass(s, cut, x, dy, gradient, scratch);
}

}  // namespace rung::kernels::winograd
