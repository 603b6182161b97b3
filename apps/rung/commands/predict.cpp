#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <sstream>
#include <utility>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/messages.h"
#include "console/report.h"
#include "run/class_scores.h"
#include "run/model_source.h"
#include "run/normalize.h"
#include "run/options.h"
#include "run/preprocess.h"
#include "run/task.h"
#include "rung/core/error.h"
#include "rung/datasets.h"
#include "rung/exec/executor.h"
#include "rung/io/model_file.h"
#include "rung/io/text_file.h"

namespace rung::cli {
namespace {

struct Options {
  RunOptions run;
  NormalizeOptions normalize;
  std::string model, labels;
  std::vector<std::string> images;
  std::int64_t top = 5;
};

constexpr const char* kDetails =
    R"(Prints the most probable classes of each picture (JPEG, PNG, BMP). Pictures are prepared as
the test images of the model's dataset were: resized and cropped, or resized to its size and made
grey. Quantized models are simulated. A picture that cannot be read is reported; the others go on.

Example:
  rung predict photos.rung cat.jpg dog.png --top 3
The figures of --json:
  {"images": [{"file", "top": [{"class", "name", "percent"}, ...]} or {"file", "error"}, ...]})";

/// Returns the names of the classes: of the file, one a line, or those that the model knows.
std::vector<std::string> class_names(const Options& options, const Task& task) {
  std::vector<std::string> names = task.class_names;
  if (!options.labels.empty()) {
    constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20;
    std::istringstream in(io::read_text_file(options.labels, kMaxBytes));
    names.clear();
    for (std::string line; std::getline(in, line);) {
      if (line.ends_with('\r')) line.pop_back();
      names.push_back(line);
      if (static_cast<std::int64_t>(names.size()) > task.num_classes) break;
    }
    if (static_cast<std::int64_t>(names.size()) != task.num_classes)
      throw Error(fmt::format("{}: must have a line for each of the {} classes, has {}",
                              options.labels, task.num_classes,
                              static_cast<std::int64_t>(names.size()) > task.num_classes
                                  ? "more"
                                  : std::to_string(names.size())));
  }
  for (std::int64_t i = static_cast<std::int64_t>(names.size()); i < task.num_classes; ++i)
    names.push_back(fmt::format("class {}", i));
  return names;
}

/// Returns the classes in the order of falling probability.
std::vector<std::size_t> ranking(const std::vector<double>& probabilities) {
  std::vector<std::size_t> order(probabilities.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [&](std::size_t i) { return probabilities[i]; });
  return order;
}

void check_fits(const Graph& graph, const Task& task, const std::string& path) {
  const bool one_each = graph.inputs().size() == 1 && graph.outputs().size() == 1;
  const Shape input = one_each ? graph.inputs()[0]->shape() : Shape();
  const Shape output = one_each ? graph.outputs()[0]->shape() : Shape();
  const bool classifies =
      input.rank() == 4 && output.rank() == 2 && (input[1] == 1 || input[1] == 3);
  if (!classifies || output[1] != task.num_classes ||
      static_cast<std::int64_t>(task.mean.size()) != input[1])
    throw Error(fmt::format("{}: cannot classify pictures: input {}, output {}, {} classes", path,
                            input.to_string(), output.to_string(), task.num_classes));
}

/// Shows the classes of pictures. Where the graph does not say what its outputs mean they do: what
/// could be probabilities of classes waits until another picture shows that it cannot.
class Answers {
 public:
  Answers(const ClassScores& scores, std::vector<std::string> names, std::int64_t top,
          const Console& console)
      : scores_(scores),
        names_(std::move(names)),
        top_(top),
        console_(console),
        open_(scores.activation().empty()) {}

