// onnxruntime_agreement prepare FOLDER [--all [MODEL.rung]]; onnxruntime_agreement compare FOLDER

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cases.h"

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  try {
    if (arguments.size() >= 2 && arguments[0] == "prepare") {
      const bool all = arguments.size() > 2 && arguments[2] == "--all";
      agreement::prepare(arguments[1], all, arguments.size() > 3 ? arguments[3] : "");
      return 0;
    }
    if (arguments.size() == 2 && arguments[0] == "compare")
      return agreement::compare(arguments[1]) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  std::fprintf(stderr, "usage: prepare FOLDER [--all [MODEL.rung]] | compare FOLDER\n");
  return 2;
}
