#include "rung/analysis/analyze.h"

#include <algorithm>
#include <chrono>

#include "analysis/session.h"
#include "core/check.h"

namespace rung::analysis {

Data::Data(nn::DataLoader& loader, std::int64_t num_batches)
    : for_each_([&loader, num_batches](const Use& use) {
        for (const nn::Batch& batch : loader.take(std::min(num_batches, loader.size())))
          use({&batch.images, 1}, batch.labels);
      }) {}

Data::Data(std::vector<Tensor> batches)
    : for_each_([batches = std::move(batches)](const Use& use) {
        for (const Tensor& batch : batches) use({&batch, 1}, {});
      }) {}

Analysis analyze(const QuantizationSimModel& sim, const Data& data, const Evaluate& evaluate,
                 const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  Session session(sim, options);
  data.for_each([&](std::span<const Tensor> inputs, std::span<const std::int64_t> labels) {
    session.add(inputs, labels, !evaluate);
  });
  Analysis analysis = session.result(evaluate);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  analysis.cost.seconds = took.count();
  return analysis;
}

namespace {

template <typename Named>
const Named& find(const std::vector<Named>& all, std::string_view name, std::string_view what) {
  const auto found = std::ranges::find(all, name, &Named::name);
  require(found != all.end(), "analysis: there is no {} {}", what, name);
  return *found;
}

}  // namespace

const Layer& Analysis::layer(std::string_view name) const { return find(layers, name, "layer"); }

const Quantizer& Analysis::quantizer(std::string_view name) const {
  return find(quantizers, name, "quantizer");
}

}  // namespace rung::analysis
