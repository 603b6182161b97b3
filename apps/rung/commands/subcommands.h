#pragma once

#include "console/command.h"

namespace rung::cli {

// Each adds one subcommand; the file of its name holds its options, its help and what it does.
void add_train(Program& program);
void add_eval(Program& program);
void add_quantize(Program& program);
void add_qat(Program& program);
void add_analyze(Program& program);
void add_diff(Program& program);
void add_dump(Program& program);
void add_export(Program& program);
void add_convert(Program& program);
void add_hash(Program& program);
void add_inspect(Program& program);
void add_predict(Program& program);
void add_bench(Program& program);
void add_datasets(Program& program);
void add_models(Program& program);
void add_teach(Program& program);
void add_trace(Program& program);

}  // namespace rung::cli
