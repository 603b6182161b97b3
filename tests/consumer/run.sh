#!/usr/bin/env bash
# Installs the build into a scratch folder, then compiles and runs a program outside of the tree
# against what is installed: through pkg-config, through CMake (where there is one), and against a
# static library of the same objects. Nothing tells the programs where the library is.
#
#   tests/consumer/run.sh BUILD SOURCE ARCHIVE
set -euo pipefail
build=$1
source=$2
archive=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset LD_LIBRARY_PATH
DESTDIR="$scratch" meson install -C "$build" --no-rebuild --quiet
prefix=$(find "$scratch" -type d -path '*/include/rung' -printf '%h\n' | head -1)
prefix=${prefix%/include}
pc=$(find "$scratch" -name rung.pc -printf '%h\n')
# Linked against sanitized objects, the program needs their runtime too.
sanitize=$(meson introspect --buildoptions "$build" |
  tr '{' '\n' | sed -n 's/.*"name": "b_sanitize".*"value": "\([^"]*\)".*/\1/p')
flags=()
[ -z "$sanitize" ] || [ "$sanitize" = none ] || flags=("-fsanitize=$sanitize")

fail() { echo "consumer: $1" >&2; exit 1; }
for file in share/rung/configs/htp.json share/rung/tutorials/02_train_and_quantize.cpp \
  include/rung/version.h; do
  [ -f "$prefix/$file" ] || fail "$file is not installed"
done
[ ! -x "$prefix/bin/rung" ] || "$prefix/bin/rung" --version >/dev/null ||
  fail "the installed program does not find its library"

echo "through pkg-config"
export PKG_CONFIG_PATH=$pc PKG_CONFIG_SYSROOT_DIR=
! grep -q '^Requires' "$pc/rung.pc" || fail "rung.pc requires packages that a user need not have"
flags_of() { pkg-config --define-variable=prefix="$prefix" "$@" rung; }
! flags_of --cflags --libs | grep -q openmp || fail "a user's program is to be compiled with OpenMP"
read -r -a cflags <<<"$(flags_of --cflags)"
read -r -a libs <<<"$(flags_of --libs)"
${CXX:-g++} -O2 -Wall -Wextra -Werror "${flags[@]}" "$source/tests/consumer/main.cpp" \
  "${cflags[@]}" "${libs[@]}" -o "$scratch/consumer"
# A library in /usr is found by the loader; elsewhere programs carry its place.
grep -q rpath "$pc/rung.pc" || export LD_LIBRARY_PATH=$pc/..
"$scratch/consumer"
unset LD_LIBRARY_PATH

echo "against a static library"
mkdir "$scratch/static"
# The archive is a thin one: it names its objects by their place in the build folder.
archive=$(realpath "$archive")
(cd "$(dirname "$archive")" && ar t "$archive" | xargs ar rcs "$scratch/static/librung.a")
read -r -a static_libs <<<"$(flags_of --static --libs | sed "s|-L[^ ]*|-L$scratch/static|; s|-Wl,-rpath,[^ ]*||")"
${CXX:-g++} -O2 "${flags[@]}" "$source/tests/consumer/main.cpp" "${cflags[@]}" \
  "${static_libs[@]}" -o "$scratch/consumer_static"
! ldd "$scratch/consumer_static" | grep -q librung || fail "the static program wants librung.so"
"$scratch/consumer_static"

if ! command -v cmake >/dev/null; then
  echo "consumer: no cmake here, find_package(rung) is NOT tested" >&2
  exit 0
fi
echo "through CMake"
mkdir "$scratch/cmake"
cat >"$scratch/cmake/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.16)
project(consumer CXX)
find_package(rung 0.1 REQUIRED)
add_executable(consumer $source/tests/consumer/main.cpp)
target_link_libraries(consumer rung::rung)
target_compile_options(consumer PRIVATE ${flags[*]})
target_link_options(consumer PRIVATE ${flags[*]})
EOF
cmake -S "$scratch/cmake" -B "$scratch/cmake/build" -DCMAKE_PREFIX_PATH="$prefix" \
  -Drung_DIR="$pc/../cmake/rung" -DCMAKE_CXX_COMPILER="${CXX:-g++}" >"$scratch/cmake/log" ||
  { cat "$scratch/cmake/log" >&2; exit 1; }
cmake --build "$scratch/cmake/build" >"$scratch/cmake/log" || { cat "$scratch/cmake/log" >&2; exit 1; }
"$scratch/cmake/build/consumer"
