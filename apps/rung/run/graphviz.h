#pragma once

#include <string>

namespace rung::cli {

/// Writes a drawing in Graphviz's language, *.dot, or as the picture that Graphviz makes of it,
/// *.svg. Throws Error for another name, where there is no Graphviz, and for what it says.
void write_drawing(const std::string& path, const std::string& dot);

/// Returns what is wrong with the name of such a file; empty if nothing is.
std::string check_drawing_name(const std::string& path);

}  // namespace rung::cli
