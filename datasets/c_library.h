#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstring>
#include <string>

#include "core/check.h"

namespace rung::datasets {

/// Calls functions of a C library that reports errors to a function which must not return. The jump
/// out of it passes the library's frames and that of `call`, whose variables must have no
/// destructors: what needs memory of its own is made outside.
class CLibrary {
 public:
  /// `name` is the file's, for errors.
  explicit CLibrary(const std::string& name) : name_(name) {}

  /// Calls `call()`. Throws Error if the library gives up in it.
  template <typename Call>
  void run(const Call& call) {
    if (setjmp(before_) != 0) fail("{}: the image is damaged ({})", name_, damage_);
    call();
  }

  /// For the library's error function, within run(): ends it with what is wrong.
  [[noreturn]] void give_up(const char* damage) {
    std::strncpy(damage_, damage, kMostText);
    std::longjmp(before_, 1);
  }

 private:
  static constexpr std::size_t kMostText = 255;

  const std::string& name_;
  std::jmp_buf before_;
  char damage_[kMostText + 1] = {};
};

}  // namespace rung::datasets
