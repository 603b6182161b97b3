#include "console/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "console/utf8.h"
#include "rung/core/text.h"

namespace rung::cli {
namespace {

constexpr std::string_view kGap = "  ";
constexpr std::size_t kIndent = 4;  // of notes
constexpr std::size_t kLeastProse = 24;

std::string padded(std::string text, std::size_t width, bool at_right) {
  const std::size_t columns = columns_of(text);
  const std::string spaces(width > columns ? width - columns : 0, ' ');
  return at_right ? spaces + text : text + spaces;
}

}  // namespace

void Table::row(std::vector<std::string> cells, std::string note) {
  cells.resize(columns_.size());
  for (std::string& cell : cells) cell = printable(cell);
  rows_.push_back({std::move(cells), printable(note)});
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_of(columns_[i].title);
    for (const Row& row : rows_) width = std::max(width, columns_of(row.cells[i]));
    widths.push_back(width);
  }
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), kGap.size() * (widths.size() - 1));
  };
  if (columns_.back().kind == Column::Kind::prose && total() > kTextColumns) {
    const std::size_t others = total() - widths.back();
    widths.back() = kTextColumns > others ? kTextColumns - others : 0;
    widths.back() = std::max(widths.back(), kLeastProse);
  }
  while (total() > kTextColumns) {
    std::size_t widest = widths.size();
    for (std::size_t i = 0; i < widths.size(); ++i)
      if (columns_[i].least > 0 && widths[i] > columns_[i].least &&
          (widest == widths.size() || widths[i] > widths[widest]))
        widest = i;
    if (widest == widths.size()) break;
    --widths[widest];
  }
  return widths;
}

std::string Table::line(const std::vector<std::string>& cells,
                        const std::vector<std::size_t>& widths) const {
  std::string line;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) line += kGap;
    if (columns_[i].kind == Column::Kind::prose) {
      line += wrapped(cells[i], widths[i], columns_of(line));
      continue;
    }
    const std::string cell = columns_[i].least > 0 ? shortened_to(cells[i], widths[i]) : cells[i];
    line += padded(cell, widths[i], columns_[i].kind == Column::Kind::number);
  }
  return line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
}

std::string Table::text() const {
  const std::vector<std::size_t> all = widths();
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  std::string text = line(titles, all);
  for (const Row& row : rows_) {
    text += line(row.cells, all);
    if (!row.note.empty())
      text += std::string(kIndent, ' ') + wrapped(row.note, kTextColumns - kIndent, kIndent) + "\n";
  }
  return text;
}

std::string wrapped(std::string_view text, std::size_t width, std::size_t indent) {
  std::string result;
  std::size_t used = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string word = shortened_to(text.substr(0, end), width);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t columns = columns_of(word);
    if (used > 0 && used + 1 + columns > width) {
      result += "\n" + std::string(indent, ' ');
      used = 0;
    }
    if (used > 0) result += ' ';
    result += word;
    used += columns + (used > 0 ? 1 : 0);
  }
  return result;
}

std::string with_commas(std::int64_t number) {
  std::string digits = fmt::format("{}", number);
  const std::size_t first = number < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string in_short(std::int64_t number) {
  constexpr std::int64_t kExact = 10'000;
  if (number > -kExact && number < kExact) return fmt::format("{}", number);
  auto rest = static_cast<double>(number);
  for (const char unit : {'k', 'M', 'G', 'T', 'P', 'E'}) {
    rest /= 1000;
    if (std::abs(rest) < 999.5 || unit == 'E')
      return fmt::format("{:.{}f}{}", rest,
                         std::abs(rest) < 9.995   ? 2
                         : std::abs(rest) < 99.95 ? 1
                                                  : 0,
                         unit);
  }
  return {};
}

}  // namespace rung::cli
