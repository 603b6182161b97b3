#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "rung/ops/quantizer_handle.h"

namespace rung::quantsim {

/// Remembers quantizers, settings and ranges, and puts them back when it dies unless keep() was
/// called: what gives calibration and loading the strong guarantee.
class Rollback {
 public:
  explicit Rollback(const std::vector<QuantizerHandle>& quantizers);
  ~Rollback();
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void keep() { kept_ = true; }

 private:
  struct Value {
    Parameter* parameter;
    Tensor tensor;
    bool requires_grad;
  };
  struct Saved {
    QuantizeDequantize* op;
    std::unique_ptr<Quantizer> quantizer;
    bool initialized, enabled, frozen;
    std::vector<Value> values;
  };
  std::vector<Saved> saved_;
  bool kept_ = false;
};

}  // namespace rung::quantsim
