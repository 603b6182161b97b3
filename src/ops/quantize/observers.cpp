#include "rung/ops/observers.h"

#include <utility>

#include "core/check.h"
#include "rung/ops/quantize_dequantize.h"

namespace rung {

namespace {

const QuantizeDequantize& quantizer_of(const Node& node) {
  const auto* op = node.as<QuantizeDequantize>();
  require(op != nullptr, "Observers: {} is a {}, not a QuantizeDequantize node", node.name(),
          node.type());
  return *op;
}

}  // namespace

void Observers::observe(const Node& quantizer, std::string name) {
  const QuantizeDequantize& op = quantizer_of(quantizer);
  if (name.empty()) name = quantizer.name();
  require(find(op) == nullptr, "Observers: {} is observed already", quantizer.name());
  const auto [place, is_new] = seen_.emplace(std::move(name), Observation(op));
  require(is_new, "Observers: the name {} is taken", place->first);
  passing_[&op] = &place->second;
}

void Observers::observe_with(const Node& quantizer, const Node& first) {
  const QuantizeDequantize& op = quantizer_of(quantizer);
  require(find(op) == nullptr, "Observers: {} is observed already", quantizer.name());
  passing_[&op] = &at(first);
}

void Observers::pass(const Node& quantizer) { passing_.emplace(&quantizer_of(quantizer), nullptr); }

Observation* Observers::find(const Op& quantizer) const {
  const auto found = passing_.find(&quantizer);
  return found == passing_.end() ? nullptr : found->second;
}

Observation& Observers::at(const Node& quantizer) const {
  Observation* seen = find(quantizer.op());
  require(seen != nullptr, "Observers: {} is not observed", quantizer.name());
  return *seen;
}

Observers Observers::fresh() const {
  Observers result;
  std::map<const Observation*, Observation*> twin;
  for (const auto& [name, seen] : seen_)
    twin[&seen] = &result.seen_.emplace(name, seen.fresh()).first->second;
  for (const auto& [op, seen] : passing_)
    result.passing_[op] = seen == nullptr ? nullptr : twin.at(seen);
  return result;
}

void Observers::merge(const Observers& other) {
  for (const auto& [name, seen] : other.seen_)
    require(seen_.contains(name), "Observers::merge: {} is not observed here", name);
  require(other.seen_.size() == seen_.size(),
          "Observers::merge: {} quantizers are observed here, {} there", seen_.size(),
          other.seen_.size());
  for (const auto& [name, seen] : other.seen_) {
    try {
      seen_.at(name).check_like(seen);
    } catch (const Error& error) {
      fail("Observers::merge: {}: {}", name, error.what());
    }
  }
  for (const auto& [name, seen] : other.seen_) seen_.at(name).merge(seen);
}

}  // namespace rung
