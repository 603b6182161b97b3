#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "rung/core/tensor.h"

// What every op computes, as the shortest loops that say so: the readable specification. Sums are
// in double; nothing is fast and nothing depends on the library but Tensor.

namespace rung::reference {

using Int = std::int64_t;

/// One element of [A, B, C, D].
inline float& at(Tensor& t, Int a, Int b, Int c, Int d) {
  return t.data()[((a * t.size(1) + b) * t.size(2) + c) * t.size(3) + d];
}
inline float at(const ConstTensor& t, Int a, Int b, Int c, Int d) {
  return t.data()[((a * t.size(1) + b) * t.size(2) + c) * t.size(3) + d];
}

template <typename Function>
Tensor map(const Tensor& x, const Function& function) {
  Tensor y(x.shape());
  for (Int i = 0; i < x.numel(); ++i) y.data()[i] = function(x.data()[i]);
  return y;
}

struct ConvSizes {
  Int stride = 1, padding = 0, dilation = 1, groups = 1;
};

/// y[n, o, i, j] = bias[o] + sum of x[n, c, i s - p + u d, j s - p + v d] * weight[o, c', u, v]
/// over the channels c of o's group.
inline Tensor conv(const Tensor& x, const ConstTensor& weight, const Tensor* bias,
                   const ConvSizes& g) {
  const Int outs = weight.size(0), per_group = weight.size(1);
  const Int kh = weight.size(2), kw = weight.size(3), h = x.size(2), w = x.size(3);
  const Int oh = (h + 2 * g.padding - g.dilation * (kh - 1) - 1) / g.stride + 1;
  const Int ow = (w + 2 * g.padding - g.dilation * (kw - 1) - 1) / g.stride + 1;
  Tensor y(Shape{x.size(0), outs, oh, ow});
  for (Int n = 0; n < x.size(0); ++n)
    for (Int o = 0; o < outs; ++o)
      for (Int i = 0; i < oh; ++i)
        for (Int j = 0; j < ow; ++j) {
          double sum = bias ? bias->data()[o] : 0.0;
          for (Int c = 0; c < per_group; ++c)
            for (Int u = 0; u < kh; ++u)
              for (Int v = 0; v < kw; ++v) {
                const Int row = i * g.stride - g.padding + u * g.dilation;
                const Int column = j * g.stride - g.padding + v * g.dilation;
                if (row < 0 || row >= h || column < 0 || column >= w) continue;
                const Int channel = o / (outs / g.groups) * per_group + c;
                sum += static_cast<double>(at(x, n, channel, row, column)) * at(weight, o, c, u, v);
              }
          at(y, n, o, i, j) = static_cast<float>(sum);
        }
  return y;
}

/// y[n, o] = bias[o] + sum_i x[n, i] weight[o, i].
inline Tensor gemm(const Tensor& x, const Tensor& weight, const Tensor* bias) {
  const Int rows = x.size(0), inputs = x.size(1), outputs = weight.size(0);
  Tensor y(Shape{rows, outputs});
  for (Int n = 0; n < rows; ++n)
    for (Int o = 0; o < outputs; ++o) {
      double sum = bias ? bias->data()[o] : 0.0;
      for (Int i = 0; i < inputs; ++i)
        sum += static_cast<double>(x.data()[n * inputs + i]) * weight.data()[o * inputs + i];
      y.data()[n * outputs + o] = static_cast<float>(sum);
    }
  return y;
}

struct BatchStatistics {
  std::vector<double> mean, variance;  ///< per channel; biased
};

inline BatchStatistics batch_statistics(const Tensor& x) {
  const Int count = x.size(0) * x.size(2) * x.size(3);
  BatchStatistics result;
  for (Int c = 0; c < x.size(1); ++c) {
    double sum = 0.0, squares = 0.0;
    const auto each = [&](const auto& body) {
      for (Int n = 0; n < x.size(0); ++n)
        for (Int i = 0; i < x.size(2); ++i)
          for (Int j = 0; j < x.size(3); ++j) body(static_cast<double>(at(x, n, c, i, j)));
    };
    each([&](double value) { sum += value; });
    const double mean = sum / static_cast<double>(count);
    each([&](double value) { squares += (value - mean) * (value - mean); });
    result.mean.push_back(mean);
    result.variance.push_back(squares / static_cast<double>(count));
  }
  return result;
}

/// y = (x - mean) / sqrt(variance + epsilon) * weight + bias, by channel. The statistics are the
/// batch's in training and the running ones in evaluation.
inline Tensor batch_norm(const Tensor& x, const BatchStatistics& statistics, const Tensor& weight,
                         const Tensor& bias, double epsilon) {
  Tensor y(x.shape());
  for (Int n = 0; n < x.size(0); ++n)
    for (Int c = 0; c < x.size(1); ++c)
      for (Int i = 0; i < x.size(2); ++i)
        for (Int j = 0; j < x.size(3); ++j)
          at(y, n, c, i, j) = static_cast<float>((at(x, n, c, i, j) - statistics.mean[c]) /
                                                     std::sqrt(statistics.variance[c] + epsilon) *
                                                     weight.data()[c] +
                                                 bias.data()[c]);
  return y;
}

/// gamma / sqrt(variance + epsilon), by channel: what folding multiplies weights by.
inline std::vector<double> fold_factors(const Tensor& gamma, const Tensor& variance,
                                        double epsilon) {
  std::vector<double> factors;
  for (Int c = 0; c < gamma.numel(); ++c)
    factors.push_back(gamma.data()[c] / std::sqrt(variance.data()[c] + epsilon));
  return factors;
}

/// y[o] = weight[o] * factor[o], for weight [O, ...].
inline Tensor folded_weight(const Tensor& weight, const std::vector<double>& factors) {
  const Int row = weight.numel() / weight.size(0);
  Tensor y(weight.shape());
  for (Int i = 0; i < weight.numel(); ++i)
    y.data()[i] = static_cast<float>(weight.data()[i] * factors[i / row]);
  return y;
}

/// y[o] = beta[o] + (bias[o] - mean[o]) * factor[o].
inline Tensor folded_bias(const Tensor& bias, const Tensor& beta, const Tensor& mean,
                          const std::vector<double>& factors) {
  Tensor y(bias.shape());
  for (Int o = 0; o < bias.numel(); ++o)
    y.data()[o] =
        static_cast<float>(beta.data()[o] + (double{bias.data()[o]} - mean.data()[o]) * factors[o]);
  return y;
}

/// u = x / factor + bias, by channel: what a layer would have computed without folding.
inline Tensor unfolded(const Tensor& x, const std::vector<double>& factors, const Tensor& bias) {
  Tensor u(x.shape());
  for (Int n = 0; n < x.size(0); ++n)
    for (Int c = 0; c < x.size(1); ++c)
      for (Int i = 0; i < x.size(2); ++i)
        for (Int j = 0; j < x.size(3); ++j)
          at(u, n, c, i, j) = static_cast<float>(at(x, n, c, i, j) / factors[c] + bias.data()[c]);
  return u;
}

inline Tensor relu(const Tensor& x) {
  return map(x, [](float v) { return v > 0.0f ? v : 0.0f; });
}
inline Tensor clip(const Tensor& x, float low, float high) {
  return map(x, [&](float v) { return std::min(std::max(v, low), high); });
}
inline Tensor leaky_relu(const Tensor& x, float alpha) {
  return map(x, [&](float v) { return v > 0.0f ? v : alpha * v; });
}
inline Tensor sigmoid(const Tensor& x) {
  return map(x, [](float v) { return static_cast<float>(1.0 / (1.0 + std::exp(-double(v)))); });
}

inline Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y(a.shape());
  for (Int i = 0; i < a.numel(); ++i) y.data()[i] = a.data()[i] + b.data()[i];
  return y;
}
inline Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor y(a.shape());
  for (Int i = 0; i < a.numel(); ++i) y.data()[i] = a.data()[i] * b.data()[i];
  return y;
}

