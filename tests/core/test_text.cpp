// What people see of text that comes from elsewhere.

#include <doctest/doctest.h>

#include <string>

#include "rung/core/error.h"
#include "rung/core/text.h"

using namespace rung;

TEST_SUITE("core text") {
  TEST_CASE("text that a terminal may show stays as it is") {
    for (const char* text : {"", "conv1.weight", "/0/Conv_output_0", "Größe", "重み", "a\\b \"c\""})
      CHECK(printable(text) == text);
  }

  TEST_CASE("control characters are escaped, however they are written") {
    CHECK(printable("a\x1b[31mb") == "a\\x1b[31mb");
    CHECK(printable(std::string_view("\0\x07\x7f", 3)) == "\\x00\\x07\\x7f");
    CHECK(printable("two\nlines\tand\r") == "two\\nlines\\tand\\x0d");
    CHECK(printable("\u009b31m") == "\\x9b31m");  // C1 as UTF-8
    CHECK(printable("\x9b[m") == "\\x9b[m");      // and as one byte, which is no UTF-8
    CHECK(printable("a\u202eb\u2028c\ufeff") == "a\\u202eb\\u2028c\\ufeff");
  }

  TEST_CASE("bytes that are no UTF-8 are escaped one by one") {
    CHECK(printable("\xc3") == "\\xc3");           // cut off
    CHECK(printable("\xc0\x9b") == "\\xc0\\x9b");  // longer than it has to be
    CHECK(printable("\xe0\x80\x9b") == "\\xe0\\x80\\x9b");
    CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");  // half of a surrogate pair
    CHECK(printable("\xf5\x80\x80\x80") == "\\xf5\\x80\\x80\\x80");
    CHECK(printable("\xf0\x9f\x98\x80") == "\xf0\x9f\x98\x80");
  }

  TEST_CASE("long text keeps its beginning and its end") {
    CHECK(shortened(std::string(200, 'a'), 200) == std::string(200, 'a'));
    const std::string text = shortened("begin" + std::string(1'000'000, 'x') + "end", 200);
    CHECK(text.size() <= 200);
    CHECK(text.starts_with("beginx"));
    CHECK(text.ends_with("xend"));
    CHECK(text.find("bytes ...]") != std::string::npos);
    std::string umlauts;
    for (int i = 0; i < 1000; ++i) umlauts += "ü";
    for (std::size_t most = 100; most < 104; ++most) {
      const std::string cut = shortened(umlauts, most);
      CHECK(cut.size() <= most);
      CHECK(printable(cut) == cut);
    }
  }

  TEST_CASE("every Error is one line of some hundred characters") {
    CHECK(std::string(Error("conv1: got 3").what()) == "conv1: got 3");
    CHECK(std::string(Error("a\nb\x1b").what()) == "a\\nb\\x1b");
    for (const char c : {'x', '\x1b', '\xff'}) {
      const std::string text = Error("who: " + std::string(5'000'000, c) + " remedy").what();
      CHECK(text.size() <= 1000);
      CHECK(text.starts_with("who: "));
      CHECK(text.ends_with(" remedy"));
    }
    // Wrapped in others it is not cut again and again.
    Error error("who: " + std::string(5000, 'x'));
    for (int i = 0; i < 5; ++i) error = Error(std::string("file.onnx: ") + error.what());
    const std::string text = error.what();
    CHECK(text.size() <= 1000);
    CHECK(text.find("[...") == text.rfind("[..."));
  }
}
