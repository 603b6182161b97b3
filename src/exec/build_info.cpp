#include "rung/build_info.h"

#include "backend/onednn.h"
#include "kernels/dispatch.h"

namespace rung {
namespace {

#ifdef __clang__
constexpr const char* kCompiler = "Clang " __clang_version__;
#else
constexpr const char* kCompiler = "GCC " __VERSION__;
#endif

}  // namespace

BuildInfo build_info() {
  return {.compiler = kCompiler,
          .instruction_set = std::string(kernels::isa_name()),
          .onednn = backend::version(),
          .onednn_isa = backend::isa_name()};
}

}  // namespace rung