/// Along axis 1 of [N, C, H, W].
inline Tensor concat(const std::vector<Tensor>& inputs) {
  Int channels = 0;
  for (const Tensor& x : inputs) channels += x.size(1);
  Tensor y(inputs[0].shape().with(1, channels));
  Int first = 0;
  for (const Tensor& x : inputs) {
    for (Int n = 0; n < x.size(0); ++n)
      for (Int c = 0; c < x.size(1); ++c)
        for (Int i = 0; i < x.size(2); ++i)
          for (Int j = 0; j < x.size(3); ++j) at(y, n, first + c, i, j) = at(x, n, c, i, j);
    first += x.size(1);
  }
  return y;
}

struct PoolSizes {
  Int kernel = 1, stride = 1, padding = 0;
  bool count_include_pad = true;
};

/// Calls body(n, c, i, j, values of the window that are not padding).
template <typename Body>
Tensor each_window(const Tensor& x, const PoolSizes& g, const Body& reduce) {
  const Int h = x.size(2), w = x.size(3);
  Tensor y(Shape{x.size(0), x.size(1), (h + 2 * g.padding - g.kernel) / g.stride + 1,
                 (w + 2 * g.padding - g.kernel) / g.stride + 1});
  for (Int n = 0; n < x.size(0); ++n)
    for (Int c = 0; c < x.size(1); ++c)
      for (Int i = 0; i < y.size(2); ++i)
        for (Int j = 0; j < y.size(3); ++j) {
          std::vector<float> window;
          for (Int u = 0; u < g.kernel; ++u)
            for (Int v = 0; v < g.kernel; ++v) {
              const Int row = i * g.stride - g.padding + u, column = j * g.stride - g.padding + v;
              if (row >= 0 && row < h && column >= 0 && column < w)
                window.push_back(at(x, n, c, row, column));
            }
          at(y, n, c, i, j) = reduce(window);
        }
  return y;
}

