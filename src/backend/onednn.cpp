#include "backend/onednn.h"

#include <algorithm>
#include <array>
#include <oneapi/dnnl/dnnl.hpp>
#include <utility>

#include "core/check.h"
#include "core/team.h"

namespace rung::backend {
namespace {

using dnnl::memory;
using Tag = memory::format_tag;
constexpr auto kF32 = memory::data_type::f32;

// An engine has no state that changes; every kernel runs on a stream of its own.
const dnnl::engine& cpu() {
  static const dnnl::engine engine = [] {
    try {
      return dnnl::engine(dnnl::engine::kind::cpu, 0);
    } catch (const dnnl::error& error) {
      fail(
          "oneDNN {} cannot compute on this machine's processor: {} (status {}); one that was "
          "built for OpenMP can, one for SYCL needs an OpenCL runtime for processors",
          version(), error.what(), static_cast<int>(error.status));
    }
  }();
  return engine;
}

[[noreturn]] void translate(const char* what, const dnnl::error& error) {
  fail("oneDNN {}: {} (status {})", what, error.what(), static_cast<int>(error.status));
}

Tag image_tag(Format format) {
  switch (format) {
    case Format::blocked8:
      return Tag::nChw8c;
    case Format::blocked16:
      return Tag::nChw16c;
    default:
      return Tag::nchw;
  }
}

memory::dims dims4(const std::array<std::int64_t, 4>& extents) {
  return {extents.begin(), extents.end()};
}

#if DNNL_VERSION_MAJOR >= 3
template <typename Primitive, typename... Args>
auto make_descriptor(const dnnl::primitive_attr& attr, const Args&... args) {
  return typename Primitive::primitive_desc(cpu(), args..., attr);
}
template <typename Primitive, typename Hint, typename... Args>
auto make_descriptor_hinted(const dnnl::primitive_attr& attr, const Hint& hint,
                            const Args&... args) {
  return typename Primitive::primitive_desc(cpu(), args..., hint, attr);
}
void append(dnnl::post_ops& ops, dnnl::algorithm function, float alpha, float beta) {
  ops.append_eltwise(function, alpha, beta);
}
#else
template <typename Primitive, typename... Args>
auto make_descriptor(const dnnl::primitive_attr& attr, const Args&... args) {
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), attr, cpu());
}
template <typename Primitive, typename Hint, typename... Args>
auto make_descriptor_hinted(const dnnl::primitive_attr& attr, const Hint& hint,
                            const Args&... args) {
  return typename Primitive::primitive_desc(typename Primitive::desc(args...), attr, cpu(), hint);
}
void append(dnnl::post_ops& ops, dnnl::algorithm function, float alpha, float beta) {
  ops.append_eltwise(1, function, alpha, beta);
}
#endif

// A memory object whose pointer moves: rebinding may clear channel padding, so only on a change.
void bind(memory& object, const float* data) {
  void* pointer = const_cast<float*>(data);
  if (object.get_data_handle() != pointer) object.set_data_handle(pointer);
}

memory unbound(const memory::desc& desc) { return memory(desc, cpu(), DNNL_MEMORY_NONE); }

// Weights in the layout a primitive wants, remade only when their version changes.
struct PreparedWeights {
  memory plain, wanted;
  dnnl::reorder reorder;
  bool needed = false;
  std::uint64_t version = 0;

  PreparedWeights() = default;
  PreparedWeights(const memory::desc& plain_desc, const memory::desc& wanted_desc)
      : plain(unbound(plain_desc)), needed(plain_desc != wanted_desc) {
    if (!needed) return;
    wanted = memory(wanted_desc, cpu());
    reorder = dnnl::reorder(plain, wanted);
  }
  /// What the primitive reads.
  const memory& used() const { return needed ? wanted : plain; }
  void update(dnnl::stream& stream, const float* weights, std::uint64_t now) {
    if (needed && now != 0 && now == version) return;
    bind(plain, weights);
    if (needed) reorder.execute(stream, plain, wanted);
    version = now;
  }
};

}  // namespace

