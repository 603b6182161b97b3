#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

// What stands in the records of an event file, as protobuf messages. The fields that are written,
// in tensorflow/core/util/event.proto and framework/summary.proto of TensorFlow:
//
//   message Event { double wall_time = 1; int64 step = 2; string file_version = 3;
//                   Summary summary = 5; SessionLog session_log = 7; }
//   message Summary { message Value { string tag = 1; float simple_value = 2;
//                                     HistogramProto histo = 5; }
//                     repeated Value value = 1; }
//   message HistogramProto { double min = 1; double max = 2; double num = 3; double sum = 4;
//                            double sum_squares = 5; repeated double bucket_limit = 6 [packed];
//                            repeated double bucket = 7 [packed]; }
//   message SessionLog { enum SessionStatus { START = 1; } SessionStatus status = 1; }

namespace rung::io {

/// Returns the first event of a file.
std::string version_event(double wall_time);
/// Returns what tells TensorBoard to forget what it has seen of this step and later ones.
std::string restart_event(double wall_time, std::int64_t step);
std::string scalar_event(double wall_time, std::int64_t step, std::string_view tag, float value);
/// Returns a histogram of equal bins from the smallest to the largest of the values; those that are
/// not finite are left out.
std::string histogram_event(double wall_time, std::int64_t step, std::string_view tag,
                            std::span<const float> values);

}  // namespace rung::io
