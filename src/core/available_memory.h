#pragma once

namespace rung {

/// Returns how many bytes this process can still get: what the system calls available, less where
/// a limit of the process (ulimit -v) or of its control group is nearer. Infinite where nothing is
/// known. A guess by nature: others take and give back meanwhile.
double available_memory();

}  // namespace rung
