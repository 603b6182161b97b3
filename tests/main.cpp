// Both: the precompiled header has read doctest already, and the second follows from the first only
// where it is read for the first time.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
