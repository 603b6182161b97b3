#include "quantsim/rollback.h"

namespace rung::quantsim {

Rollback::Rollback(const std::vector<QuantizerHandle>& quantizers) {
  for (const QuantizerHandle& each : quantizers) {
    QuantizeDequantize& op = each.op();
    Saved saved{&op, op.quantizer().clone(), op.initialized(), op.enabled(), op.frozen(), {}};
    for (Parameter* parameter : each.parameters())
      saved.values.push_back({parameter, parameter->value().clone(), parameter->requires_grad()});
    saved_.push_back(std::move(saved));
  }
}

Rollback::~Rollback() {
  if (kept_) return;
  for (Saved& saved : saved_) {
    saved.op->set_quantizer(std::move(saved.quantizer));
    saved.op->set_initialized(saved.initialized);
    saved.op->set_enabled(saved.enabled);
    saved.op->set_frozen(saved.frozen);
    for (const Value& value : saved.values) {
      value.parameter->edit().copy_from(value.tensor);
      value.parameter->set_requires_grad(value.requires_grad);
    }
  }
}

}  // namespace rung::quantsim
