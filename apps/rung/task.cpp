#include "task.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "rung/core/error.h"

namespace rung::cli {
namespace {

void check(bool condition, const std::string& what) {
  if (!condition) throw Error(what);
}

Task parse(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  Task task;
  json.at("model").get_to(task.model);
  json.at("dataset").get_to(task.dataset);
  json.at("num_classes").get_to(task.num_classes);
  json.at("mean").get_to(task.mean);
  json.at("std").get_to(task.std);
  if (json.contains("conv_choices"))
    for (const auto& [key, name] : json.at("conv_choices").items())
      task.conv_choices.set(key, parse_conv_algorithm(name.get<std::string>()));
  if (json.contains("last_lr")) task.last_lr = json.at("last_lr").get<double>();
  check(task.num_classes > 0, "num_classes must be positive");
  check(task.mean.size() == task.std.size(), "mean and std have different lengths");
  check(!task.last_lr || *task.last_lr >= 0, "last_lr must not be negative");
  return task;
}

}  // namespace

Task make_task(const std::string& model, const datasets::DatasetInfo& dataset) {
  return {.model = model,
          .dataset = dataset.name,
          .num_classes = dataset.classes,
          .mean = dataset.mean,
          .std = dataset.std,
          .conv_choices = ConvChoices(false),
          .last_lr = {}};
}

std::string to_json(const Task& task) {
  nlohmann::json json = {{"model", task.model},
                         {"dataset", task.dataset},
                         {"num_classes", task.num_classes},
                         {"mean", task.mean},
                         {"std", task.std}};
  if (task.last_lr) json["last_lr"] = *task.last_lr;
  for (const auto& [key, algorithm] : task.conv_choices.all())
    json["conv_choices"][key] = to_string(algorithm);
  return json.dump();
}

Task task_of(const io::ModelFile& file, const std::string& path) {
  const auto found = file.sections.find(kTaskSection);
  check(found != file.sections.end(),
        fmt::format("{}: does not say which dataset it is for: rung train writes files that do",
                    path));
  try {
    return parse(found->second);
  } catch (const std::exception& error) {
    throw Error(fmt::format("{}: section {}: {}", path, kTaskSection, error.what()));
  }
}

}  // namespace rung::cli
