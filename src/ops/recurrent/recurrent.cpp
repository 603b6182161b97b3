#include "rung/ops/recurrent.h"

#include <algorithm>
#include <type_traits>

#include "backend/onednn.h"
#include "ops/common.h"
#include "ops/first_weights.h"
#include "ops/recurrent/recurrent_cells.h"
#include "rung/core/parallel.h"

namespace rung {
namespace {

struct Sizes {
  std::int64_t steps, batch, inputs, hidden, directions, gates;
  std::int64_t rows() const { return steps * batch; }
  std::int64_t width() const { return gates * hidden; }
  std::int64_t state() const { return batch * hidden; }
};

/// Hands out parts of the scratch memory.
class Parts {
 public:
  explicit Parts(float* memory) : next_(memory) {}
  float* take(std::int64_t floats) {
    float* taken = next_;
    next_ += floats;
    return taken;
  }

 private:
  float* next_;
};

void fill_rows(const float* row, std::int64_t width, float* to, std::int64_t rows) {
  for (std::int64_t i = 0; i < rows; ++i) std::copy_n(row, width, to + i * width);
}

/// Sums of columns, in double and in order.
void sum_rows(const float* from, std::int64_t width, std::int64_t rows, float* sums) {
  for (std::int64_t j = 0; j < width; ++j) {
    double sum = 0.0;
    for (std::int64_t i = 0; i < rows; ++i) sum += from[i * width + j];
    sums[j] = static_cast<float>(sum);
  }
}

/// Inputs: x [T, N, I], weight [D, G H, I], recurrence [D, G H, H], bias [D, 2 G H], and the first
/// states h (and c) [D, N, H] or none. Forward keeps nothing: backward computes the gates again
/// from the states in y.
template <typename Cell>
class RecurrentKernel final : public Kernel {
 public:
  RecurrentKernel(const Cell& cell, std::string_view direction, const KernelContext& context)
      : cell_(cell), starts_in_reverse_(direction == "reverse") {
    const Shape &x = context.inputs[0], &recurrence = context.inputs[2];
    s_ = {x[0], x[1], x[2], recurrence[2], recurrence[0], Cell::kGates};
    input_formats.assign(context.inputs.size(), Format::plain);
    output_formats = {Format::plain};
    needs = {.input_bits = ~0u, .output_bits = 1u};
    has_state_ = context.inputs.size() > 4;
    const std::int64_t all = s_.rows() * s_.width(), one = s_.batch * s_.width();
    scratch_forward = bytes_of<float>(all + one + 4 * s_.state());
    scratch_backward = bytes_of<float>(2 * all + (3 * s_.steps + 7) * s_.state());
    flops_forward = 2.0 * static_cast<double>(s_.directions * s_.rows() * s_.width()) *
                    static_cast<double>(s_.inputs + s_.hidden);
    flops_backward = 3.0 * flops_forward;
  }
  std::string name() const override { return "recurrent"; }

  void forward(const Io& io) override {
    for (std::int64_t d = 0; d < s_.directions; ++d) {
      Parts parts(io.scratch());
      const Weights w = weights(io, d);
      float* a = input_sums(io.input(0).data, w, parts);
      float* b = parts.take(s_.batch * s_.width());
      float* scaled = parts.take(s_.state());
      const float* h = first_state(io, 4, d, parts);
      const float* c = Cell::kHasCellState ? first_state(io, 5, d, parts) : nullptr;
      float* cells = parts.take(s_.state());
      for (std::int64_t k = 0; k < s_.steps; ++k) {
        const std::int64_t t = time(k, d);
        state_sums(h, w, a + t * s_.batch * s_.width(), b, scaled);
        float* y = state(io.output(0).data, t, d);
        each_row([&](std::int64_t n) { cell_.step(row(a, t, b, h, c, y, cells, n), s_.hidden); });
        h = y;
        c = cells;
      }
    }
  }

  void backward(const GradIo& io) override {
    if (io.wants(0)) std::fill_n(io.input_grad(0).data, io.input_grad(0).count, 0.0f);
    for (std::int64_t d = 0; d < s_.directions; ++d) backward_direction(io, d);
  }

 private:
  struct Weights {
    const float *weight, *recurrence, *bias;
  };
  template <typename AnyIo>
  Weights weights(const AnyIo& io, std::int64_t d) const {
    return {io.input(1).data + d * s_.width() * s_.inputs,
            io.input(2).data + d * s_.width() * s_.hidden, io.input(3).data + d * 2 * s_.width()};
  }

  static constexpr bool kIsGru = std::is_same_v<Cell, GruCell>;
  /// True if the reset gate scales the state before its product.
  bool scales_state() const {
    if constexpr (kIsGru) return !cell_.linear_before_reset;
    return false;
  }

