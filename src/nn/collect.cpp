#include "rung/nn/collect.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace rung::nn {
namespace {

/// Lets an executor watch some more names while it lives.
class Watch {
 public:
  Watch(Executor& executor, const std::vector<std::string>& names)
      : executor_(executor), before_(executor.watched()) {
    std::vector<std::string> all = before_;
    for (const std::string& name : names)
      if (std::ranges::find(all, name) == all.end()) all.push_back(name);
    changes_ = all.size() > before_.size();
    if (changes_) executor.watch(std::move(all));
  }
  ~Watch() {
    if (!changes_) return;
    std::erase_if(before_, [&](const std::string& name) {  // the callback may edit the graph
      return executor_.graph().find_value(name) == nullptr;
    });
    executor_.watch(std::move(before_));
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  Executor& executor_;
  std::vector<std::string> before_;
  bool changes_ = false;
};

/// One value of all images so far, in memory for as many as there can be.
class Rows {
 public:
  Rows(std::string name, std::int64_t most_images)
      : name_(std::move(name)), most_images_(most_images) {}

  void add(const Batch& batch, const Tensor& value) {
    const Shape& shape = value.shape();
    require(shape.rank() > 0 && batch.size() > 0 && shape[0] % batch.size() == 0,
            "collect_values: {} is {} for a batch of {}: axis 0 does not belong to the images",
            name_, shape, batch.size());
    const std::int64_t per_image = shape[0] / batch.size();
    if (!all_.defined()) all_ = Tensor(shape.with(0, per_image * most_images_));
    require(all_.shape() == shape.with(0, per_image * most_images_),
            "collect_values: {} is {} for a batch of {}; of the batches before it had {} rows per "
            "image, of shape {}",
            name_, shape, batch.size(), all_.size(0) / most_images_, all_.shape().with(0, 1));
    all_.slice(rows_, rows_ + shape[0]).copy_from(value);
    rows_ += shape[0];
  }
  Tensor taken() const { return all_.slice(0, rows_); }

 private:
  std::string name_;
  std::int64_t most_images_, rows_ = 0;
  Tensor all_;
};

}  // namespace

void for_each_batch_values(Executor& executor, DataLoader& loader,
                           const std::vector<std::string>& names, const ValuesCallback& callback,
                           const CollectOptions& options) {
  require(options.num_batches > 0, "collect_values: num_batches must be positive, got {}",
          options.num_batches);
  const Watch watch(executor, names);
  for (const Batch& batch : loader.take(options.num_batches)) {
    if (options.forward)
      options.forward(executor, batch);
    else
      (void)executor.forward(std::span(&batch.images, 1));
    std::vector<Tensor> values;
    for (const std::string& name : names) values.push_back(executor.value(name));
    callback(batch, values);
  }
}

std::vector<Tensor> collect_values(Executor& executor, DataLoader& loader,
                                   const std::vector<std::string>& names,
                                   const CollectOptions& options) {
  const std::int64_t batches = std::min(options.num_batches, loader.size());
  const std::int64_t most =
      std::min(batches * loader.options().batch_size, loader.dataset().size());
  std::vector<Rows> rows;
  for (const std::string& name : names) rows.emplace_back(name, most);
  bool any = false;
  for_each_batch_values(
      executor, loader, names,
      [&](const Batch& batch, std::span<const Tensor> values) {
        for (std::size_t i = 0; i < rows.size(); ++i) rows[i].add(batch, values[i]);
        any = true;
      },
      options);
  require(any, "collect_values: the loader has no batches");
  std::vector<Tensor> result;
  for (const Rows& each : rows) result.push_back(each.taken());
  return result;
}

}  // namespace rung::nn
