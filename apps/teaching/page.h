#pragma once

#include <string>
#include <string_view>

// The page for a lecture, quantizer.html: the parts in this folder, put together by Meson, whose
// texts the program contains.

namespace rung::teaching {

/// Returns the page with these numbers in it, JSON without "<": layers of a network, as rung teach
/// --sample writes them, and a run, as rung trace writes it.
std::string page(std::string_view sample, std::string_view trace);
/// Returns the numbers that come along: layers of the quickstart's ResNet-8.
std::string_view sample();
/// Returns the run that comes along.
std::string_view trace();

}  // namespace rung::teaching
