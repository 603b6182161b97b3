#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Tables for people: every command prints its own through this one printer.

namespace rung::cli {

/// No line of a table is wider, unless its columns cannot be made narrower.
inline constexpr std::size_t kTextColumns = 100;

struct Column {
  std::string title;
  enum class Kind {
    text,    ///< stands at the left
    number,  ///< stands at the right
    prose,   ///< words that go on in the next line: of the last column
  } kind = Kind::text;
  /// Where a table is too wide, its widest such column is shortened in the middle, to this many
  /// columns at least. 0: it is never shortened.
  std::size_t least = 0;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Adds a row with a cell for each column; `note` stands indented below it.
  void row(std::vector<std::string> cells, std::string note = {});
  bool empty() const { return rows_.empty(); }
  /// Returns the titles and the rows as lines, with control characters escaped; the same for a
  /// terminal and for a pipe.
  std::string text() const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string note;
  };
  std::vector<std::size_t> widths() const;
  std::string line(const std::vector<std::string>& cells,
                   const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

/// Returns the text with line ends in place of spaces, so that no line is wider than `width`; words
/// that are too long are shortened in the middle. Every line but the first begins with `indent`
/// spaces.
std::string wrapped(std::string_view text, std::size_t width, std::size_t indent);

/// Returns 1,234,567.
std::string with_commas(std::int64_t number);
/// Returns a number in at most five characters: 9999, 113k, 1.85G.
std::string in_short(std::int64_t number);

}  // namespace rung::cli
