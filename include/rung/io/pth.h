#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
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
  std::string name = {};  ///< key of the state_dict
  Dtype dtype = Dtype::F32;
  Shape shape = {};
};

/// A checkpoint opened for reading: a dict that has a dict of tensors as "state_dict", "model" or
/// under another usual name, a dict of tensors, or a dict that has a single one. Other entries
/// (epoch, optimizer, arguments) are passed over. Data stay on disk until asked for.
class RUNG_API PthFile {
 public:
  /// Throws Error that begins with the path: the file cannot be opened, is damaged, is a
  /// TorchScript archive or a whole pickled module, has no tensors, several dicts of them, a
  /// quantized, sparse or complex one, or one that reaches beyond its storage. Tensors that repeat
  /// their storage (expanded) may do so 2^28 times in all.
  explicit PthFile(const std::filesystem::path& path);
  ~PthFile();
  PthFile(PthFile&&) noexcept;
  PthFile& operator=(PthFile&&) noexcept;

  const std::filesystem::path& path() const;
  /// Names of the dicts of tensors beside the one that is read, as "model_ema" is beside "model".
  const std::vector<std::string>& other_dicts() const;
  const std::vector<PthTensor>& tensors() const;  ///< in the order of the state_dict
  bool contains(std::string_view name) const;
  /// Throws Error with the closest names if there is no such tensor.
  const PthTensor& info(std::string_view name) const;
  /// Reads a tensor as float32, row-major whatever its strides were. Throws Error for what
  /// SafetensorsFile::tensor does not convert; `saturate` as there.
  Tensor tensor(std::string_view name, bool saturate = false) const;
  /// Reads the raw little-endian bytes of the elements, row-major.
  std::vector<std::byte> bytes(std::string_view name) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A tensor of a state_dict that is to be written: floats, integers (written as int64), or bytes of
/// any type that torch 1.13 has.
using StateDictValue = std::variant<ConstTensor, IntegerTensor, RawTensor>;
/// What is to be written, in this order.
using StateDict = std::vector<std::pair<std::string, StateDictValue>>;

struct SavePthOptions {
  Dtype float_dtype = Dtype::F32;  ///< or F64; or F16, BF16, rounded to nearest even
  /// Write the largest number of float_dtype for those beyond it, which otherwise are an Error.
  bool saturate = false;
};

/// Writes a checkpoint as torch.save writes a state_dict (zip format, pickle protocol 2), which
/// torch.load reads with weights_only=True as well. Atomic; the same tensors give the same bytes.
/// Throws Error on a wrong name, an undefined tensor, another float_dtype, more than 4 GiB, a full
/// disk or an unwritable folder.
RUNG_API void save_pth(const std::filesystem::path& path, const StateDict& state_dict,
                       const SavePthOptions& options = {});

}  // namespace rung::io
