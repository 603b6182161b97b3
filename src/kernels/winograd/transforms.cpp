// See quantize.cpp: lets selections become vector instructions. Before the headers, as functions
// are only inlined into those of the same options.
#pragma GCC optimize("no-trapping-math")

#include "kernels/winograd/transforms.h"

#include "kernels/epilogue_inline.h"

namespace rung::kernels::RUNG_ISA {
namespace {

using winograd::Finish;
using winograd::Image;
using winograd::kOut;
using winograd::kPoints;
using winograd::kTile;
using winograd::Matrices;

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// Walks over tiles, image by image and row by row.
struct Walk {
  const Image& image;
  std::int64_t n, ty, tx;
  Walk(const Image& of, std::int64_t tile) : image(of) {
    const std::int64_t per_image = of.tiles_y * of.tiles_x;
    n = tile / per_image;
    ty = tile % per_image / of.tiles_x;
    tx = tile % of.tiles_x;
  }
  void next() {
    if (++tx < image.tiles_x) return;
    tx = 0;
    if (++ty < image.tiles_y) return;
    ty = 0;
    ++n;
  }
  std::int64_t plane(std::int64_t block, int lanes) const {
    return (n * image.blocks + block) * image.height * image.width * lanes;
  }
  std::int64_t y() const { return ty * kOut - image.pad; }
  std::int64_t x() const { return tx * kOut - image.pad; }
};

// Reads kSize x kSize pixels; what is outside the image is zero.
template <int kSize, int L>
[[gnu::always_inline]] inline void load_tile(const float* plane, const Image& image, std::int64_t y,
                                             std::int64_t x, Vector<L>* tile) {
  const float* corner = plane + (y * image.width + x) * L;
  if (y >= 0 && x >= 0 && y + kSize <= image.height && x + kSize <= image.width) {
#pragma GCC unroll 6
    for (int i = 0; i < kSize; ++i)
#pragma GCC unroll 6
      for (int j = 0; j < kSize; ++j)
        tile[i * kSize + j] = Vector<L>(corner + (i * image.width + j) * L);
    return;
  }
  for (int i = 0; i < kSize; ++i)
    for (int j = 0; j < kSize; ++j) {
      const bool inside = y + i >= 0 && x + j >= 0 && y + i < image.height && x + j < image.width;
      tile[i * kSize + j] =
          inside ? Vector<L>(corner + (i * image.width + j) * L) : Vector<L>(0.0f);
    }
}

template <int L>
void input(const float* x, const Image& image, std::int64_t block, std::int64_t slot,
           std::int64_t first, std::int64_t begin, std::int64_t end, const Matrices& v) {
  Walk walk(image, first + begin);
  for (std::int64_t row = begin; row < end; ++row, walk.next()) {
    Vector<L> tile[kPoints], out[kPoints];
    load_tile<kTile>(x + walk.plane(block, L), image, walk.y(), walk.x(), tile);
    both_ways<kTile, kTile>(tile, out, input_transform<L>);
    float* to = v.data + (row * v.blocks + slot) * L;
#pragma GCC unroll 36
    for (int p = 0; p < kPoints; ++p) out[p].store(to + p * v.stride);
  }
}

// Writes a row of a tile: `count` numbers that lie side by side.
template <int L>
[[gnu::always_inline]] inline void write_row(const Vector<L>* row, std::int64_t columns,
                                             const Vector<L>& bias, const Finish& finish,
                                             Interval passes, std::int64_t at, float* y) {
  float v[kOut * L];
  for (std::int64_t j = 0; j < columns; ++j) {
    Vector<L> value = row[j] + bias;
    if (finish.added != nullptr) value += Vector<L>(finish.added + at + j * L);
    value.store(v + j * L);
  }
  const auto number = [&v](std::int64_t i) { return v[i]; };
  std::uint8_t* mask = finish.mask == nullptr ? nullptr : finish.mask + at / 8;
  write_epilogue(number, y + at, columns * L, finish.epilogue, passes, mask);
}

template <int L>
void output(const Matrices& m, const Image& image, std::int64_t block, std::int64_t slot,
            std::int64_t first, std::int64_t begin, std::int64_t end, float* y,
            const Finish& finish, Interval passes) {
  const Vector<L> zero(0.0f);
  const Vector<L> bias = finish.bias != nullptr ? Vector<L>(finish.bias + block * L) : zero;
  const bool plain = !finish.epilogue.clips() && !finish.epilogue.quantizes &&
                     finish.added == nullptr && finish.bias == nullptr && finish.mask == nullptr;
  Walk walk(image, first + begin);
  for (std::int64_t row = begin; row < end; ++row, walk.next()) {
    Vector<L> tile[kPoints], out[kOut * kOut];
    const float* from = m.data + (row * m.blocks + slot) * L;
#pragma GCC unroll 36
    for (int p = 0; p < kPoints; ++p) tile[p] = Vector<L>(from + p * m.stride);
    both_ways<kTile, kOut>(tile, out, output_transform<L>);
    const std::int64_t corner = walk.plane(block, L) + (walk.y() * image.width + walk.x()) * L;
    const std::int64_t rows = least(kOut, image.height - walk.y());
    const std::int64_t columns = least(kOut, image.width - walk.x());
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t at = corner + i * image.width * L;
      if (plain)
        for (std::int64_t j = 0; j < columns; ++j) out[i * kOut + j].store(y + at + j * L);
      else
        write_row(out + i * kOut, columns, bias, finish, passes, at, y);
    }
  }
}

/// Returns where channel block `slot` of row 0 stands in panels, and the floats between rows.
struct PanelPlace {
  float* data;
  std::int64_t row;
};
PanelPlace in_panels(const Matrices& m, std::int64_t slot, int lanes) {
  const std::int64_t start = slot / kPanel * kPanel;
  const std::int64_t width = least(kPanel, m.blocks - start) * lanes;
  return {m.data + start * lanes * m.rows + slot % kPanel * lanes, width};
}

template <int L>
void output_gradient(const float* dy, const Image& image, std::int64_t block, std::int64_t slot,
                     std::int64_t first, std::int64_t begin, std::int64_t end, const Matrices& m) {
  const PanelPlace place = in_panels(m, slot, L);
  Walk walk(image, first + begin);
  for (std::int64_t row = begin; row < end; ++row, walk.next()) {
    Vector<L> tile[kOut * kOut], out[kPoints];
    load_tile<kOut>(dy + walk.plane(block, L), image, walk.y(), walk.x(), tile);
    both_ways<kOut, kTile>(tile, out, output_gradient_transform<L>);
    float* to = place.data + row * place.row;
#pragma GCC unroll 36
    for (int p = 0; p < kPoints; ++p) out[p].store(to + p * m.stride);
  }
}

template <int L>
void weights(const float* from, std::int64_t outputs, std::int64_t inputs, bool rotated,
             std::int64_t block, std::int64_t slot, std::int64_t first, std::int64_t begin,
             std::int64_t end, const Matrices& u) {
  const PanelPlace place = in_panels(u, slot, L);
  const std::int64_t across = rotated ? inputs : outputs, along = rotated ? outputs : inputs;
  const std::int64_t real = least(L, across - block * L);
  const std::int64_t lane_step = (rotated ? 1 : inputs) * 9, row_step = (rotated ? inputs : 1) * 9;
  for (std::int64_t row = begin; row < end; ++row) {
    float taps[9][L] = {};
    if (first + row < along) {
      const float* g = from + (first + row) * row_step + block * L * lane_step;
      for (std::int64_t l = 0; l < real; ++l)
        for (int k = 0; k < 9; ++k) taps[rotated ? 8 - k : k][l] = g[l * lane_step + k];
    }
    Vector<L> tile[9], out[kPoints];
    for (int k = 0; k < 9; ++k) tile[k] = Vector<L>(taps[k]);
    both_ways<3, kTile>(tile, out, weights_transform<L>);
    float* to = place.data + row * place.row;
#pragma GCC unroll 36
    for (int p = 0; p < kPoints; ++p) out[p].store(to + p * u.stride);
  }
}

template <int L>
void weights_gradient(const Matrices& du, std::int64_t parts, std::int64_t part_stride,
                      std::int64_t outputs, std::int64_t inputs, std::int64_t block,
                      std::int64_t slot, std::int64_t first, std::int64_t begin, std::int64_t end,
                      float* gradient) {
  const std::int64_t real = least(L, outputs - block * L);
  for (std::int64_t row = begin; row < least(end, inputs - first); ++row) {
    Vector<L> tile[kPoints], out[9];
    const float* from = du.data + (row * du.blocks + slot) * L;
#pragma GCC unroll 36
    for (int p = 0; p < kPoints; ++p) tile[p] = Vector<L>(from + p * du.stride);
    for (std::int64_t part = 1; part < parts; ++part)
#pragma GCC unroll 36
      for (int p = 0; p < kPoints; ++p)
        tile[p] += Vector<L>(from + part * part_stride + p * du.stride);
    both_ways<kTile, 3>(tile, out, weights_gradient_transform<L>);
    float taps[9][L];
    for (int k = 0; k < 9; ++k) out[k].store(taps[k]);
    float* to = gradient + (block * L * inputs + first + row) * 9;
    for (std::int64_t l = 0; l < real; ++l)
      for (int k = 0; k < 9; ++k) to[l * inputs * 9 + k] = taps[k][l];
  }
}

template <int L>
constexpr winograd::Kernels kKernels = {input<L>, output<L>, output_gradient<L>, weights<L>,
                                        weights_gradient<L>};

}  // namespace

extern const WinogradKernels winograd_table;
const WinogradKernels winograd_table = {kKernels<8>, kKernels<16>};

}  // namespace rung::kernels::RUNG_ISA