  std::int64_t time(std::int64_t k, std::int64_t d) const {
    return (d == 1) != starts_in_reverse_ ? s_.steps - 1 - k : k;
  }
  template <typename T>
  T* state(T* y, std::int64_t t, std::int64_t d) const {
    return y + (t * s_.directions + d) * s_.state();
  }

  template <typename AnyIo>
  const float* first_state(const AnyIo& io, std::size_t input, std::int64_t d, Parts& parts) const {
    if (has_state_) return io.input(input).data + d * s_.state();
    float* zeros = parts.take(s_.state());
    std::fill_n(zeros, s_.state(), 0.0f);
    return zeros;
  }

  template <typename Body>
  void each_row(const Body& body) const {
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / (8 * s_.width()));
    parallel_for(s_.batch, grain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) body(n);
    });
  }

  CellRow row(const float* a, std::int64_t t, const float* b, const float* h, const float* c,
              float* y, float* cells, std::int64_t n) const {
    const std::int64_t at = n * s_.hidden;
    return {a + (t * s_.batch + n) * s_.width(),
            b + n * s_.width(),
            h + at,
            c != nullptr ? c + at : nullptr,
            y + at,
            cells + at};
  }

  /// x weight^T + bias, for all steps.
  float* input_sums(const float* x, const Weights& w, Parts& parts) const {
    float* a = parts.take(s_.rows() * s_.width());
    fill_rows(w.bias, s_.width(), a, s_.rows());
    backend::gemm(false, true, s_.rows(), s_.width(), s_.inputs, x, w.weight, a, 1.0f);
    return a;
  }

  /// h recurrence^T + bias, for one step; `a` are its input sums.
  void state_sums(const float* h, const Weights& w, const float* a, float* b, float* scaled) const {
    const float* bias = w.bias + s_.width();
    fill_rows(bias, s_.width(), b, s_.batch);
    backend::gemm(false, true, s_.batch, s_.width(), s_.hidden, h, w.recurrence, b, 1.0f);
    if (!scales_state()) return;
    // The last third again, of the state that the reset gate has scaled.
    const std::int64_t first = 2 * s_.hidden;
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t j = 0; j < s_.hidden; ++j) {
        const std::int64_t at = n * s_.width() + s_.hidden + j;
        scaled[n * s_.hidden + j] = gate(a[at] + b[at]) * h[n * s_.hidden + j];
      }
    for (std::int64_t n = 0; n < s_.batch; ++n) {
      float* last = b + n * s_.width() + first;
      std::copy_n(bias + first, s_.hidden, last);
      backend::gemm(false, true, 1, s_.hidden, s_.hidden, scaled + n * s_.hidden,
                    w.recurrence + first * s_.hidden, last, 1.0f);
    }
  }

  void backward_direction(const GradIo& io, std::int64_t d) const {
    Parts parts(io.scratch());
    const Weights w = weights(io, d);
    float* a = input_sums(io.input(0).data, w, parts);
    float* b = parts.take(s_.rows() * s_.width());
    float* before = parts.take(s_.steps * s_.state());  // the state before each step, by time
    float* scaled = parts.take(s_.steps * s_.state());
    float* cells = parts.take((s_.steps + 1) * s_.state());  // by number of the step
    float *dh = parts.take(s_.state()), *dc = parts.take(s_.state()), *sum = parts.take(s_.state()),
          *through = parts.take(s_.state());
    const float* h = first_state(io, 4, d, parts);
    if constexpr (Cell::kHasCellState) std::copy_n(first_state(io, 5, d, parts), s_.state(), cells);
    for (std::int64_t k = 0; k < s_.steps; ++k) {  // everything again but for the states
      const std::int64_t t = time(k, d), gates = t * s_.batch * s_.width();
      std::copy_n(h, s_.state(), before + t * s_.state());
      state_sums(h, w, a + gates, b + gates, scaled + t * s_.state());
      h = state(io.output(0).data, t, d);
      if constexpr (Cell::kHasCellState)
        each_row([&](std::int64_t n) {  // its h is written where nothing is needed yet
          cell_.step(row(a, t, b + gates, before + t * s_.state(), cells + k * s_.state(), sum,
                         cells + (k + 1) * s_.state(), n),
                     s_.hidden);
        });
    }
    std::fill_n(dh, s_.state(), 0.0f);
    std::fill_n(dc, s_.state(), 0.0f);
    for (std::int64_t k = s_.steps; k-- > 0;) {
      const std::int64_t t = time(k, d), gates = t * s_.batch * s_.width();
      const float* dy = state(io.output_grad(0).data, t, d);
      for (std::int64_t i = 0; i < s_.state(); ++i) sum[i] = dh[i] + dy[i];
      each_row([&](std::int64_t n) {
        const CellRow r = row(a, t, b + gates, before + t * s_.state(), cells + k * s_.state(),
                              state(io.output(0).data, t, d), cells + (k + 1) * s_.state(), n);
        const std::int64_t at = n * s_.hidden;
        if (scales_state()) keep_reset(r, through + at);
        cell_.backward(
            r, {sum + at, a + gates + n * s_.width(), b + gates + n * s_.width(), dh + at, dc + at},
            s_.hidden);
      });
      if (scales_state())
        pass_scaled(w, a + gates, b + gates, before + t * s_.state(), through, sum, dh);
      // The gates that read the state itself.
      const std::int64_t width = scales_state() ? 2 * s_.hidden : s_.width();
      add_product(b + gates, width, w.recurrence, dh);
    }
    write_gradients(io, d, w, a, b, before, scaled);
    if (has_state_ && io.wants(4))
      std::copy_n(dh, s_.state(), io.input_grad(4).data + d * s_.state());
    if (Cell::kHasCellState && has_state_ && io.wants(5))
      std::copy_n(dc, s_.state(), io.input_grad(5).data + d * s_.state());
  }

  void keep_reset(const CellRow& r, float* to) const {
    for (std::int64_t j = 0; j < s_.hidden; ++j) to[j] = GruCell::reset(r, j, s_.hidden);
  }

  /// Gradients of the reset gate and the state through their product.
  void pass_scaled(const Weights& w, float* da, float* db, const float* h, const float* reset,
                   float* product, float* dh) const {
    const std::int64_t first = 2 * s_.hidden;
    for (std::int64_t n = 0; n < s_.batch; ++n)
      backend::gemm(false, false, 1, s_.hidden, s_.hidden, db + n * s_.width() + first,
                    w.recurrence + first * s_.hidden, product + n * s_.hidden);
    for (std::int64_t n = 0; n < s_.batch; ++n)
      for (std::int64_t j = 0; j < s_.hidden; ++j) {
        const std::int64_t i = n * s_.hidden + j, at = n * s_.width() + s_.hidden + j;
        dh[i] += product[i] * reset[i];
        da[at] = db[at] = product[i] * h[i] * reset[i] * (1.0f - reset[i]);
      }
  }

  /// dh += the first `width` columns of db times recurrence.
  void add_product(const float* db, std::int64_t width, const float* recurrence, float* dh) const {
    if (width == s_.width())
      return backend::gemm(false, false, s_.batch, s_.hidden, width, db, recurrence, dh, 1.0f);
    for (std::int64_t n = 0; n < s_.batch; ++n)
      backend::gemm(false, false, 1, s_.hidden, width, db + n * s_.width(), recurrence,
                    dh + n * s_.hidden, 1.0f);
  }

  void write_gradients(const GradIo& io, std::int64_t d, const Weights& w, const float* da,
                       const float* db, const float* before, const float* scaled) const {
    const std::int64_t width = s_.width(), rows = s_.rows();
    if (io.wants(0))
      backend::gemm(false, false, rows, s_.inputs, width, da, w.weight, io.input_grad(0).data,
                    1.0f);
    if (io.wants(1))
      backend::gemm(true, false, width, s_.inputs, rows, da, io.input(0).data,
                    io.input_grad(1).data + d * width * s_.inputs);
    if (io.wants(2)) {
      float* dr = io.input_grad(2).data + d * width * s_.hidden;
      backend::gemm(true, false, width, s_.hidden, rows, db, before, dr);
      if (scales_state()) outer_product(db, scaled, dr);
    }
    if (!io.wants(3)) return;
    float* bias = io.input_grad(3).data + d * 2 * width;
    sum_rows(da, width, rows, bias);
    sum_rows(db, width, rows, bias + width);
  }

  /// The last third of the recurrence has read the scaled states.
  void outer_product(const float* db, const float* scaled, float* dr) const {
    const std::int64_t first = 2 * s_.hidden;
    for (std::int64_t i = 0; i < s_.hidden; ++i)
      for (std::int64_t j = 0; j < s_.hidden; ++j) {
        double sum = 0.0;
        for (std::int64_t row = 0; row < s_.rows(); ++row)
          sum +=
              static_cast<double>(db[row * s_.width() + first + i]) * scaled[row * s_.hidden + j];
        dr[(first + i) * s_.hidden + j] = static_cast<float>(sum);
      }
  }

  Cell cell_;
  bool starts_in_reverse_, has_state_ = false;
  Sizes s_{};
};

