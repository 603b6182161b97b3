#include <algorithm>
#include <array>
#include <ostream>
#include <string>
#include <string_view>

#include "core/check.h"
#include "ptq/checks.h"
#include "rung/ptq/validate.h"

namespace rung::ptq {

bool ValidationReport::ok() const {
  return std::ranges::none_of(findings,
                              [](const Finding& f) { return f.severity == Severity::error; });
}

std::string ValidationReport::to_string() const {
  constexpr std::array<std::string_view, 3> kNames = {"note", "warning", "error"};
  std::array<std::size_t, 3> counts{};
  std::string text;
  for (const Finding& finding : findings) {
    const auto severity = static_cast<std::size_t>(finding.severity);
    ++counts[severity];
    text += fmt::format("{:<8} {}: {}\n         -> {}\n", kNames[severity], finding.where,
                        finding.problem, finding.remedy);
  }
  return text + fmt::format("{}; errors: {}, warnings: {}, notes: {}\n", ok() ? "ok" : "not ok",
                            counts[2], counts[1], counts[0]);
}

std::ostream& operator<<(std::ostream& out, const ValidationReport& report) {
  return out << report.to_string();
}

ModelValidator::ModelValidator()
    : checks_{check_ops,         check_parameters, check_shared_parameters, check_batch_norm_values,
              check_foldability, check_quantizers, check_dead_nodes} {}

ValidationReport ModelValidator::validate_model(const Graph& graph) const {
  // On a broken graph the other checks would only stumble.
  ValidationReport report{check_structure(graph)};
  if (!report.ok()) return report;
  for (const ModelCheck& check : checks_)
    std::ranges::move(check(graph), std::back_inserter(report.findings));
  return report;
}

ValidationReport validate_model(const Graph& graph) {
  return ModelValidator().validate_model(graph);
}

}  // namespace rung::ptq
