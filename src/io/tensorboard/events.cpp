#include "io/tensorboard/events.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

namespace rung::io {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr std::size_t kBins = 64;

/// How a field is written; what stands in the last three bits of its tag.
enum Wire : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::uint32_t tag_of(int field, Wire wire) { return static_cast<std::uint32_t>(field) << 3 | wire; }

/// One message under construction.
class Message {
 public:
  Message& add(int field, std::int64_t number) {
    return append([&](CodedOutputStream& out) {
      out.WriteTag(tag_of(field, varint));
      out.WriteVarint64(static_cast<std::uint64_t>(number));
    });
  }
  Message& add(int field, double number) {
    return append([&](CodedOutputStream& out) {
      out.WriteTag(tag_of(field, fixed64));
      out.WriteLittleEndian64(std::bit_cast<std::uint64_t>(number));
    });
  }
  Message& add(int field, float number) {
    return append([&](CodedOutputStream& out) {
      out.WriteTag(tag_of(field, fixed32));
      out.WriteLittleEndian32(std::bit_cast<std::uint32_t>(number));
    });
  }
  Message& add(int field, std::string_view text) {
    return append([&](CodedOutputStream& out) {
      out.WriteTag(tag_of(field, bytes));
      out.WriteVarint64(text.size());
      out.WriteRaw(text.data(), static_cast<int>(text.size()));
    });
  }
  Message& add(int field, const Message& message) {
    return add(field, std::string_view(message.bytes_));
  }
  Message& add(int field, std::span<const double> packed) {
    Message numbers;
    numbers.append([&](CodedOutputStream& out) {
      for (const double x : packed) out.WriteLittleEndian64(std::bit_cast<std::uint64_t>(x));
    });
    return add(field, numbers);
  }
  std::string take() { return std::move(bytes_); }

 private:
  template <typename Write>
  Message& append(const Write& write) {
    google::protobuf::io::StringOutputStream stream(&bytes_);  // appends
    CodedOutputStream out(&stream);
    write(out);
    return *this;
  }
  std::string bytes_;
};

std::string summary_event(double wall_time, std::int64_t step, const Message& value) {
  return Message().add(1, wall_time).add(2, step).add(5, Message().add(1, value)).take();
}

}  // namespace

std::string version_event(double wall_time) {
  return Message().add(1, wall_time).add(3, std::string_view("brain.Event:2")).take();
}

std::string restart_event(double wall_time, std::int64_t step) {
  return Message().add(1, wall_time).add(2, step).add(7, Message().add(1, std::int64_t{1})).take();
}

std::string scalar_event(double wall_time, std::int64_t step, std::string_view tag, float value) {
  return summary_event(wall_time, step, Message().add(1, tag).add(2, value));
}

std::string histogram_event(double wall_time, std::int64_t step, std::string_view tag,
                            std::span<const float> values) {
  std::vector<double> finite;
  for (const float x : values)
    if (std::isfinite(x)) finite.push_back(x);
  const auto [low, high] = finite.empty() ? std::pair(0.0, 0.0)
                                          : std::pair(*std::ranges::min_element(finite),
                                                      *std::ranges::max_element(finite));
  const double width = (high - low) / static_cast<double>(kBins);
  std::vector<double> limits, counts(width > 0 ? kBins : 1);
  for (std::size_t i = 1; i < counts.size(); ++i)
    limits.push_back(low + width * static_cast<double>(i));
  limits.push_back(high);
  double sum = 0, squares = 0;
  for (const double x : finite) {
    const auto bin = width > 0 ? static_cast<std::size_t>((x - low) / width) : 0;
    ++counts[std::min(bin, counts.size() - 1)];
    sum += x;
    squares += x * x;
  }
  const Message histogram = Message()
                                .add(1, low)
                                .add(2, high)
                                .add(3, static_cast<double>(finite.size()))
                                .add(4, sum)
                                .add(5, squares)
                                .add(6, std::span<const double>(limits))
                                .add(7, std::span<const double>(counts));
  return summary_event(wall_time, step, Message().add(1, tag).add(5, histogram));
}

}  // namespace rung::io