template <typename Cell>
struct Recurrent final : Op {
  Cell cell;
  std::string direction = "forward";

  std::string_view type() const override { return Cell::kType; }
  void visit(AttributeVisitor& visitor) override {
    visitor("direction", direction);
    if constexpr (std::is_same_v<Cell, GruCell>)
      visitor("linear_before_reset", cell.linear_before_reset);
    if constexpr (std::is_same_v<Cell, RnnCell>) visitor("relu", cell.relu);
  }
  std::vector<Shape> infer(std::span<const Shape> in) const override {
    const std::size_t states = Cell::kHasCellState ? 2 : 1;
    require(in.size() == 4 || in.size() == 4 + states,
            "takes x, weight, recurrence, bias and perhaps the first state, got {} inputs",
            in.size());
    const Shape &x = in[0], &recurrence = in[2];
    require(x.rank() == 3 && x.numel() > 0, "x must be [T, N, I], got {}", x);
    require(direction == "forward" || direction == "reverse" || direction == "bidirectional",
            "direction must be forward, reverse or bidirectional, got {}", direction);
    const std::int64_t directions = direction == "bidirectional" ? 2 : 1;
    require(recurrence.rank() == 3 && recurrence[0] == directions && recurrence[2] > 0 &&
                recurrence[1] == Cell::kGates * recurrence[2],
            "recurrence must be [{}, {} H, H], got {}", directions, Cell::kGates, recurrence);
    const std::int64_t hidden = recurrence[2], width = recurrence[1];
    require(in[1] == Shape{directions, width, x[2]}, "weight must be [{}, {}, {}], got {}",
            directions, width, x[2], in[1]);
    require(in[3] == Shape{directions, 2 * width}, "bias must be [{}, {}], got {}", directions,
            2 * width, in[3]);
    for (std::size_t i = 4; i < in.size(); ++i)
      require(in[i] == Shape{directions, x[1], hidden},
              "the first state must be [{}, {}, {}], got {}", directions, x[1], hidden, in[i]);
    return {Shape{x[0], directions, x[1], hidden}};
  }
  Needs backward_needs() const override { return {.input_bits = ~0u, .output_bits = 1u}; }
  std::unique_ptr<Kernel> compile(const KernelContext& context) const override {
    return std::make_unique<RecurrentKernel<Cell>>(cell, direction, context);
  }
  std::unique_ptr<Op> clone() const override { return std::make_unique<Recurrent>(*this); }
  Traits traits() const override { return {.first_values = FirstValues::recurrent}; }
};

