#pragma once

#include <algorithm>
#include <memory>
#include <string>

#include "rung/graph/kernel.h"

namespace rung {

/// The kernel of ops that only read the same memory with another shape. Plans run nothing for it;
/// forward and backward copy, should a plan have given both sides their own memory.
class ViewKernel final : public Kernel {
 public:
  explicit ViewKernel(Format format) {
    input_formats = output_formats = {format};
    needs = Needs::nothing();
  }
  std::string name() const override { return "view"; }
  bool is_view() const override { return true; }
  int gradient_is_output(std::size_t) const override { return 0; }
  void forward(const Io& io) override { copy(io.input(0), io.output(0)); }
  void backward(const GradIo& io) override {
    if (io.wants(0)) copy(io.output_grad(0), io.input_grad(0));
  }

 private:
  static void copy(const View& from, const View& to) {
    if (from.data != to.data) std::copy_n(from.data, from.count, to.data);
  }
};

}  // namespace rung
