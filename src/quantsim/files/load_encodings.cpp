// Encodings files into quantizers: everything is looked up and checked before the first change.

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/join.h"
#include "io/files/names.h"
#include "ops/quantize/sharing.h"
#include "quantsim/files/derived_entries.h"
#include "quantsim/files/entry_settings.h"
#include "quantsim/files/file_content.h"
#include "quantsim/files/file_entries.h"
#include "quantsim/files/module_names.h"
#include "quantsim/impl.h"
#include "quantsim/parameter_key.h"
#include "quantsim/rollback.h"
#include "rung/core/closest.h"
#include "rung/quantsim/quantsim.h"

namespace rung {

namespace {

using quantsim::EntrySettings;
using quantsim::FileContent;
using quantsim::FileEntry;

constexpr std::size_t kListed = 8;  // names that a message shows

std::string listed(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kListed);
  std::string text = fmt::format("{}", join(std::span(names).first(shown)));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

bool is_parameter_name(const std::string& name, const Graph& graph) {
  const Value* value = graph.find_value(name);
  return value != nullptr && value->parameter() != nullptr;
}

/// True if two entries of version-independent numbers say the same of their tensors.
bool agree(const io::TensorEncoding& a, const io::TensorEncoding& b) {
  constexpr double kRounding = 1e-6;  // of products in float32
  const auto near = [](double x, double y) { return std::abs(x - y) <= kRounding * std::abs(y); };
  return a.dtype == b.dtype && a.bitwidth == b.bitwidth && a.is_signed == b.is_signed &&
         a.offset == b.offset && std::ranges::equal(a.scale, b.scale, near);
}

/// Matches entries with quantizers, then sets them.
class Loader {
 public:
  Loader(Graph& graph, bool learns, const LoadEncodingsOptions& options, std::string source)
      : graph_(graph),
        learns_(learns),
        options_(options),
        source_(std::move(source)),
        quantizers_(find_quantizers(graph)),
        matched_(quantizers_.size()) {}

  void plan(const FileContent& content) {
    index(content.by_module);
    for (const FileEntry& entry : content.entries) match(entry);
    if (!leftover_.empty() && !content.by_module) {
      pass_on_leftovers();
      forget_derived();
    }
    if (options_.strict && !leftover_.empty()) refuse_leftovers();
    for (std::size_t i = 0; i < quantizers_.size(); ++i) plan_quantizer(i, content);
    refuse_unnumbered();
    require(!options_.require_all || report_.missing.empty(),
            "{}: has no entry for {} quantizers: {}", source_, report_.missing.size(),
            listed(report_.missing));
    check_sharing();
  }

  LoadedEncodings apply() {
    quantsim::Rollback rollback(quantizers_);
    for (auto& [index, settings] : settings_) set(quantizers_[index], settings);
    if (!options_.partial)
      for (const std::size_t index : missing_) quantizers_[index].disable();
    rollback.keep();
    return std::move(report_);
  }

 private:
  void index(bool by_module) {
    for (std::size_t i = 0; i < quantizers_.size(); ++i) {
      const QuantizerHandle& each = quantizers_[i];
      if (!by_module || each.place() == QuantizerPlace::parameter) {
        const std::vector<std::string> keys = quantsim::tensor_keys(each);
        for (std::size_t rank = 0; rank < keys.size(); ++rank)
          targets_.emplace(keys[rank], Target{i, rank});
      } else {
        for (const quantsim::ModuleKey& key : quantsim::module_keys(each))
          targets_.emplace(key.to_string(), Target{i, 0});
      }
    }
  }

  void match(const FileEntry& entry) {
    const auto [begin, end] = targets_.equal_range(entry.key);
    const bool is_enabled = std::any_of(
        begin, end, [&](const auto& each) { return quantizers_[each.second.index].enabled(); });
    if (entry.has_no_numbers())
      for (auto each = begin; each != end; ++each) unnumbered_.emplace(each->second.index, &entry);
    if (!is_enabled || entry.has_no_numbers()) {
      report_.skipped.push_back(entry.key);
      // An int32 bias needs no quantizer: it follows from its op's scales.
      const bool is_bias = entry.encoding.bitwidth == 32 && is_parameter_name(entry.key, graph_) &&
                           quantsim::parameter_key(graph_.value(entry.key)) == "bias";
      if (!is_enabled && !entry.has_no_numbers() && !is_bias) leftover_.push_back(&entry);
      return;
    }
    for (auto each = begin; each != end; ++each) {
      if (!quantizers_[each->second.index].enabled()) continue;
      Match& match = matched_[each->second.index];
      if (match.entry == nullptr || each->second.rank > match.rank) {
        match = {&entry, each->second.rank};
      } else if (each->second.rank == match.rank) {
        io::TensorEncoding same = entry.encoding;
        same.name = match.entry->encoding.name;
        require(same == match.entry->encoding, "{}: {} and {} are one quantizer, but differ",
                source_, match.entry->key, entry.key);
      }
    }
  }

