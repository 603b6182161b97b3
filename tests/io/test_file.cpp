#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>

#include "doctest/doctest.h"
#include "io/files/atomic_file.h"
#include "io/files/file.h"
#include "io/files/json.h"
#include "rung/io/text_file.h"
#include "support/io_helpers.h"

using namespace rung::io;
using iotest::TemporaryFolder;
namespace fs = std::filesystem;

TEST_SUITE("io files") {
  TEST_CASE("an atomic file appears with commit and replaces the earlier one") {
    const TemporaryFolder folder;
    const fs::path path = folder / "a.txt";
    write_text_file(path, "first");
    fs::permissions(path, fs::perms(0600));
    {
      AtomicFile file(path);
      file.write("sec");
      file.write("ond");
      CHECK(read_text_file(path) == "first");
      CHECK(folder.file_count() == 2);
      file.commit();
      CHECK(message_of([&] { file.commit(); }).find("already closed") != std::string::npos);
    }
    CHECK(read_text_file(path) == "second");
    CHECK(fs::status(path).permissions() == fs::perms(0600));
    CHECK(folder.file_count() == 1);
  }

  TEST_CASE("an atomic file that is never committed leaves no trace") {
    const TemporaryFolder folder;
    { AtomicFile(folder / "a.txt").write("lost"); }
    CHECK(folder.file_count() == 0);
  }

  TEST_CASE("a full disk is an Error with the path and keeps the earlier file") {
    const TemporaryFolder folder;
    const fs::path path = folder / "a.txt";
    write_text_file(path, "earlier");
    const std::string large(1 << 20, 'x');
    const iotest::FileSizeLimit limit(4096);  // writes beyond it fail as on a full disk
    const std::string message = message_of([&] { write_text_file(path, large); });
    CHECK(message == path.string() + ": cannot write: File too large");
    CHECK(read_text_file(path) == "earlier");
    CHECK(folder.file_count() == 1);
  }

  TEST_CASE("a device without space reports ENOSPC") {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    CHECK(write_all(full, std::as_bytes(std::span("text"))) == ENOSPC);
    ::close(full);
  }

  TEST_CASE("a missing or unwritable folder, a folder and a device are refused for writing") {
    const TemporaryFolder folder;
    write_text_file(folder / "file", "x");
    for (const fs::path& path :
         {folder / "none" / "a.txt", folder / "file" / "a.txt", fs::path("/proc/rung-test")}) {
      CAPTURE(path.string());
      CHECK(message_of([&] {
              write_text_file(path, "x");
            }).starts_with(path.string() + ": cannot write in its folder: "));
    }
    CHECK(message_of([&] { write_text_file("/dev/full", "x"); }) ==
          "/dev/full: cannot write: is not a regular file");
    CHECK(message_of([&] { write_text_file(folder / "", "x"); }).find("not the name") !=
          std::string::npos);
    fs::create_directory(folder / "sub");
    CHECK(message_of([&] { write_text_file(folder / "sub", "x"); }).find("not a regular file") !=
          std::string::npos);
  }

  TEST_CASE("a symbolic link is followed, so that its target is replaced") {
    const TemporaryFolder folder;
    write_text_file(folder / "target", "old");
    fs::create_symlink("target", folder / "link");
    write_text_file(folder / "link", "new");
    CHECK(fs::is_symlink(folder / "link"));
    CHECK(read_text_file(folder / "target") == "new");
  }

  TEST_CASE("only regular files of a sane size are read") {
    const TemporaryFolder folder;
    CHECK(message_of([&] { read_text_file(folder / "none"); }) ==
          (folder / "none").string() + ": cannot open: No such file or directory");
    CHECK(message_of([&] { read_text_file(folder / ""); }).find("not a regular file") !=
          std::string::npos);
    REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
    CHECK(message_of([&] { read_text_file(folder / "pipe"); }).find("not a regular file") !=
          std::string::npos);
    CHECK(message_of([] { read_text_file("/dev/zero"); }).find("not a regular file") !=
          std::string::npos);
    write_text_file(folder / "a", "123456");
    CHECK(message_of([&] { read_text_file(folder / "a", 5); }).find("too large") !=
          std::string::npos);
  }
}

TEST_SUITE("io json") {
  TEST_CASE("what the JSON library would silently accept is refused") {
    const auto message = [](const std::string& text, JsonLimits limits = {}) {
      return message_of([&] { parse_json(text, "a.json", limits); });
    };
    CHECK(message(R"({"a": 1, "a": 2})") == R"(a.json: the key "a" appears twice)");
    CHECK(message("18446744073709551616") ==
          R"(a.json: the integer "18446744073709551616" does not fit into 64 bits)");
    CHECK(message("1e999").starts_with("a.json: not valid JSON"));
    CHECK(message(std::string(1'000'000, '[')) == "a.json: JSON nested deeper than 64 levels");
    CHECK(message("[1, 2, 3]", {.values = 3}) == "a.json: more than 3 JSON values");
    CHECK(message("[1, 2, 3]", {.bytes = 3}) == "a.json: 9 bytes of JSON, at most 3 are read");
    CHECK(message("").starts_with("a.json: not valid JSON"));
    CHECK(message("{} x").starts_with("a.json: not valid JSON at byte 4"));
    CHECK(message("\"\xff\"").starts_with("a.json: not valid JSON"));
    CHECK(message("nul\n\x01").find('\n') == std::string::npos);
  }

  TEST_CASE("parsed values are those of the text") {
    const std::string text =
        R"({"a":[1,-2,2.5,true,null,"x",[],{}],"b":{"c":{"d":18446744073709551615}}})";
    CHECK(parse_json(text, "a.json").dump() == text);
    CHECK(parse_json("[[1],[2,[3]],4]", "a.json") == Json::parse("[[1],[2,[3]],4]"));
  }

  TEST_CASE("a place in a file says what it expected") {
    const Json json = Json::parse(R"({"list":[{"x y":1.5}], "big":18446744073709551615})");
    const JsonPlace root(json, "a.json");
    CHECK(message_of([&] { root["list"][0]["x y"].string(); }) ==
          R"(a.json: list[0]["x y"] must be a string, got number)");
    CHECK(message_of([&] { root["list"][0]["z"]; }) == R"(a.json: list[0] has no "z")");
    CHECK(message_of([&] { root["list"][1]; }) == "a.json: list has no element 1");
    CHECK(message_of([&] { root["list"].array(0); }) ==
          "a.json: list has 1 elements, at most 0 are read");
    CHECK(message_of([&] { root["big"].integer(0, 5); }) ==
          "a.json: big must be an integer in [0, 5], got 18446744073709551615");
    CHECK(root["list"][0]["x y"].number() == 1.5);
  }
}
