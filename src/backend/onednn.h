#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "rung/graph/kernel.h"

// oneDNN behind our vocabulary. Only onednn.cpp includes dnnl.hpp; the differences between its
// versions 2.6 and 3.x end there.

namespace rung::backend {

/// Returns the blocked format that this machine's convolutions are fastest in.
Format blocked_format();

std::string version();   ///< of the oneDNN library in use, e.g. "2.6.3"
std::string isa_name();  ///< the instructions that it uses, e.g. "avx512_core_bf16"

/// Everything a convolution is prepared for. Extents of images are [N, C, H, W].
struct ConvolutionSpec {
  std::array<std::int64_t, 4> src{}, dst{};
  std::array<std::int64_t, 2> kernel{}, stride{}, padding{}, dilation{};  ///< dilation 1 = dense
  std::array<std::int64_t, 2> padding_more{};  ///< bottom and right, beyond padding
  std::int64_t groups = 1;
  bool bias = false;
  bool add = false;  ///< another tensor, before clipping
  struct Clip {
    float low = -std::numeric_limits<float>::infinity();
    float high = std::numeric_limits<float>::infinity();
    bool any() const { return *this != Clip(); }
    bool operator==(const Clip&) const = default;
  };
  Clip clip = {};
  bool forward = true, backward_data = false, backward_weights = false;
  Format src_format = Format::plain, dst_format = Format::plain;
};

/// A convolution and its gradients, prepared once. Weights come and go as [O, C / groups, KH, KW]
/// row-major; they are reordered into the layouts that the primitives want only when `version`
/// says that they changed. Gradients need the scratch memory; nothing is allocated while running.
/// Runs with as many threads as it was prepared for; throws Error where there are fewer.
class Convolution {
 public:
  /// Throws Error (with oneDNN's status) if the library cannot do it at all.
  explicit Convolution(const ConvolutionSpec& spec);
  ~Convolution();

  /// True if one of the primitives fell back to oneDNN's slow reference loops.
  bool is_reference() const;
  std::string implementation() const;  ///< of the forward primitive, e.g. "jit:avx512_core"
  std::int64_t scratch_floats() const;
  /// True if forward() also prepares the weights of backward_data(), which then ignores those that
  /// it is given: nobody needs to keep them.
  bool keeps_weights() const;

  /// Does that part of forward() alone.
  void prepare_weights(const float* weights, std::uint64_t weights_version);
  /// `bias` and `added` may be nullptr if the spec has none; `added` has the format of dst.
  void forward(const float* src, const float* weights, std::uint64_t weights_version,
               const float* bias, const float* added, float* dst, float* scratch);
  void backward_data(const float* diff_dst, const float* weights, std::uint64_t weights_version,
                     float* diff_src, float* scratch);
  /// `diff_bias` may be nullptr if the spec has no bias.
  void backward_weights(const float* src, const float* diff_dst, float* diff_weights,
                        float* diff_bias, float* scratch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// C [m, n] = op(A) op(B) + beta C, row-major; op transposes what is stored as [k, m] or [n, k].
/// With beta 0, C is only written.
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          const float* a, const float* b, float* c, float beta = 0.0f);

}  // namespace rung::backend