inline Tensor max_pool(const Tensor& x, const PoolSizes& g) {
  return each_window(x, g, [](const std::vector<float>& window) {
    return *std::max_element(window.begin(), window.end());
  });
}

inline Tensor average_pool(const Tensor& x, const PoolSizes& g) {
  return each_window(x, g, [&](const std::vector<float>& window) {
    double sum = 0.0;
    for (const float value : window) sum += value;
    const double count = g.count_include_pad ? static_cast<double>(g.kernel * g.kernel)
                                             : static_cast<double>(window.size());
    return static_cast<float>(sum / count);
  });
}

inline Tensor global_average_pool(const Tensor& x) {
  const Int pixels = x.size(2) * x.size(3);
  Tensor y(Shape{x.size(0), x.size(1), 1, 1});
  for (Int plane = 0; plane < y.numel(); ++plane) {
    double sum = 0.0;
    for (Int i = 0; i < pixels; ++i) sum += x.data()[plane * pixels + i];
    y.data()[plane] = static_cast<float>(sum / static_cast<double>(pixels));
  }
  return y;
}

/// Along an axis with `extent` elements, `inner` floats apart.
inline Tensor softmax(const Tensor& x, Int extent, Int inner) {
  Tensor y(x.shape());
  for (Int line = 0; line < x.numel() / extent; ++line) {
    const Int first = line / inner * extent * inner + line % inner;
    double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
    for (Int i = 0; i < extent; ++i)
      largest = std::max(largest, double(x.data()[first + i * inner]));
    for (Int i = 0; i < extent; ++i) sum += std::exp(x.data()[first + i * inner] - largest);
    for (Int i = 0; i < extent; ++i)
      y.data()[first + i * inner] =
          static_cast<float>(std::exp(x.data()[first + i * inner] - largest) / sum);
  }
  return y;
}

}  // namespace rung::reference