Format blocked_format() {
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  const auto wide = static_cast<unsigned>(dnnl::cpu_isa::avx512_core);  // a set of bits
  return (have & wide) == wide ? Format::blocked16 : Format::blocked8;
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  const std::string number = fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
  switch (v->cpu_runtime) {
    case DNNL_RUNTIME_OMP:
      return number;
    case DNNL_RUNTIME_SEQ:
      return number + " on one thread";
    case DNNL_RUNTIME_TBB:
      return number + " on TBB";
    case DNNL_RUNTIME_SYCL:
      return number + " on SYCL";
    default:
      return number + " on a runtime of its own";
  }
}

std::string isa_name() {
  using dnnl::cpu_isa;
  constexpr std::array kNames = {
      std::pair{cpu_isa::avx512_core_amx, "avx512_core_amx"},
      std::pair{cpu_isa::avx512_core_bf16, "avx512_core_bf16"},
      std::pair{cpu_isa::avx512_core_vnni, "avx512_core_vnni"},
      std::pair{cpu_isa::avx512_core, "avx512_core"},
      std::pair{cpu_isa::avx2_vnni, "avx2_vnni"},
      std::pair{cpu_isa::avx2, "avx2"},
      std::pair{cpu_isa::avx, "avx"},
  };
  const auto have = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  for (const auto& [isa, name] : kNames)  // sets of bits, the largest first
    if (const auto needed = static_cast<unsigned>(isa); (have & needed) == needed) return name;
  return "sse41";
}

struct Convolution::Impl {
  /// Where oneDNN runs on SYCL, execute() only queues: every call waits before it returns.
  dnnl::stream stream{cpu()};
  dnnl::convolution_forward forward;
  dnnl::convolution_backward_data backward_data;
  dnnl::convolution_backward_weights backward_weights;
  memory src, dst, bias, added, diff_src, diff_dst, diff_bias;  // apart, so that bindings last
  memory scratch_forward, scratch_data, scratch_weights, diff_weights, diff_weights_plain;
  dnnl::reorder diff_reorder;
  bool diff_reordered = false, keeps_weights = false;
  PreparedWeights weights_forward, weights_data;
  // The memory objects of each primitive; they share their pointers with those above.
  std::unordered_map<int, memory> forward_args, data_args, weights_args;
  std::string implementation;
  int threads = 0;  // that the primitives were made for
  bool reference = false;
  std::int64_t scratch = 0;

  memory::desc scratchpad(const memory::desc& desc) {
    scratch = std::max(scratch, static_cast<std::int64_t>((desc.get_size() + 3) / 4));
    return desc;
  }
  template <typename Descriptor>
  void note(const Descriptor& descriptor) {
    const std::string name = descriptor.impl_info_str();
    if (implementation.empty()) implementation = name;
    reference = reference || name.starts_with("ref");
  }
  /// A primitive leaves the work of missing threads undone, or waits for them for ever.
  void check(const Team& team) const {
    require(team.threads() == threads,
            "a convolution prepared for {} threads cannot run with {}: prepare it where it runs",
            threads, team.threads());
  }
  void prepare_arguments(const ConvolutionSpec& spec) {
    if (spec.forward) {
      forward_args = {{DNNL_ARG_SRC, src},
                      {DNNL_ARG_WEIGHTS, weights_forward.used()},
                      {DNNL_ARG_DST, dst},
                      {DNNL_ARG_SCRATCHPAD, scratch_forward}};
      if (spec.bias) forward_args.emplace(DNNL_ARG_BIAS, bias);
      if (spec.add) forward_args.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, added);
    }
    if (spec.backward_data)
      data_args = {{DNNL_ARG_DIFF_DST, diff_dst},
                   {DNNL_ARG_WEIGHTS, weights_data.used()},
                   {DNNL_ARG_DIFF_SRC, diff_src},
                   {DNNL_ARG_SCRATCHPAD, scratch_data}};
    if (spec.backward_weights) {
      weights_args = {{DNNL_ARG_SRC, src},
                      {DNNL_ARG_DIFF_DST, diff_dst},
                      {DNNL_ARG_DIFF_WEIGHTS, diff_reordered ? diff_weights : diff_weights_plain},
                      {DNNL_ARG_SCRATCHPAD, scratch_weights}};
      if (spec.bias) weights_args.emplace(DNNL_ARG_DIFF_BIAS, diff_bias);
    }
  }
};

