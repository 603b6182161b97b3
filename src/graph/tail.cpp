#include "rung/graph/tail.h"

namespace rung {

std::optional<Tails> Tails::of(std::span<const Tail> tails) {
  using Kind = Tail::Kind;
  Tails found;
  const auto take = [&](Kind kind) -> const Tail* {
    if (tails.empty() || tails[0].kind != kind) return nullptr;
    const Tail* taken = &tails[0];
    tails = tails.subspan(1);
    return taken;
  };
  if (tails.size() > 1 && tails[0].kind == Kind::quantizer && tails[1].kind == Kind::addition)
    found.quantizer_before_addition = take(Kind::quantizer);
  found.addition = take(Kind::addition);
  found.clip = take(Kind::clip);
  found.quantizer = take(Kind::quantizer);
  if (!tails.empty()) return std::nullopt;
  return found;
}

}  // namespace rung
