#include "kernels/elementwise.h"

namespace rung::kernels::RUNG_ISA {
namespace {

void clip(const float* x, float* y, std::int64_t count, float low, float high) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float above = x[i] < low ? low : x[i];
    y[i] = above > high ? high : above;
  }
}

void clip_backward(const float* x, const float* dy, float* dx, std::int64_t count, float low,
                   float high) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = ((x[i] > low) & (x[i] < high)) ? dy[i] : 0.0f;
}

void leaky_relu(const float* x, float* y, std::int64_t count, float alpha) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = x[i] > 0.0f ? x[i] : alpha * x[i];
}

void leaky_relu_backward(const float* x, const float* dy, float* dx, std::int64_t count,
                         float alpha) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = x[i] > 0.0f ? dy[i] : alpha * dy[i];
}

void multiply(const float* a, const float* b, float* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = a[i] * b[i];
}

void sigmoid_backward(const float* y, const float* dy, float* dx, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}

}  // namespace

const ElementwiseKernels elementwise = {clip,     clip_backward,   leaky_relu, leaky_relu_backward,
                                        multiply, sigmoid_backward};

}  // namespace rung::kernels::RUNG_ISA
