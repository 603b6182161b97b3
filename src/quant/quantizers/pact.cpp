#include <algorithm>
#include <memory>
#include <vector>

#include "core/check.h"
#include "quant/channels.h"
#include "rung/core/parallel.h"
#include "rung/quant/quantizer.h"

// PACT clips at a learned level alpha, and learns it from what it clips alone:
//
//   y = Q(clip(x, 0, alpha))
//   d y / d alpha = 1 where x >= alpha, else 0     d y / d x = 1 inside, 0 where x was clipped
//
// Q rounds to the codes, and gradients pass it unchanged. Range learning (affine) differs inside
// the range, where it also counts how much each number was moved.

namespace rung {
namespace {

constexpr std::int64_t kPiece = 1 << 14;  // numbers per piece of work

/// Parameterized clipping activation (Choi et al. 2018, equations 1 to 3): alpha is the parameter
/// "max". A calibrated "min" below 0 stays as it is; a symmetric grid (weights) clips at -alpha,
/// too, and moves both ends alike.
class Pact final : public RangeQuantizer {
 public:
  explicit Pact(const QuantizerOptions& options) : RangeQuantizer(options) {}
  std::string_view kind() const override { return "pact"; }

  std::vector<ParameterSpec> parameters() const override {
    std::vector<ParameterSpec> specs = RangeQuantizer::parameters();
    specs[0].learnable = is_symmetric();
    return specs;
  }
  Encoding encoding(ParameterView parameters) const override {
    return encoding_from_range(parameters[0], parameters[1], bitwidth(), resolved_symmetry(),
                               granularity());
  }
  bool has_own_gradient() const override { return true; }

  void backward(const QuantizeGradIo& io) const override {
    const std::vector<Piece> pieces = cut(io.shape);
    std::vector<double> sums(pieces.size());
    parallel_for(std::ssize(pieces), 1, [&](std::int64_t begin, std::int64_t end) {
      for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
        sums[i] = backward(pieces[i], io);
    });
    std::vector<double> dalpha(static_cast<std::size_t>(channels()), 0.0);
    for (std::size_t i = 0; i < pieces.size(); ++i) dalpha[pieces[i].channel] += sums[i];
    write(dalpha, io.dparameters);
  }
  std::unique_ptr<Quantizer> clone() const override { return std::make_unique<Pact>(*this); }

 private:
  struct Piece {
    std::size_t channel, first, last;
  };

  bool is_symmetric() const {
    return resolved_symmetry() == Symmetry::symmetric ||
           resolved_symmetry() == Symmetry::strict_symmetric;
  }

  /// Cuts a tensor into pieces of one channel, the same ones for any number of threads.
  std::vector<Piece> cut(const Shape& shape) const {
    const ChannelRuns runs(shape, granularity());
    std::vector<Piece> pieces;
    for (std::int64_t run = 0; run < runs.count(); ++run)
      for (std::int64_t done = 0; done < runs.length(); done += kPiece) {
        const auto first = static_cast<std::size_t>(runs.start(run) + done);
        const std::int64_t length = std::min(kPiece, runs.length() - done);
        pieces.push_back({static_cast<std::size_t>(runs.channel(run)), first,
                          first + static_cast<std::size_t>(length)});
      }
    return pieces;
  }

  /// Writes dx of a piece and returns its share of d alpha.
  double backward(const Piece& piece, const QuantizeGradIo& io) const {
    const float low = io.parameters[0][piece.channel], alpha = io.parameters[1][piece.channel];
    const double of_low = is_symmetric() ? -1.0 : 0.0;
    double sum = 0.0;
    for (std::size_t i = piece.first; i < piece.last; ++i) {
      const float x = io.x[i], dy = io.dy[i];
      const bool above = x >= alpha, below = x < low;
      if (!io.dx.empty()) io.dx[i] = above || below ? 0.0f : dy;
      if (above)
        sum += double{dy};
      else if (below)
        sum += of_low * double{dy};
    }
    return sum;
  }

  /// Of a symmetric grid, alpha is (max - min) / 2.
  void write(const std::vector<double>& dalpha, MutableParameterView dparameters) const {
    const std::span<float> dmin = dparameters[0], dmax = dparameters[1];
    const double share = is_symmetric() ? 0.5 : 1.0;
    for (std::size_t c = 0; c < dalpha.size(); ++c) {
      if (!dmax.empty()) dmax[c] = static_cast<float>(share * dalpha[c]);
      if (!dmin.empty()) dmin[c] = is_symmetric() ? static_cast<float>(-share * dalpha[c]) : 0.0f;
    }
  }
};

}  // namespace

std::unique_ptr<Quantizer> make_pact(const QuantizerOptions& options) {
  return std::make_unique<Pact>(options);
}

}  // namespace rung
