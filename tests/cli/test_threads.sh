# shellcheck shell=bash disable=SC2154
# Where OpenMP grants fewer threads than asked for, the numbers are those of the threads there are.

lenet=(--model lenet --epochs 1 --batch-size 32 --train-images 256 --test-images 100 --seed 5)
works "threads: a run with one" train "${lenet[@]}" --threads 1 --out one.rung
for setting in OMP_THREAD_LIMIT=1 OMP_MAX_ACTIVE_LEVELS=0; do
  last="train under $setting"
  env "$setting" timeout -k 1 120 "$rung" train "${lenet[@]}" --threads 2 --out few.rung \
    >stdout 2>stderr
  check "threads: $setting: ends" test $? -eq 0
  check "threads: $setting: says how many" stderr_has "warning: 1 of 2 computing threads"
  check "threads: $setting: the file of one thread" cmp -s one.rung few.rung
done
works "threads: a run with two" train "${lenet[@]}" --threads 2 --out two.rung
OMP_DYNAMIC=true works "threads: OMP_DYNAMIC" train "${lenet[@]}" --threads 2 --out dynamic.rung
check "threads: OMP_DYNAMIC: the same file" cmp -s two.rung dynamic.rung

# Waiting threads sleep soon, unless the user has said how they shall wait.
shows_settings() {
  last="$* rung --version"
  env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose "$@" "$rung" --version \
    >stdout 2>stderr
  check "threads: $last" test $? -eq 0
}
shows_settings
check "threads: they sleep soon" stderr_has "GOMP_SPINCOUNT = '2000'"
shows_settings OMP_WAIT_POLICY=active
check "threads: OMP_WAIT_POLICY is kept" lacks stderr "GOMP_SPINCOUNT = '2000'"
shows_settings GOMP_SPINCOUNT=77
check "threads: GOMP_SPINCOUNT is kept" stderr_has "GOMP_SPINCOUNT = '77'"
