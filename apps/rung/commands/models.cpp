#include "rung/models.h"

#include <memory>

#include "commands/subcommands.h"
#include "console/console.h"
#include "console/report.h"
#include "console/table.h"

namespace rung::cli {

void add_models(Program& program) {
  const auto json = std::make_shared<std::string>();
  Command command = program.command(
      "models", "List the models that can be trained",
      "Parameters are counted with the classes that a model was designed for.\n"
      "Weights of torchvision fit the ImageNet models.\n\n"
      "Example:\n  rung models\n"
      "The figures of --json:\n"
      "  {\"models\": [{\"name\", \"description\", \"parameters\", \"num_classes\", "
      "\"image_size\"}, ...]}");
  command.group("Output");
  command.option("--json FILE", *json, "write the list as JSON, - = standard output");
  command.action([json] {
    const Console console(*json);
    Report report;
    using Kind = Column::Kind;
    Table table({{"model"},
                 {"parameters", Kind::number},
                 {"classes", Kind::number},
                 {"pixels", Kind::number},
                 {"what it is", Kind::prose}});
    for (const models::ModelInfo& info : models::list()) {
      table.row({info.name, with_commas(info.parameters), with_commas(info.options.num_classes),
                 with_commas(info.options.image_size), info.description});
      Report entry;
      entry.set("name", info.name);
      entry.set("description", info.description);
      entry.set("parameters", info.parameters);
      entry.set("num_classes", info.options.num_classes);
      entry.set("image_size", info.options.image_size);
      report.append("models", entry);
    }
    console.text(table.text());
    report.write(*json);
  });
}

}  // namespace rung::cli
