#include "core/join.h"

template <typename Element>
fmt::format_context::iterator fmt::formatter<rung::Joined<Element>>::format(
    const rung::Joined<Element>& list, fmt::format_context& context) const {
  auto out = context.out();
  std::string_view before;
  for (const Element& element : list.elements) {
    out = fmt::format_to(out, "{}{}", before, element);
    before = list.separator;
  }
  return out;
}

template struct fmt::formatter<rung::Joined<std::int64_t>>;
template struct fmt::formatter<rung::Joined<std::string>>;
template struct fmt::formatter<rung::Joined<std::string_view>>;
