#include "rung/datasets.h"

#include <memory>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "console/table.h"

namespace rung::cli {

namespace {

constexpr const char* kDetails =
    R"(Pixels are numbers from 0 to 1, images [channels, height, width]. Each command that has
--dataset takes these names, and --data for the folder, where there is no usual one or it is
elsewhere. Classes and images that are not shown are as the files say.

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
    using Kind = Column::Kind;
    Table table({{"dataset"}, {"classes", Kind::number}, {"images"}, {"what it is", Kind::prose}});
    for (const datasets::DatasetInfo& info : datasets::list()) {
      const bool is_known = info.classes > 0;  // others are as their files say
      table.row({info.name, is_known ? with_commas(info.classes) : "",
                 is_known ? info.image_shape.to_string() : "", info.description},
                info.default_dir.empty() ? "" : "in " + info.default_dir);
      Report entry;
      entry.set("name", info.name);
      entry.set("description", info.description);
      entry.set("classes", info.classes);
      entry.set("image_shape", std::vector<std::int64_t>(info.image_shape.dims().begin(),
                                                         info.image_shape.dims().end()));
      entry.set("default_dir", info.default_dir);
      report.append("datasets", entry);
    }
    console.text(table.text());
    report.write(*json);
  });
}

}  // namespace rung::cli
