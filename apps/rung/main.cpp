// The command line of Rung: train, quantize, fine-tune and export without writing a program.

#include <unistd.h>

#include <csignal>
#include <cstdlib>

#ifdef __GLIBC__
#include <malloc.h>
#include <sys/resource.h>
#endif

#include <fmt/format.h>

#include <string>

#include "commands/subcommands.h"
#include "commit.h"
#include "console/messages.h"
#include "rung/build_info.h"
#include "rung/version.h"

namespace {

std::string version() {
  const rung::BuildInfo info = rung::build_info();
  const std::string commit = RUNG_COMMIT;
  return fmt::format(
      "rung {}\n"
      "commit       {}\n"
      "compiler     {}\n"
      "kernels      {}\n"
      "oneDNN       {}, {}",
      RUNG_VERSION, commit.empty() ? "unknown" : commit, info.compiler, info.instruction_set,
      info.onednn, info.onednn_isa);
}

/// Lets threads that wait for others sleep soon, unless the user has said how they shall wait. By
/// default OpenMP's spin for milliseconds: where another program has one of the processors, they
/// keep it from the thread that they wait for, and a step takes three times as long. OpenMP reads
/// its settings before main, so the program starts itself once more; where it cannot, it just goes
/// on.
void wait_politely(char** argv) {
  constexpr const char* kTurns = "2000";  // some 50 microseconds: longer than most waits
  for (const char* setting : {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"})
    if (std::getenv(setting) != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", kTurns, 0) == 0) execv("/proc/self/exe", argv);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace rung::cli;
  wait_politely(argv);
  secure_standard_files();
#ifdef __GLIBC__
  // Freed tensors go back to the system at once. Unless told so, glibc keeps blocks of up to 32
  // MiB.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  // Each thread's own heap would take 64 MiB of a limited address space, hardly any of it used.
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) mallopt(M_ARENA_MAX, 1);
#endif
  // A file that may not grow any more is an error of the write, which says so, not a silent end.
  std::signal(SIGXFSZ, SIG_IGN);
  Program program(
      "Rung trains image classifiers, simulates their quantization and exports them.\n"
      "The usual way: train -> quantize -> qat -> export; eval, predict and inspect look at any "
      "step.",
      version());
  add_train(program);
  add_eval(program);
  add_quantize(program);
  add_qat(program);
  add_analyze(program);
  add_export(program);
  add_convert(program);
  add_inspect(program);
  add_dump(program);
  add_diff(program);
  add_hash(program);
  add_predict(program);
  add_bench(program);
  add_datasets(program);
  add_models(program);
  add_teach(program);
  add_trace(program);
  program.add_own_commands();
  return program.run(argc, argv);
}
