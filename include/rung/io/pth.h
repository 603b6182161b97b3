#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rung/core/export.h"
#include "rung/core/tensor.h"
#include "rung/io/safetensors.h"

// PyTorch checkpoints, *.pth and *.pt: what torch.save writes of a state_dict, in the zip format of
// torch 1.6 and later or in the one before it. They are pickles, programs in truth; nothing of them
// is executed here.

namespace rung::io {

/// One tensor of a checkpoint.
struct PthTensor {
  std::string name = {};  ///< key of the state_dict, without a common "module." (DataParallel)
  Dtype dtype = Dtype::F32;
  Shape shape = {};
};

/// A checkpoint opened for reading: a dict of tensors, or a dict that has one as "state_dict" or
/// "model". Other entries (epoch, optimizer) are passed over. Data stay on disk until asked for.
class RUNG_API PthFile {
 public:
  /// Throws Error that begins with the path: the file cannot be opened, is damaged, is a
  /// TorchScript archive, holds Python objects other than tensors, numbers, texts, lists and dicts,
  /// has no tensors, or a tensor that reaches beyond its storage.
  explicit PthFile(const std::filesystem::path& path);
  ~PthFile();
  PthFile(PthFile&&) noexcept;
  PthFile& operator=(PthFile&&) noexcept;

  const std::filesystem::path& path() const;
  const std::vector<PthTensor>& tensors() const;  ///< in the order of the state_dict
  bool contains(std::string_view name) const;
  /// Throws Error with the closest names if there is no such tensor.
  const PthTensor& info(std::string_view name) const;
  /// Reads a tensor as float32, row-major whatever its strides were.
  Tensor tensor(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rung::io
