#include "rung/core/error.h"

#include "core/check.h"
#include "rung/core/text.h"

namespace rung {
namespace {

// What a file can make long is cut here, and what it could tell a terminal is escaped. Messages are
// wrapped in others on their way up: a cut one leaves room for that.
constexpr std::size_t kLongest = 1000, kLeft = 700;

std::string one_line(const std::string& message) {
  // Bytes may become four characters each: cut before, so that the work has a bound, too.
  const std::string text =
      printable(message.size() > kLongest ? shortened(message, kLeft) : message);
  return text.size() > kLongest ? shortened(text, kLeft) : text;
}

}  // namespace

Error::Error(const std::string& message) : std::runtime_error(one_line(message)) {}

void detail::throw_error(fmt::string_view text, fmt::format_args arguments) {
  throw Error(fmt::vformat(text, arguments));
}

}  // namespace rung
