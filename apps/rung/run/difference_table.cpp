#include "run/difference_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "console/table.h"
#include "rung/core/text.h"

namespace rung::cli {
namespace {

using analysis::TensorDifference;
using analysis::TensorDiffResult;

std::string or_nothing(std::int64_t number) {
  return number == 0 ? std::string() : with_commas(number);
}

std::vector<std::string> row_of(const TensorDifference& each) {
  if (!each.misfit.empty()) return {each.name};
  std::string one, two, more, ties;
  if (each.codes) {
    one = or_nothing(each.codes->one);
    two = or_nothing(each.codes->two);
    more = or_nothing(each.codes->more);
  }
  if (each.ties) ties = with_commas(each.ties->different);
  return {each.name,
          fmt::format("{}", in_short(each.error.count)),
          with_commas(each.different),
          one,
          two,
          more,
          ties,
          fmt::format("{:.3g}", each.largest),
          fmt::format("{:.3g}", each.mean),
          fmt::format("{:.2f}", each.error.sqnr_db)};
}

std::string note_of(const TensorDifference& each) {
  std::string note;
  if (!each.misfit.empty()) note = "cannot be compared: " + each.misfit;
  if (each.by_position)
    note += fmt::format("{}the second calls it {}", note.empty() ? "" : "; ", each.other_name);
  return note;
}

/// Returns "; only in the first: 3 (a, b, ...)".
std::string left_over(const std::vector<std::string>& names, std::string_view where) {
  if (names.empty()) return {};
  constexpr std::size_t kShown = 3;
  const std::span<const std::string> shown = std::span(names).first(std::min(kShown, names.size()));
  return fmt::format("; only in the {}: {} ({}{})", where, names.size(), fmt::join(shown, ", "),
                     names.size() > kShown ? ", ..." : "");
}

}  // namespace

std::string difference_table(const TensorDiffResult& result, std::int64_t rows) {
  const std::string matched = printable(fmt::format(
      "{} tensors matched by name, {} by position{}{}", result.by_name, result.by_position,
      left_over(result.only_first, "first"), left_over(result.only_second, "second")));
  std::string text = wrapped(matched, kTextColumns, 4) + "\n";
  const TensorDifference* first = result.first();
  if (first == nullptr) return text + "no number differs\n";
  const auto kind = first->type.empty() ? "" : fmt::format(" ({})", first->type);
  text += wrapped(printable(fmt::format("first difference: {}{}", first->name, kind)), kTextColumns,
                  4) +
          "\n\n";
  constexpr auto kNumber = Column::Kind::number;
  Table table({{"tensor", Column::Kind::text, 16},
               {"numbers", kNumber},
               {"differ", kNumber},
               {"by 1", kNumber},
               {"2", kNumber},
               {"more", kNumber},
               {"ties", kNumber},
               {"largest", kNumber},
               {"mean", kNumber},
               {"SQNR dB", kNumber}});
  const auto differ = std::ranges::count_if(result.tensors, &TensorDifference::differs);
  std::int64_t shown = 0;
  for (const TensorDifference& each : result.tensors) {
    if (!each.differs() || (rows > 0 && shown == rows)) continue;
    table.row(row_of(each), note_of(each));
    ++shown;
  }
  text += table.text();
  if (shown < differ) text += fmt::format("... and {} more: --rows 0 shows all\n", differ - shown);
  return text + fmt::format("{} of {} tensors differ\n", differ, result.tensors.size());
}

void report_differences(const TensorDiffResult& result, Report& report) {
  report.set("matched_by_name", result.by_name);
  report.set("matched_by_position", result.by_position);
  report.set("only_first", result.only_first);
  report.set("only_second", result.only_second);
  const TensorDifference* first = result.first();
  report.set("first_difference", first == nullptr ? std::string_view() : first->name);
  report.set("tensors", std::vector<std::string>{});
  for (const TensorDifference& each : result.tensors) {
    Report entry;
    entry.set("name", each.name);
    entry.set("other_name", each.other_name);
    entry.set("type", each.type);
    entry.set("matched_by", std::string_view(each.by_position ? "position" : "name"));
    entry.set("misfit", each.misfit);
    entry.set("numbers", each.error.count);
    entry.set("different", each.different);
    entry.set("largest", each.largest);
    entry.set("mean", each.mean);
    entry.set("sqnr_db", each.error.sqnr_db);
    if (each.codes) {
      const auto& codes = *each.codes;
      entry.set("codes", std::vector{codes.equal, codes.one, codes.two, codes.more});
    }
    if (each.ties) {
      entry.set("ties", each.ties->count);
      entry.set("different_at_ties", each.ties->different);
    }
    report.append("tensors", entry);
  }
}

}  // namespace rung::cli
