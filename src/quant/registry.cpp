#include "rung/quant/registry.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <utility>

#include "core/check.h"
#include "quant/library_kinds.h"

namespace rung {

std::unique_ptr<Quantizer> make_pact(const QuantizerOptions& options);
std::unique_ptr<RangeEstimator> make_entropy();

namespace {

template <typename Kind>
std::unique_ptr<Quantizer> make(const QuantizerOptions& options) {
  return std::make_unique<Kind>(options);
}

std::unique_ptr<Quantizer> make_float(const QuantizerOptions&) {
  return std::make_unique<FloatQuantizer>();
}

std::unique_ptr<Quantizer> make_grouped_block(const QuantizerOptions& options) {
  const int decompressed_bw = std::max(options.bitwidth, GroupedBlockOptions{}.decompressed_bw);
  return std::make_unique<GroupedBlockQuantizer>(
      options, GroupedBlockOptions{.decompressed_bw = decompressed_bw});
}

std::unique_ptr<RangeEstimator> make_whole_percentile() { return make_percentile(); }

struct QuantizerRow {
  std::string_view name;
  std::unique_ptr<Quantizer> (*make)(const QuantizerOptions&);
};
constexpr auto kQuantizers = std::to_array<QuantizerRow>({
    {AffineQuantizer::kKind, make<AffineQuantizer>},
    {LsqQuantizer::kKind, make<LsqQuantizer>},
    {GroupedBlockQuantizer::kKind, make_grouped_block},
    {FloatQuantizer::kKind, make_float},
    {"pact", make_pact},
});

struct RangeEstimatorRow {
  std::string_view name;
  std::unique_ptr<RangeEstimator> (*make)();
};
constexpr auto kRangeEstimators = std::to_array<RangeEstimatorRow>({
    {"min_max", make_min_max},
    {"sqnr", make_sqnr},
    {"tf_enhanced", make_tf_enhanced},
    {"percentile", make_whole_percentile},
    {"entropy", make_entropy},
});

/// What a program has added; any thread may ask.
template <typename Make>
class Added {
 public:
  /// Throws Error unless the name is a new one among these and the library's rows.
  template <typename Rows>
  void add(std::string_view what, std::string_view name, Make make, const Rows& rows) {
    const auto is_fit = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-' || c == '.';
    };
    require(!name.empty() && std::ranges::all_of(name, is_fit),
            "{} has the name \"{}\"; it must consist of letters, digits, \"_\", \"-\" and \".\"",
            what, name);
    require(static_cast<bool>(make), "{} \"{}\" comes without a function that makes it", what,
            name);
    const std::lock_guard lock(mutex_);
    const bool is_known = std::ranges::find(rows, name, &Rows::value_type::name) != rows.end() ||
                          find_row(name) != rows_.end();
    require(!is_known, "{} \"{}\" is known already; choose another name", what, name);
    rows_.emplace_back(name, std::move(make));
  }
  /// Returns what makes this one; empty if there is none.
  Make find(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = find_row(name);
    return found == rows_.end() ? Make() : found->second;
  }
  template <typename Rows>
  std::vector<std::string> names(const Rows& rows) const {
    std::vector<std::string> names;
    for (const auto& row : rows) names.emplace_back(row.name);
    const std::lock_guard lock(mutex_);
    for (const auto& row : rows_) names.push_back(row.first);
    return names;
  }

 private:
  using Row = std::pair<std::string, Make>;
  typename std::vector<Row>::const_iterator find_row(std::string_view name) const {
    return std::ranges::find(rows_, name, &Row::first);
  }

  mutable std::mutex mutex_;
  std::vector<Row> rows_;
};

Added<MakeQuantizer>& added_quantizers() {
  static Added<MakeQuantizer> added;
  return added;
}

Added<MakeRangeEstimator>& added_range_estimators() {
  static Added<MakeRangeEstimator> added;
  return added;
}

}  // namespace

void register_quantizer(std::string_view kind, MakeQuantizer make) {
  added_quantizers().add("the quantizer", kind, std::move(make), kQuantizers);
}

void register_range_estimator(std::string_view name, MakeRangeEstimator make) {
  added_range_estimators().add("the range estimator", name, std::move(make), kRangeEstimators);
}

std::vector<std::string> quantizer_kinds() { return added_quantizers().names(kQuantizers); }

std::vector<std::string> range_estimator_names() {
  return added_range_estimators().names(kRangeEstimators);
}

bool is_library_kind(std::string_view kind) {
  return std::ranges::find(kQuantizers, kind, &QuantizerRow::name) != kQuantizers.end();
}

std::unique_ptr<Quantizer> make_quantizer(std::string_view kind, const QuantizerOptions& options) {
  const auto row = std::ranges::find(kQuantizers, kind, &QuantizerRow::name);
  if (row != kQuantizers.end()) return row->make(options);
  const MakeQuantizer added = added_quantizers().find(kind);
  require(static_cast<bool>(added), "unknown kind of quantizer \"{}\"; there are {}", kind,
          fmt::join(quantizer_kinds(), ", "));
  std::unique_ptr<Quantizer> made = added(options);
  require(made != nullptr && made->kind() == kind,
          "what was registered as the quantizer \"{}\" makes {}", kind,
          made == nullptr ? "none" : fmt::format("one of kind \"{}\"", made->kind()));
  return made;
}

std::unique_ptr<RangeEstimator> make_range_estimator(std::string_view name) {
  const auto row = std::ranges::find(kRangeEstimators, name, &RangeEstimatorRow::name);
  if (row != kRangeEstimators.end()) return row->make();
  const MakeRangeEstimator added = added_range_estimators().find(name);
  require(static_cast<bool>(added), "unknown range estimator \"{}\"; there are {}", name,
          fmt::join(range_estimator_names(), ", "));
  std::unique_ptr<RangeEstimator> made = added();
  require(made != nullptr && made->name() == name,
          "what was registered as the range estimator \"{}\" makes {}", name,
          made == nullptr ? "none" : fmt::format("one of the name \"{}\"", made->name()));
  return made;
}

}  // namespace rung
