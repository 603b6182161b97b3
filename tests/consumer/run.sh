#!/usr/bin/env bash
# Installs the build into a scratch folder, then compiles and runs a program outside of the tree
# against the installed headers, library and pkg-config file.
set -euo pipefail
build=$1
source=$2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
DESTDIR="$scratch" meson install -C "$build" --no-rebuild --quiet
prefix=$(find "$scratch" -type d -path '*/include/rung' -printf '%h\n' | head -1)
prefix=${prefix%/include}
pc=$(find "$scratch" -name rung.pc -printf '%h\n')
# Linked against sanitized objects, the program needs their runtime too.
sanitize=$(meson introspect --buildoptions "$build" |
  tr '{' '\n' | sed -n 's/.*"name": "b_sanitize".*"value": "\([^"]*\)".*/\1/p')
flags=()
[ -z "$sanitize" ] || [ "$sanitize" = none ] || flags=("-fsanitize=$sanitize")
export PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=
read -r -a cflags <<<"$(pkg-config --define-variable=prefix="$prefix" --cflags rung)"
read -r -a libs <<<"$(pkg-config --define-variable=prefix="$prefix" --libs rung)"
${CXX:-g++} -O2 -Wall -Wextra -Werror "${flags[@]}" "$source/tests/consumer/main.cpp" \
  "${cflags[@]}" "${libs[@]}" -o "$scratch/consumer"
LD_LIBRARY_PATH=$(dirname "$pc") "$scratch/consumer"