  /// Returns the entries that quantizers have, under the names of their tensors.
  std::vector<io::TensorEncoding> matched_entries() const {
    std::vector<io::TensorEncoding> entries;
    for (std::size_t i = 0; i < quantizers_.size(); ++i) {
      if (matched_[i].entry == nullptr) continue;
      entries.push_back(matched_[i].entry->encoding);
      entries.back().name = quantizers_[i].source().name();
    }
    return entries;
  }

  /// Gives quantizers that the file does not name what it says of tensors with the same numbers: of
  /// a MaxPool's output, where it is the Relu before that has the quantizer.
  void pass_on_leftovers() {
    std::vector<io::TensorEncoding> entries;
    for (const FileEntry* entry : leftover_) entries.push_back(entry->encoding);
    for (const quantsim::DerivedEntry& each : quantsim::derived_entries(graph_, entries)) {
      const auto [begin, end] = targets_.equal_range(each.entry.name);
      for (auto target = begin; target != end; ++target) {
        const QuantizerHandle& quantizer = quantizers_[target->second.index];
        Match& match = matched_[target->second.index];
        if (!quantizer.enabled() || quantizer.frozen() || match.entry != nullptr) continue;
        passed_on_.push_back({each.entry.name, each.entry, false});
        match = {&passed_on_.back(), target->second.rank};
      }
    }
  }

  /// Strikes out the leftovers that follow from the entries of quantizers. The constants of a Clip
  /// have other names in other programs' files: of them only the numbers are compared.
  void forget_derived() {
    std::map<std::string, io::TensorEncoding> derived;
    for (quantsim::DerivedEntry& each : quantsim::derived_entries(graph_, matched_entries()))
      derived.emplace(each.entry.name, std::move(each.entry));
    std::erase_if(leftover_, [&](const FileEntry* entry) {
      auto found = derived.find(entry->key);
      if (found == derived.end() && graph_.find_value(entry->key) == nullptr)
        found = std::ranges::find_if(derived, [&](const auto& each) {
          return graph_.find_value(each.first) == nullptr && agree(each.second, entry->encoding);
        });
      if (found == derived.end() || !agree(found->second, entry->encoding)) return false;
      derived.erase(found);
      return true;
    });
  }

  /// AIMET refuses such files, too: to switch a quantizer off is not what they say.
  void refuse_unnumbered() const {
    std::vector<std::string> names;
    for (const std::size_t index : missing_)
      if (const auto found = unnumbered_.find(index); found != unnumbered_.end())
        names.push_back(io::shown_name(found->second->key));
    require(names.empty(),
            "{}: {} entries of enabled quantizers have no scale and no min and max: {}; give them "
            "a range, or leave them out",
            source_, names.size(), listed(names));
  }

  [[noreturn]] void refuse_leftovers() const {
    std::vector<std::string> names;
    for (const FileEntry* entry : leftover_) names.push_back(describe(entry->key));
    fail("{}: {} entries belong to no enabled quantizer: {}", source_, names.size(), listed(names));
  }

  std::string describe(const std::string& key) const {
    const std::string shown = io::shown_name(key);
    if (targets_.contains(key)) return shown + " (disabled)";
    // A module's entry is <module>.output_quantizers.0: is there such a module?
    const std::string::size_type end =
        std::min(key.find(".input_quantizers."), key.find(".output_quantizers."));
    const std::string owner = key.substr(0, end);
    if (graph_.find_node(owner) != nullptr || graph_.find_value(owner) != nullptr)
      return shown + " (no quantizer there)";
    std::vector<std::string> names;
    for (const auto& [name, unused] : targets_) names.push_back(name);
    return names.empty()
               ? shown
               : fmt::format("{} (unknown; similar: {})", shown, closest_names(shown, names));
  }

  void plan_quantizer(std::size_t i, const FileContent& content) {
    const QuantizerHandle& quantizer = quantizers_[i];
    if (!quantizer.enabled()) return;
    if (matched_[i].entry == nullptr) {
      if (quantizer.frozen() || quantizer.op().quantizer().pass_through()) return;
      report_.missing.push_back(quantizer.name());
      missing_.push_back(i);
      return;
    }
    if (quantizer.frozen()) {
      report_.frozen.push_back(quantizer.name());
      return;
    }
    const FileEntry& entry = *matched_[i].entry;
    try {
      settings_.emplace_back(
          i, quantsim::entry_settings(entry.encoding, quantizer, content.states_symmetry));
    } catch (const Error& error) {
      fail("{}: the entry {} {}", source_, io::shown_name(entry.key), error.what());
    }
    report_.loaded.push_back(quantizer.name());
  }

