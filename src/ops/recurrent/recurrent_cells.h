#pragma once

#include <cmath>
#include <cstdint>

// What one step of a recurrent cell does with one row of a batch. `a` are the gates' sums over the
// input, `b` those over the last state, each of kGates * hidden numbers. Equations: ONNX, operators
// GRU, LSTM and RNN.

namespace rung {

inline float gate(float x) { return 1.0f / (1.0f + std::exp(-x)); }

/// The state before and after a step, and the gradients that a step passes on.
struct CellRow {
  const float* a;
  const float* b;
  const float *h_before, *c_before;  ///< c of LSTM only
  float *h, *c;
};
struct CellGradients {
  const float* dh;        ///< of the state after the step
  float *da, *db;         ///< may be the memory of a and b
  float *dh_before, *dc;  ///< dc: of the cell state after the step, then before it
};

struct RnnCell {
  static constexpr std::string_view kType = "RNN";
  static constexpr std::int64_t kGates = 1;
  static constexpr bool kHasCellState = false;
  bool relu = false;

  void step(const CellRow& row, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const float sum = row.a[j] + row.b[j];
      row.h[j] = relu ? std::fmax(sum, 0.0f) : std::tanh(sum);
    }
  }
  void backward(const CellRow& row, const CellGradients& g, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const float h = row.h[j];
      const float slope = relu ? (h > 0.0f ? 1.0f : 0.0f) : 1.0f - h * h;
      g.da[j] = g.db[j] = g.dh[j] * slope;
      g.dh_before[j] = 0.0f;
    }
  }
};

/// Without linear_before_reset the last third of b comes from the state that the reset gate has
/// scaled, and its gradient goes that way: see RecurrentKernel.
struct GruCell {
  static constexpr std::string_view kType = "GRU";
  static constexpr std::int64_t kGates = 3;
  static constexpr bool kHasCellState = false;
  bool linear_before_reset = false;

  void step(const CellRow& row, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const float z = gate(row.a[j] + row.b[j]);
      const float n = proposal(row, j, hidden, reset(row, j, hidden));
      row.h[j] = (1.0f - z) * n + z * row.h_before[j];
    }
  }
  void backward(const CellRow& row, const CellGradients& g, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const float z = gate(row.a[j] + row.b[j]), r = reset(row, j, hidden);
      const float n = proposal(row, j, hidden, r), last = row.b[2 * hidden + j];
      const float dn = g.dh[j] * (1.0f - z) * (1.0f - n * n);
      const float dz = g.dh[j] * (row.h_before[j] - n) * z * (1.0f - z);
      const float dr = linear_before_reset ? dn * last * r * (1.0f - r) : 0.0f;
      g.dh_before[j] = g.dh[j] * z;
      g.da[j] = g.db[j] = dz;
      g.da[hidden + j] = g.db[hidden + j] = dr;
      g.da[2 * hidden + j] = dn;
      g.db[2 * hidden + j] = linear_before_reset ? dn * r : dn;
    }
  }
  static float reset(const CellRow& row, std::int64_t j, std::int64_t hidden) {
    return gate(row.a[hidden + j] + row.b[hidden + j]);
  }

 private:
  float proposal(const CellRow& row, std::int64_t j, std::int64_t hidden, float r) const {
    const float last = row.b[2 * hidden + j];
    return std::tanh(row.a[2 * hidden + j] + (linear_before_reset ? r * last : last));
  }
};

struct LstmCell {
  static constexpr std::string_view kType = "LSTM";
  static constexpr std::int64_t kGates = 4;
  static constexpr bool kHasCellState = true;

  void step(const CellRow& row, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const Gates s = gates(row, j, hidden);
      row.c[j] = s.f * row.c_before[j] + s.i * s.g;
      row.h[j] = s.o * std::tanh(row.c[j]);
    }
  }
  void backward(const CellRow& row, const CellGradients& g, std::int64_t hidden) const {
    for (std::int64_t j = 0; j < hidden; ++j) {
      const Gates s = gates(row, j, hidden);
      const float t = std::tanh(row.c[j]);
      const float dc = g.dc[j] + g.dh[j] * s.o * (1.0f - t * t);
      const float all[4] = {dc * s.g * s.i * (1.0f - s.i), g.dh[j] * t * s.o * (1.0f - s.o),
                            dc * row.c_before[j] * s.f * (1.0f - s.f),
                            dc * s.i * (1.0f - s.g * s.g)};
      for (std::int64_t k = 0; k < 4; ++k) g.da[k * hidden + j] = g.db[k * hidden + j] = all[k];
      g.dc[j] = dc * s.f;
      g.dh_before[j] = 0.0f;
    }
  }

 private:
  struct Gates {
    float i, o, f, g;
  };
  static Gates gates(const CellRow& row, std::int64_t j, std::int64_t hidden) {
    const auto sum = [&](std::int64_t k) { return row.a[k * hidden + j] + row.b[k * hidden + j]; };
    return {gate(sum(0)), gate(sum(1)), gate(sum(2)), std::tanh(sum(3))};
  }
};

}  // namespace rung