Convolution::Convolution(const ConvolutionSpec& spec) try : impl_(std::make_unique<Impl>()) {
  const Team team;
  impl_->threads = team.threads();
  const memory::dims stride(spec.stride.begin(), spec.stride.end());
  const memory::dims padding(spec.padding.begin(), spec.padding.end());
  const memory::dims padding_end = {spec.padding[0] + spec.padding_more[0],
                                    spec.padding[1] + spec.padding_more[1]};
  const memory::dims dilation = {spec.dilation[0] - 1, spec.dilation[1] - 1};  // oneDNN: 0 = dense
  const std::int64_t outputs = spec.dst[1], inputs = spec.src[1];
  const bool grouped = spec.groups > 1;
  memory::dims weights_dims = {outputs, inputs, spec.kernel[0], spec.kernel[1]};
  if (grouped)
    weights_dims = {spec.groups, outputs / spec.groups, inputs / spec.groups, spec.kernel[0],
                    spec.kernel[1]};
  const memory::desc src(dims4(spec.src), kF32, image_tag(spec.src_format));
  const memory::desc dst(dims4(spec.dst), kF32, image_tag(spec.dst_format));
  const memory::desc plain(weights_dims, kF32, grouped ? Tag::goihw : Tag::oihw);
  const memory::desc any(weights_dims, kF32, Tag::any);
  const memory::desc bias = spec.bias ? memory::desc({outputs}, kF32, Tag::x) : memory::desc();
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const bool training = spec.backward_data || spec.backward_weights;

  dnnl::primitive_attr attr, attr_forward;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attr_forward.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::post_ops ops;
  if (spec.add) ops.append_binary(dnnl::algorithm::binary_add, dst);
  if (spec.clip == ConvolutionSpec::Clip{.low = 0.0f})
    append(ops, dnnl::algorithm::eltwise_relu, 0, 0);
  else if (spec.clip.any())
    append(ops, dnnl::algorithm::eltwise_clip, spec.clip.low, spec.clip.high);
  attr_forward.set_post_ops(ops);
  const auto kind =
      training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference;
  const auto forward = make_descriptor<dnnl::convolution_forward>(
      attr_forward, kind, algorithm, src, any, bias, dst, stride, dilation, padding, padding_end);
  Impl& m = *impl_;
  m.note(forward);
  if (spec.forward) m.forward = dnnl::convolution_forward(forward);
  m.src = unbound(src);
  m.dst = unbound(dst);
  m.diff_dst = unbound(dst);
  if (spec.bias) m.bias = unbound(bias), m.diff_bias = unbound(bias);
  if (spec.add) m.added = unbound(dst);
  m.scratch_forward = unbound(m.scratchpad(forward.scratchpad_desc()));
  if (spec.forward) m.weights_forward = PreparedWeights(plain, forward.weights_desc());

  if (spec.backward_data) {
    const auto descriptor = make_descriptor_hinted<dnnl::convolution_backward_data>(
        attr, forward, algorithm, src, any, dst, stride, dilation, padding, padding_end);
    m.note(descriptor);
    m.backward_data = dnnl::convolution_backward_data(descriptor);
    m.scratch_data = unbound(m.scratchpad(descriptor.scratchpad_desc()));
    m.diff_src = unbound(src);
    m.weights_data = PreparedWeights(plain, descriptor.weights_desc());
    m.keeps_weights = spec.forward && m.weights_data.needed;
  }
  if (spec.backward_weights) {
    const auto descriptor = make_descriptor_hinted<dnnl::convolution_backward_weights>(
        attr, forward, algorithm, src, any, bias, dst, stride, dilation, padding, padding_end);
    m.note(descriptor);
    m.backward_weights = dnnl::convolution_backward_weights(descriptor);
    m.scratch_weights = unbound(m.scratchpad(descriptor.scratchpad_desc()));
    m.diff_weights_plain = unbound(plain);
    m.diff_reordered = descriptor.diff_weights_desc() != plain;
    if (m.diff_reordered) {
      m.diff_weights = memory(descriptor.diff_weights_desc(), cpu());
      m.diff_reorder = dnnl::reorder(m.diff_weights, m.diff_weights_plain);
    }
  }
  m.prepare_arguments(spec);
} catch (const dnnl::error& error) {
  translate("convolution", error);
}

