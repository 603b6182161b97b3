// TensorBoard's event files, read by what follows from the description of the format alone.

#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "io/tensorboard/records.h"
#include "rung/io/summary_writer.h"
#include "support/event_reader.h"
#include "support/io_helpers.h"
#include "support/message_of.h"

using namespace rung;
using iotest::TemporaryFolder;
using test::Event;

namespace {

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    files.push_back(entry.path());
  return files;
}

/// Tags and steps of all scalars of a folder.
std::map<std::pair<std::string, std::int64_t>, std::vector<float>> scalars_in(
    const std::filesystem::path& folder) {
  std::map<std::pair<std::string, std::int64_t>, std::vector<float>> scalars;
  for (const auto& path : files_in(folder))
    for (const Event& event : test::read_events(iotest::read_bytes(path.string())))
      if (!event.tag.empty()) scalars[{event.tag, event.step}].push_back(event.value);
  return scalars;
}

}  // namespace

TEST_SUITE_BEGIN("io summary writer");

TEST_CASE("the CRC is Castagnoli's") {
  CHECK(io::crc32c("") == 0u);
  CHECK(io::crc32c("123456789") == 0xe3069283u);            // the check value of every catalogue
  CHECK(io::crc32c(std::string(32, '\0')) == 0x8a9136aau);  // RFC 3720, B.4
}

TEST_CASE("scalars and histograms are read back") {
  const TemporaryFolder folder;
  const std::vector<float> values = {-1.0f, 0.5f,          0.5f,
                                     3.0f,  std::nanf(""), std::numeric_limits<float>::infinity()};
  std::string path;
  {
    io::SummaryWriter writer({.log_dir = folder / "new/logs"});
    writer.add_scalar("loss/train", 0.1, 1);
    writer.add_scalar("loss/train", std::nan(""), 300);
    writer.add_histogram("weights/conv1.weight", values, std::int64_t{1} << 40);
    writer.add_histogram("constant", std::vector<float>(5, 2.0f), 2);
    writer.add_histogram("empty", {}, 3);
    path = writer.path().string();
  }
  CHECK(std::filesystem::path(path).filename().string().starts_with("events.out.tfevents."));
  const std::vector<Event> events = test::read_events(iotest::read_bytes(path));
  REQUIRE(events.size() == 6);
  CHECK(events[0].file_version == "brain.Event:2");
  CHECK(events[0].wall_time > 1.7e9);
  CHECK(events[1].tag == "loss/train");
  CHECK(events[1].value == 0.1f);
  CHECK(events[1].step == 1);
  CHECK(std::isnan(events[2].value));
  CHECK(events[2].step == 300);
  const Event& histogram = events[3];
  CHECK(histogram.tag == "weights/conv1.weight");
  CHECK(histogram.step == std::int64_t{1} << 40);
  CHECK(histogram.histogram.at("min") == -1.0);
  CHECK(histogram.histogram.at("max") == 3.0);
  CHECK(histogram.histogram.at("num") == 4.0);
  CHECK(histogram.histogram.at("sum") == 3.0);
  CHECK(histogram.histogram.at("sum_squares") == 10.5);
  REQUIRE(histogram.limits.size() == 64);
  REQUIRE(histogram.counts.size() == 64);
  CHECK(histogram.limits.front() == -1.0 + 4.0 / 64);
  CHECK(histogram.limits.back() == 3.0);
  CHECK(histogram.counts.front() == 1.0);
  CHECK(histogram.counts[24] == 2.0);  // [0.5, 0.5625)
  CHECK(histogram.counts.back() == 1.0);
  CHECK(events[4].counts == std::vector<double>{5.0});
  CHECK(events[4].limits == std::vector<double>{2.0});
  CHECK(events[5].histogram.at("num") == 0.0);
}

TEST_CASE("a record that is changed in any byte is told by its checksums") {
  std::string file;
  io::append_record(file, "some data");
  CHECK(test::read_records(file) == std::vector<std::string>{"some data"});
  for (std::size_t i = 0; i < file.size(); ++i) {
    std::string other = file;
    other[i] = static_cast<char>(other[i] ^ 4);
    CHECK(message_of([&] { (void)test::read_records(other); }) != "no Error");
  }
}

TEST_CASE("a run that goes on writes a new file, and no step twice") {
  const TemporaryFolder folder;
  io::EventFileSizes files;
  {
    io::SummaryWriter writer({.log_dir = folder / "logs"});
    for (std::int64_t step = 1; step <= 20; ++step) {
      writer.add_scalar("loss", static_cast<double>(step), step);
      if (step == 12) files = writer.files();  // a checkpoint; then the process is killed
    }
  }
  CHECK(scalars_in(folder / "logs").size() == 20);
  {
    io::SummaryWriter writer(
        {.log_dir = folder / "logs", .resume = io::SummaryResume{.next_step = 13, .files = files}});
    for (std::int64_t step = 13; step <= 25; ++step)
      writer.add_scalar("loss", 100.0 + static_cast<double>(step), step);
    CHECK(writer.files().size() == 2);
    const std::vector<Event> events = test::read_events(iotest::read_bytes(writer.path().string()));
    CHECK(events.at(1).restart);
    CHECK(events.at(1).step == 13);
  }
  CHECK(files_in(folder / "logs").size() == 2);
  const auto scalars = scalars_in(folder / "logs");
  CHECK(scalars.size() == 25);
  for (const auto& [key, values] : scalars) {
    REQUIRE(values.size() == 1);
    CHECK(values[0] == static_cast<float>(key.second) + (key.second > 12 ? 100.0f : 0.0f));
  }
  // From the same checkpoint again: what came after it goes.
  io::SummaryWriter again(
      {.log_dir = folder / "logs", .resume = io::SummaryResume{.next_step = 13, .files = files}});
  CHECK(scalars_in(folder / "logs").size() == 12);
}

TEST_CASE("event files of another run are left alone") {
  const TemporaryFolder folder;
  { io::SummaryWriter other({.log_dir = folder / "logs"}); }
  const std::string message = message_of([&] {
    io::SummaryWriter writer({.log_dir = folder / "logs",
                              .resume = io::SummaryResume{.next_step = 5, .files = {{"x", 1}}}});
  });
  CHECK(message.find("has the event files of another run") != std::string::npos);
  CHECK(files_in(folder / "logs").size() == 1);
  CHECK(io::has_event_files(folder / "logs"));
  CHECK(!io::has_event_files(folder / "none"));
}

TEST_CASE("a folder that cannot be made is an Error") {
  const TemporaryFolder folder;
  iotest::write_bytes(folder / "file", "x");
  CHECK(message_of([&] {
          io::SummaryWriter writer({.log_dir = folder / "file/logs"});
        }).find("cannot create the folder") != std::string::npos);
}

TEST_SUITE_END();