  /// Places that share one quantizer must be told the same.
  void check_sharing() const {
    std::map<const Node*, std::size_t> planned;
    for (std::size_t k = 0; k < settings_.size(); ++k)
      planned[&quantizers_[settings_[k].first].node()] = k;
    for (const auto& [i, settings] : settings_)
      for (const Node* other : sharing_nodes(quantizers_[i].node())) {
        const auto found = planned.find(other);
        if (found == planned.end()) continue;
        require(settings_[found->second].second == settings,
                "{}: {} and {} share one quantizer, but their entries differ", source_,
                quantizers_[i].name(), other->name());
      }
  }

  void set(QuantizerHandle& quantizer, const EntrySettings& settings) const {
    QuantizeDequantize& op = quantizer.op();
    const bool was_learned = quantizer.learned(), was_initialized = quantizer.initialized();
    std::unique_ptr<Quantizer> changed = op.quantizer().clone();
    changed->set_bitwidth(settings.bitwidth);
    changed->set_symmetry(settings.symmetry);
    op.set_quantizer(std::move(changed));
    if (!op.quantizer().pass_through() && !settings.ranges.empty())
      op.set_ranges(settings.ranges, quantizer.parameters());
    share_settings(quantizer.node());
    const bool becomes_learned = was_initialized ? was_learned : learns_;
    const bool freezes = options_.allow_overwrite && !*options_.allow_overwrite;
    quantizer.set_learned(options_.requires_grad.value_or(becomes_learned && !freezes));
    if (freezes && quantizer.initialized()) quantizer.freeze();
  }

  struct Target {
    std::size_t index;  // into quantizers_
    std::size_t rank;   // a larger one is meant more precisely
  };
  struct Match {
    const FileEntry* entry = nullptr;
    std::size_t rank = 0;
  };

  Graph& graph_;
  bool learns_;  // the scheme trains ranges
  const LoadEncodingsOptions& options_;
  std::string source_;
  std::vector<QuantizerHandle> quantizers_;
  std::multimap<std::string, Target> targets_;
  std::vector<Match> matched_;
  std::vector<const FileEntry*> leftover_;              // of tensors without a quantizer
  std::map<std::size_t, const FileEntry*> unnumbered_;  // of quantizers: what has no range
  std::deque<FileEntry> passed_on_;
  std::vector<std::size_t> missing_;
  std::vector<std::pair<std::size_t, EntrySettings>> settings_;
  LoadedEncodings report_;
};

}  // namespace

LoadedEncodings QuantizationSimModel::load(const std::string& path_or_text,
                                           const LoadEncodingsOptions& options,
                                           bool parameters_only) {
  require(!(options.requires_grad.value_or(false) && !options.allow_overwrite.value_or(true)),
          "load_encodings: requires_grad = true trains what allow_overwrite = false freezes");
  FileContent content = quantsim::read_content(path_or_text);
  if (parameters_only)
    std::erase_if(content.entries, [&](const FileEntry& entry) {
      return !entry.is_parameter && !is_parameter_name(entry.key, impl_->graph);
    });
  require(!content.entries.empty(), "{}: has no encodings{}", content.source,
          parameters_only ? " of parameters" : "");
  std::map<std::string, std::string> renamed = quantsim::rename_modules(content, impl_->graph);
  Loader loader(impl_->graph, impl_->options.quant_scheme.learn, options, content.source);
  loader.plan(content);
  LoadedEncodings report = loader.apply();
  report.renamed = std::move(renamed);
  return report;
}

LoadedEncodings QuantizationSimModel::load_encodings(const std::string& path_or_text,
                                                     const LoadEncodingsOptions& options) {
  return load(path_or_text, options, /*parameters_only=*/false);
}

LoadedEncodings QuantizationSimModel::load_and_freeze_encodings(const std::string& path_or_text,
                                                                LoadAndFreezeOptions options) {
  return load_encodings(path_or_text, {.strict = !options.ignore_when_quantizer_disabled,
                                       .requires_grad = false,
                                       .allow_overwrite = false});
}

LoadedEncodings QuantizationSimModel::set_and_freeze_param_encodings(
    const std::string& path_or_text) {
  return load(path_or_text, {.requires_grad = false, .allow_overwrite = false},
              /*parameters_only=*/true);
}

LoadedEncodings load_encodings_to_sim(QuantizationSimModel& sim, const std::string& path_or_text) {
  return sim.load_encodings(path_or_text, {.partial = false});
}

}  // namespace rung