Convolution::~Convolution() = default;

bool Convolution::is_reference() const { return impl_->reference; }
std::string Convolution::implementation() const { return impl_->implementation; }
bool Convolution::keeps_weights() const { return impl_->keeps_weights; }
std::int64_t Convolution::scratch_floats() const { return impl_->scratch; }

void Convolution::forward(const float* src, const float* weights, std::uint64_t weights_version,
                          const float* bias, const float* added, float* dst, float* scratch) try {
  Impl& m = *impl_;
  const Team team(m.threads);
  m.check(team);
  m.weights_forward.update(m.stream, weights, weights_version);
  bind(m.src, src);
  bind(m.dst, dst);
  bind(m.scratch_forward, scratch);
  if (bias != nullptr) bind(m.bias, bias);
  if (added != nullptr) bind(m.added, added);
  m.forward.execute(m.stream, m.forward_args);
  if (keeps_weights()) m.weights_data.update(m.stream, weights, weights_version);
  m.stream.wait();
} catch (const dnnl::error& error) {
  translate("convolution forward", error);
}

void Convolution::prepare_weights(const float* weights, std::uint64_t weights_version) try {
  Impl& m = *impl_;
  const Team team(m.threads);
  m.check(team);
  m.weights_data.update(m.stream, weights, weights_version);
  m.stream.wait();
} catch (const dnnl::error& error) {
  translate("convolution weights", error);
}

void Convolution::backward_data(const float* diff_dst, const float* weights,
                                std::uint64_t weights_version, float* diff_src,
                                float* scratch) try {
  Impl& m = *impl_;
  const Team team(m.threads);
  m.check(team);
  if (!keeps_weights()) m.weights_data.update(m.stream, weights, weights_version);
  bind(m.diff_dst, diff_dst);
  bind(m.diff_src, diff_src);
  bind(m.scratch_data, scratch);
  m.backward_data.execute(m.stream, m.data_args);
  m.stream.wait();
} catch (const dnnl::error& error) {
  translate("convolution backward data", error);
}

void Convolution::backward_weights(const float* src, const float* diff_dst, float* diff_weights,
                                   float* diff_bias, float* scratch) try {
  Impl& m = *impl_;
  const Team team(m.threads);
  m.check(team);
  bind(m.src, src);
  bind(m.diff_dst, diff_dst);
  bind(m.diff_weights_plain, diff_weights);
  bind(m.scratch_weights, scratch);
  if (diff_bias != nullptr) bind(m.diff_bias, diff_bias);
  m.backward_weights.execute(m.stream, m.weights_args);
  if (m.diff_reordered) m.diff_reorder.execute(m.stream, m.diff_weights, m.diff_weights_plain);
  m.stream.wait();
} catch (const dnnl::error& error) {
  translate("convolution backward weights", error);
}

void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          const float* a, const float* b, float* c, float beta) {
  if (m == 0 || n == 0) return;
  const Team team;
  const dnnl_status_t status =
      dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0f, a,
                 transpose_a ? m : k, b, transpose_b ? k : n, beta, c, n);
  require(status == dnnl_success, "oneDNN gemm [{}, {}, {}] failed (status {})", m, n, k,
          static_cast<int>(status));
}

}  // namespace rung::backend
