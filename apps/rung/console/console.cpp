#include "console/console.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <utility>

#include "console/messages.h"

namespace rung::cli {

namespace {

constexpr int kBarWidth = 16;
constexpr std::chrono::milliseconds kRedraw{100};

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  return whole < 3600 ? fmt::format("{}:{:02}", whole / 60, whole % 60)
                      : fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

/// True if stderr can redraw a line.
bool is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::string_view(term) != "dumb";
}

/// Returns how many characters fit without wrapping.
std::size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col - 1u : 79u;
}

}  // namespace

void Console::text(std::string_view text) const {
  print(text, to_stderr_ ? Sink::standard_error : Sink::standard_output);
}

void Console::line(std::string_view text) const { this->text(std::string(text) + "\n"); }

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)), terminal_(is_terminal() && !is_quiet()) {}

ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::clear() {
  if (drawn_) print_to_terminal("\r\033[K");
  drawn_ = false;
}

void ProgressBar::update(const nn::Progress& progress) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || (drawn_ && now - last_ < kRedraw)) return;
  last_ = now;
  drawn_ = true;
  const nn::Metrics& metrics = progress.metrics;
  const double share = static_cast<double>(progress.batch) / static_cast<double>(progress.batches);
  const auto full = static_cast<std::size_t>(share * kBarWidth);
  const double left = metrics.seconds * (1 - share) / share;
  const std::string text = fmt::format(
      "{} [{:-<{}}] {:3.0f} %  loss {}  top1 {:5.2f} %  "
      "{:.0f} images/s  {} left",
      label_, std::string(full, '#'), kBarWidth, 100 * share, shown_loss(metrics.loss),
      100 * metrics.top1, static_cast<double>(metrics.images) / metrics.seconds, duration(left));
  const std::size_t width = terminal_width();
  const bool has_room = note_columns_ > 0 && text.size() + 2 + note_columns_ <= width;
  print_to_terminal("\r\033[K" + text.substr(0, width) + (has_room ? "  " + note_ : ""));
}

void ProgressBar::set_note(std::string note, std::size_t columns) {
  note_ = std::move(note);
  note_columns_ = columns;
}

std::function<void(const nn::Progress&)> ProgressBar::callback() {
  return [this](const nn::Progress& progress) { update(progress); };
}

std::string shown_loss(double loss) {
  return std::isnan(loss) ? "NaN" : fmt::format("{:.4f}", loss);
}

}  // namespace rung::cli
