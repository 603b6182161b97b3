#include "rung/datasets.h"

#include <fmt/format.h>

#include <memory>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"

namespace rung::cli {

namespace {

constexpr const char* kDetails =
    R"(Pixels are numbers from 0 to 1, images [channels, height, width]. Each command that has
--dataset takes these names, and --data for the folder.

Example:
  rung datasets
The figures of --json:
  {"datasets": [{"name", "description", "classes", "image_shape", "default_dir"}, ...]})";

}  // namespace

void add_datasets(Program& program) {
  const auto json = std::make_shared<std::string>();
  Command command =
      program.command("datasets", "List the datasets that can be trained on", kDetails);
  command.group("Output");
  command.option("--json FILE", *json, "write the list as JSON, - = standard output");
  command.action([json] {
    const Console console(*json);
    Report report;
    for (const datasets::DatasetInfo& info : datasets::list()) {
      const std::string content =
          info.classes > 0
              ? fmt::format("{} classes, images {}", info.classes, info.image_shape.to_string())
              : std::string("classes and images as the files say");
      console.line(fmt::format(
          "{}\n    {}\n    {}, in {}", info.name, info.description, content,
          info.default_dir.empty() ? "the folder that --data names" : info.default_dir));
      Report entry;
      entry.set("name", info.name);
      entry.set("description", info.description);
      entry.set("classes", info.classes);
      entry.set("image_shape", std::vector<std::int64_t>(info.image_shape.dims().begin(),
                                                         info.image_shape.dims().end()));
      entry.set("default_dir", info.default_dir);
      report.append("datasets", entry);
    }
    report.write(*json);
  });
}

}  // namespace rung::cli
