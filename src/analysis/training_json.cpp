// A record of training as JSON text and back.

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "analysis/json_members.h"
#include "analysis/training_columns.h"
#include "analysis/training_members.h"
#include "core/check.h"

namespace rung::analysis {
namespace {

constexpr std::int64_t kRecordVersion = 1;
constexpr const char* kKey = "rung_training";

void check_shares(const std::vector<double>& shares, const std::string& name) {
  for (const double x : shares)
    require(x >= 0.0 && x <= 1.0, "{} has {}, which is not in 0 .. 1", name, x);
}

void check_rising(std::span<const std::int64_t> steps, std::int64_t first, const char* name) {
  std::int64_t before = first - 1;
  for (const std::int64_t step : steps) {
    require(step > before, "{} has {} behind {}", name, step, before);
    before = step;
  }
}

void check(const EpochHistory& epochs) {
  check_rising(epochs.step, 1, "epochs.step");
  const std::size_t count = epochs.step.size();
  for (const auto* column : {&epochs.loss, &epochs.top1, &epochs.lr, &epochs.seconds})
    require(column->size() == count, "epochs has columns of {} and {} numbers", count,
            column->size());
  for (const auto* column :
       {&epochs.top5, &epochs.loss_validation, &epochs.top1_validation, &epochs.top5_validation})
    require(column->empty() || column->size() == count, "epochs has columns of {} and {} numbers",
            count, column->size());
  for (const auto* column :
       {&epochs.top1, &epochs.top5, &epochs.top1_validation, &epochs.top5_validation})
    check_shares(*column, "epochs");
}

}  // namespace

void check(const TrainingRecord& record) {
  require(record.first_step >= 1 && record.steps_per_point >= 1,
          "first_step is {}, steps_per_point {}", record.first_step, record.steps_per_point);
  check_rising(record.steps, record.first_step, "steps");
  for_each_column(record, [&](const std::string& name, const std::vector<double>& column, Sums) {
    require(column.size() == record.steps.size(), "{} has {} numbers for {} steps", name,
            column.size(), record.steps.size());
  });
  check_shares(record.top1, "top1");
  for (const auto& [name, range] : record.ranges)
    require(range.learned || range.gradient_norm.empty(),
            "ranges.{} is not learned and has gradients", name);
  for (const auto& [name, codes] : record.codes) {
    require(codes.weights > 0, "codes.{} is of {} weights", name, codes.weights);
    for (const auto* column : {&codes.flips, &codes.oscillating, &codes.frozen})
      check_shares(*column, "codes." + name);
  }
  check(record.epochs);
}

std::string to_json(const TrainingRecord& record) {
  TrainingRecord copy = record;  // what is visited could be written to
  Json json = Writer::to(copy);
  json[kKey] = kRecordVersion;
  return io::dump_json(json, "training record");
}

TrainingRecord training_record_from_json(std::string_view text, std::string_view source) {
  const Json json = io::parse_json(text, source);
  const JsonPlace place(json, std::string(source));
  const JsonPlace version = place[kKey];
  if (version.integer() != kRecordVersion)
    version.refuse(fmt::format("must be {}, the version that this program reads", kRecordVersion));
  TrainingRecord record;
  Reader reader(place);
  reader.know(kKey);
  visit(reader, record);
  reader.check_keys();
  try {
    check(record);
  } catch (const rung::Error& error) {
    fail("{}: {}", source, error.what());
  }
  return record;
}

}  // namespace rung::analysis
