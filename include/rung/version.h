#pragma once

// The version of the headers; meson.build checks that it is the project's.

#define RUNG_VERSION_MAJOR 0
#define RUNG_VERSION_MINOR 1
#define RUNG_VERSION_PATCH 0
#define RUNG_VERSION "0.1.0"

/// For #if: RUNG_VERSION_NUMBER >= 10203 is version 1.2.3 or newer.
#define RUNG_VERSION_NUMBER \
  (RUNG_VERSION_MAJOR * 10000 + RUNG_VERSION_MINOR * 100 + RUNG_VERSION_PATCH)
