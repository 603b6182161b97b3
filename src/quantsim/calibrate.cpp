// compute_encodings: weights first, from their present values; then activations, observed
// unquantized while the weights are already quantized, so that they carry the weights' noise.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/format.h"
#include "quantsim/fixed_sides.h"
#include "quantsim/batch_norm_fold.h"
#include "quantsim/impl.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

/// Remembers every quantizer and puts it back unless keep() is called.
class Rollback {
 public:
  explicit Rollback(const std::vector<QuantizerHandle>& quantizers) {
    for (const QuantizerHandle& each : quantizers) {
      Saved saved{
          &each.op(), each.op().quantizer().clone(), each.op().initialized(), each.op().mode(), {}};
      for (Parameter* parameter : each.parameters())
        saved.values.emplace_back(parameter, parameter->value().clone());
      saved_.push_back(std::move(saved));
    }
  }
  ~Rollback() {
    if (kept_) return;
    for (Saved& saved : saved_) {
      saved.op->cancel_observing();
      saved.op->set_quantizer(std::move(saved.quantizer));
      saved.op->set_initialized(saved.initialized);
      saved.op->set_mode(saved.mode);
      for (auto& [parameter, value] : saved.values) parameter->edit().copy_from(value);
    }
  }
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  void keep() { kept_ = true; }

 private:
  struct Saved {
    QuantizeDequantize* op;
    std::unique_ptr<Quantizer> quantizer;
    bool initialized;
    QuantizeMode mode;
    std::vector<std::pair<Parameter*, Tensor>> values;
  };
  std::vector<Saved> saved_;
  bool kept_ = false;
};

bool is_calibrated(const QuantizerHandle& quantizer) {
  return quantizer.enabled() && !quantizer.frozen() && !quantizer.parameters().empty() &&
         !quantizer.op().quantizer().pass_through();
}

void calibrate_parameter(const QuantizerHandle& quantizer) {
  const Tensor numbers = quantsim::parameter_numbers(quantizer.source());
  try {
    quantizer.op().begin_observing();
    quantizer.op().observe(numbers.data(), numbers.shape());
    quantizer.op().finish_observing(quantizer.parameters());
  } catch (const Error& error) {
    fail("compute_encodings: parameter {}: {}", quantizer.name(), error.what());
  }
}

}  // namespace

void QuantizationSimModel::compute_encodings(const Callback& callback, CalibrationOptions options) {
  require(static_cast<bool>(callback), "compute_encodings: the callback is empty");
  std::vector<QuantizerHandle> all = quantizers();
  Rollback rollback(all);
  const quantsim::FixedSides fixed_sides(*this);

  std::vector<QuantizerHandle> observed;
  for (const QuantizerHandle& each : all) {
    const bool is_parameter = each.place() == QuantizerPlace::parameter;
    if (is_parameter && is_calibrated(each)) calibrate_parameter(each);
    if (is_parameter) continue;
    each.op().set_mode(QuantizeMode::pass);  // a frozen one does not quantize meanwhile either
    if (!is_calibrated(each)) continue;
    each.op().begin_observing();
    observed.push_back(each);
  }

  callback(impl_->executor);

  std::vector<std::string> unobserved;
  for (const QuantizerHandle& each : observed) {
    if (each.op().observed_count() == 0) {
      each.op().cancel_observing();
      unobserved.push_back(each.name());
    } else {
      each.op().finish_observing(each.parameters());
      fixed_sides.restore(each);
    }
  }
  require(unobserved.empty() || options.allow_unobserved,
          "compute_encodings: no data went through {} of {} quantizers: {}", unobserved.size(),
          observed.size(), fmt::join(unobserved, ", "));
  for (QuantizerHandle& each : all) {
    each.op().set_mode(QuantizeMode::quantize);
    each.set_learned(is_range_learning(impl_->options.quant_scheme) && each.initialized() &&
                     !each.frozen());
    fixed_sides.keep_from_training(each);
  }
  rollback.keep();
}

}  // namespace rung
