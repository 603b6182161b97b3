#pragma once

#include <string>
#include <string_view>

// The report of an analysis: one page of HTML, the parts in this folder, put together by Meson,
// whose text the program contains.

namespace rung::report {

/// Returns the page with these data in it, JSON without "<" (README.md beside this says which).
std::string page(std::string_view data);

}  // namespace rung::report