  void add(const std::string& path, std::span<const float> output) {
    waiting_.push_back({path, {output.begin(), output.end()}, {}});
    if (open_ && are_probabilities(output, static_cast<std::int64_t>(output.size()))) return;
    open_ = false;
    show_waiting();
  }
  void add_error(const std::string& path, const std::string& error) {
    waiting_.push_back({path, {}, error});
    if (!open_) show_waiting();
  }
  /// Shows what still waits, and returns all of it.
  Report finish() {
    const bool answered =
        std::ranges::any_of(waiting_, [](const Answer& answer) { return !answer.output.empty(); });
    probabilities_ = open_ && answered;
    if (probabilities_) console_.line(kProbabilities);
    show_waiting();
    return std::move(report_);
  }

 private:
  struct Answer {
    std::string path;
    std::vector<float> output;
    std::string error;
  };

  void show_waiting() {
    for (const Answer& answer : waiting_) {
      Report entry;
      entry.set("file", answer.path);
      if (answer.error.empty())
        show(answer, entry);
      else
        entry.set("error", answer.error);
      report_.append("images", entry);
    }
    waiting_.clear();
  }

  void show(const Answer& answer, Report& entry) {
    const std::vector<double> probabilities =
        probabilities_ ? std::vector<double>(answer.output.begin(), answer.output.end())
                       : scores_.probabilities(answer.output);
    console_.line(answer.path);
    const std::vector<std::size_t> order = ranking(probabilities);
    for (std::size_t i = 0; i < std::min(order.size(), static_cast<std::size_t>(top_)); ++i) {
      const std::size_t label = order[i];
      console_.line(fmt::format("  {:6.2f} %  {}", 100.0 * probabilities[label], names_[label]));
      Report row;
      row.set("class", static_cast<std::int64_t>(label));
      row.set("name", names_[label]);
      row.set("percent", percent(probabilities[label]));
      entry.append("top", row);
    }
  }

  const ClassScores& scores_;
  const std::vector<std::string> names_;
  const std::int64_t top_;
  const Console& console_;
  bool open_, probabilities_ = false;
  std::vector<Answer> waiting_;
  Report report_;
};

void run(const Options& options) {
  begin_run(options.run);
  const Console console(options.run.json);
  io::ModelFile file = read_model_file(options.model);
  Task task = task_of(file, options.model);
  apply(options.normalize, task);
  check_fits(file.graph, task, options.model);
  const std::vector<std::string> names = class_names(options, task);
  const nn::Transform prepare = prediction_transform(task, file.graph.inputs()[0]->shape());
  console.line(describe_preparation(task, options.normalize, options.model));
  const ClassScores scores(file.graph);
  if (scores.activation() == "Sigmoid")
    console.line("the model ends in Sigmoid: each class has a percentage of its own");
  Executor executor(file.graph);
  Rng rng(0);  // nothing is random here
  Answers answers(scores, names, options.top, console);
  std::int64_t unreadable = 0;
  for (const std::string& path : options.images) try {
      nn::Image image = datasets::read_image(path);
      prepare(image, rng);
      const Tensor input({1, image.channels, image.height, image.width}, image.pixels);
      answers.add(path, executor.forward(input).data());
    } catch (const Error& error) {
      ++unreadable;
      print_error(fmt::format("rung predict: {}", error.what()));
      answers.add_error(path, error.what());
    }
  const Report report = answers.finish();
  report.write(options.run.json);
  if (unreadable > 0)
    throw Error(
        fmt::format("{} of {} pictures could not be read", unreadable, options.images.size()));
}

}  // namespace

void add_predict(Program& program) {
  const auto options = std::make_shared<Options>();
  Command command = program.command("predict", "Say what pictures show", kDetails);
  command.argument("MODEL", options->model, "a model file, *.rung");
  command.arguments("IMAGE", options->images, "pictures, *.jpg, *.png or *.bmp");
  command.option("--labels FILE", options->labels,
                 "names of the classes, one a line; default: those of the model");
  options->normalize.visit(command);
  command.option("--top N", options->top, "classes to show", between(1, 1e6));
  command.group("Computing");
  command.option("--threads N", options->run.threads, "computing threads, 0 = one per processor",
                 between(0, 4096));
  command.group("Output");
  command.option("--json FILE", options->run.json,
                 "write the figures as JSON, - = standard output");
  command.action([options] { run(*options); });
}

}  // namespace rung::cli
