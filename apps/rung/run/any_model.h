#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "console/console.h"
#include "run/data.h"
#include "run/onnx_source.h"
#include "run/options.h"
#include "run/task.h"
#include "rung/graph/graph.h"

// Networks to look into, whatever file they are in, and the images that go through them.

namespace rung::cli {

/// A network out of a model file, float or quantized, or an ONNX file, with or without quantizers.
struct AnyModel {
  std::string path;
  Graph graph;
  std::optional<Task> task = {};  ///< what its file says that it is for
};

/// Reads such a file; throws Error that begins with its path.
AnyModel read_any_model(const std::string& path, const OnnxSource& onnx);

/// Which images go through networks that are looked into.
struct ImageOptions {
  DataOptions data;
  std::int64_t batch_size = 0;  ///< 0: as many as fit into some memory

  template <typename V>
  void visit(V& v) {
    v.group("Images");
    v.option("--dataset NAME", data.dataset,
             "see rung datasets; default: the one that the model was made for");
    v.option("--data DIR", data.dir, "folder of the dataset, default: see rung datasets");
    v.option("--images N", data.test_images, "use the first N test images, 0 = all", at_least(0));
    v.option("--batch-size N", batch_size,
             "images at a time (1: for networks that take no more), 0 = as many as memory allows",
             between(0, 1e6));
    v.flag("--skip-corrupt", data.skip_corrupt,
           "leave out images that cannot be read, and say how many");
    data.normalize.visit(v);
  }
};

/// Returns what a network is for: what its file says, or --dataset. Throws Error if neither does.
Task task_of(const AnyModel& model, const ImageOptions& options);

/// Hands the images over in batches of which `bytes_per_image` of memory are taken, behind a
/// progress bar. Ends in an exception if the user interrupts it. Returns how many there were.
std::int64_t for_each_batch(nn::DataLoader& loader, const ImageOptions& options,
                            std::int64_t bytes_per_image, const std::string& label,
                            const std::function<void(const Tensor& images)>& use);

}  // namespace rung::cli
