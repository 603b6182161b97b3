// Tutorial 1: what quantization does to one number, and what gradients pass it.
//
// Everything here is in rung/quant/fake_quantize.h, which works on whole tensors in the same way.

#include <cstdio>
#include <vector>

#include "rung/quant/encoding.h"
#include "rung/quant/fake_quantize.h"

int main() {
  using namespace rung;

  // 1. Calibration saw numbers from -0.9 to 2.85. Four bits have 16 codes; one must be zero.
  const int bitwidth = 4;
  const Range observed{-0.9f, 2.85f};
  const Grid grid = make_grid(bitwidth, Symmetry::asymmetric);
  const Range range = legal_range(observed, grid, Symmetry::asymmetric);
  const Encoding encoding = encoding_from_range(range, bitwidth, Symmetry::asymmetric);
  const Range exact = encoding.effective_range();

  std::printf("observed %g .. %g, %d bits: codes %d .. %d\n", double{observed.min},
              double{observed.max}, bitwidth, static_cast<int>(grid.qmin),
              static_cast<int>(grid.qmax));
  std::printf("  scale  = (max - min) / %d steps  = %g\n", static_cast<int>(grid.steps()),
              double{encoding.scale[0]});
  std::printf("  offset = rint(min / scale)       = %d, so code %d means 0\n",
              static_cast<int>(encoding.offset[0]), static_cast<int>(-encoding.offset[0]));
  std::printf("  the codes mean %g .. %g: the range moved to keep zero exact\n\n",
              double{exact.min}, double{exact.max});

  // 2. Numbers go through: quantize, dequantize, and the straight-through gradient for dy = 1.
  struct Example {
    float x;
    const char* what;
  };
  const std::vector<Example> examples = {
      {0.60f, "rounded to the nearest step"},
      {0.625f, "a tie: 2.5 steps go to the even 2"},
      {0.875f, "a tie: 3.5 steps go to the even 4"},
      {0.00f, "zero is always exact"},
      {2.75f, "the last code: the gradient passes"},
      {3.00f, "one step beyond: clipped, no gradient"},
      {-9.00f, "far outside: clipped, no gradient"},
  };
  std::printf("       x  x/scale  code      x'   x'-x dx/dy  d/dmin  d/dmax\n");
  for (const auto& [x, what] : examples) {
    const Shape shape{1};
    const auto code = quantize({&x, 1}, shape, encoding);
    const auto back = dequantize(code, shape, encoding);
    const float dy = 1.0f;
    float dx = 0.0f, dmin = 0.0f, dmax = 0.0f;
    const auto gradient =
        quantize_dequantize_backward({&x, 1}, {&dy, 1}, shape, encoding, {&dx, 1});
    range_gradient(gradient, encoding, {&range.min, 1}, {&dmin, 1}, {&dmax, 1});
    std::printf("%8.3f %8.3f %5d %7.3f %6.3f %5.0f %7.3f %7.3f  %s\n", double{x},
                double{x / encoding.scale[0]}, static_cast<int>(code[0]), double{back[0]},
                double{back[0] - x}, double{dx}, double{dmin}, double{dmax}, what);
  }

  // 3. What the columns say about training.
  std::printf(
      "\n"
      "Rounding is a staircase: its true gradient is 0, and nothing would learn. The\n"
      "straight-through estimator pretends that rounding is not there: dx = dy on the\n"
      "grid and 0 where the number was clipped. A clipped number pulls at the end of the\n"
      "range instead (d/dmax near 1 above, d/dmin near 1 below): that is how min and max\n"
      "are learned.\n");
  return 0;
}