template <typename Cell>
Var add_recurrent(Var x, const nn::RecurrentOptions& options, const Cell& cell,
                  std::string_view name) {
  require(x.shape().rank() == 3 && options.hidden_size > 0,
          "[{}] recurrent needs an input [T, N, I] and .hidden_size of at least 1; input {} is {}",
          x.graph().scoped(name), x.name(), x.shape());
  auto op = std::make_unique<Recurrent<Cell>>();
  op->cell = cell;
  op->direction = options.direction;
  const std::int64_t directions = options.direction == "bidirectional" ? 2 : 1;
  const std::int64_t width = Cell::kGates * options.hidden_size;
  const auto add = [&](std::string_view suffix, Shape shape, Role role) {
    return x.graph().parameter(fmt::format("{}.{}", name, suffix), Tensor(std::move(shape)), role);
  };
  const Var weight = add("weight", {directions, width, x.shape()[2]}, Role::weight);
  const Var recurrence = add("recurrence", {directions, width, options.hidden_size}, Role::weight);
  const Var bias = add("bias", {directions, 2 * width}, Role::bias);
  const Var y = x.graph().add(std::move(op), {x, weight, recurrence, bias}, name);
  nn::draw_first_weights(x.graph(), y.value().producer()->inputs().subspan(1),
                         nn::recurrent_bound(options.hidden_size));
  return y;
}

}  // namespace

std::unique_ptr<Op> make_gru() { return std::make_unique<Recurrent<GruCell>>(); }
std::unique_ptr<Op> make_lstm() { return std::make_unique<Recurrent<LstmCell>>(); }
std::unique_ptr<Op> make_rnn() { return std::make_unique<Recurrent<RnnCell>>(); }

Var nn::recurrent(Var x, const RecurrentOptions& options, std::string_view name) {
  if (options.cell == "GRU")
    return add_recurrent(x, options, GruCell{options.linear_before_reset}, name);
  if (options.cell == "LSTM") return add_recurrent(x, options, LstmCell{}, name);
  if (options.cell == "RNN") return add_recurrent(x, options, RnnCell{options.relu}, name);
  fail("[{}] there is no recurrent cell {}: there are GRU, LSTM and RNN", name, options.cell);
}

}  // namespace rung
