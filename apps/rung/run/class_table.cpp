#include "run/class_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "console/utf8.h"
#include "run/options.h"

namespace rung::cli {
namespace {

constexpr std::size_t kMatrix = 12;  // classes whose matrix fits into 100 columns
constexpr std::size_t kName = 24, kHead = 6;

/// Returns a name in so many columns, cut off where it is longer. fmt counts columns, not bytes.
std::string fitted(const std::string& name, std::size_t columns) {
  return fmt::format("{:<{}.{}}", name, columns, columns);
}

}  // namespace

ClassTable::ClassTable(std::int64_t classes, std::vector<std::string> names)
    : names_(std::move(names)), accuracy_(classes), matrix_(classes) {
  for (std::size_t c = names_.size(); c < static_cast<std::size_t>(classes); ++c)
    names_.push_back(fmt::format("{}", c));
  for (std::string& name : names_) name = to_utf8(name);  // folders, as a rule
}

void ClassTable::update(const Tensor& scores, std::span<const std::int64_t> labels) {
  accuracy_.update(scores, labels);
  matrix_.update(scores, labels);
}

std::string ClassTable::text(std::int64_t rows) const {
  return rows_text(rows) + (names_.size() <= kMatrix ? matrix_text() : std::string());
}

std::string ClassTable::rows_text(std::int64_t rows) const {
  const std::vector<double> top1 = accuracy_.per_class();
  std::vector<std::size_t> order;
  for (std::size_t c = 0; c < names_.size(); ++c)
    if (accuracy_.images()[c] > 0) order.push_back(c);
  std::ranges::stable_sort(order, {}, [&](std::size_t c) { return top1[c]; });
  const std::size_t all = order.size();
  if (rows > 0) order.resize(std::min(all, static_cast<std::size_t>(rows)));
  std::string text = fmt::format("{} {:>8} {:>8}  most often taken for\n", fitted("class", kName),
                                 "images", "top1 %");
  for (const std::size_t c : order) {
    const auto label = static_cast<std::int64_t>(c);
    std::int64_t most = 0, other = 0;
    for (std::int64_t each = 0; each < matrix_.num_classes(); ++each)
      if (each != label && matrix_.at(label, each) > most)
        most = matrix_.at(label, each), other = each;
    text += fmt::format(
        "{} {:>8} {:>8.2f}  {}\n", fitted(names_[c], kName), accuracy_.images()[c],
        percent(top1[c]),
        most == 0
            ? std::string("-")
            : fmt::format("{} ({})",
                          fmt::format("{:.{}}", names_[static_cast<std::size_t>(other)], kName),
                          most));
  }
  if (order.size() < all)
    text += fmt::format("... and {} classes more: --rows 0 shows all\n", all - order.size());
  return text;
}

/// A row for each class, a column for each that its images are taken for.
std::string ClassTable::matrix_text() const {
  std::string text = fitted("taken for", kName);
  for (const std::string& name : names_)
    text += fmt::format(" {:>{}.{}}", name, kHead - 1, kHead - 1);
  text += "\n";
  for (std::int64_t label = 0; label < matrix_.num_classes(); ++label) {
    text += fitted(names_[static_cast<std::size_t>(label)], kName);
    for (std::int64_t other = 0; other < matrix_.num_classes(); ++other)
      text += fmt::format(" {:>{}}", matrix_.at(label, other), kHead - 1);
    text += "\n";
  }
  return text;
}

void ClassTable::add_to(Report& report) const {
  std::vector<double> top1;
  for (const double share : accuracy_.per_class()) top1.push_back(percent(share));
  report.set("class_names", names_);
  report.set("class_images", accuracy_.images());
  report.set("class_top1", top1);
  report.set("confusion_matrix", matrix_.compute());
  report.set("without_prediction", matrix_.without_prediction());
}

}  // namespace rung::cli
