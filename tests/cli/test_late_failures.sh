# shellcheck shell=bash disable=SC2154
# What cannot end well fails before the work; what was begun ends as it should on odd machines.

some_file() { compgen -G "$1" >/dev/null; }

# A run that would take minutes: whoever waits for its end has not been told in time.
long=(--model lenet --epochs 1000 --train-images 60000)
run train --model lenet --epochs 1 --train-images 64 --test-images 100 --out late.rung
check "late: a model" exits 0

# early NAME TEXT ARGS...: refused within seconds, with a line that contains TEXT.
early() {
  local name=$1 text=$2
  shift 2
  last="$*"
  timeout 20 "$rung" "$@" >stdout 2>stderr </dev/null
  code=$?
  check "$name: exit code 1" exits 1
  check "$name: one line" one_error_line
  check "$name: says $text" stderr_has "$text"
}
long_name=$(printf 'x%.0s' {1..250})
ln -s loop_a loop_b && ln -s loop_b loop_a
ln -s loop_a/x.rung loop_file
mkdir folder.rung && : >blocked.rung.checkpoints && : >plain_file
early "a device as output" "is not a regular file" train "${long[@]}" --out /dev/null
early "a folder as output" "it is a folder" train "${long[@]}" --out folder.rung
early "links in a circle as output" "loop_a" train "${long[@]}" --out loop_a
early "links in a circle above the output" "loop_a" train "${long[@]}" --out loop_a/x.rung
early "a link into a circle" "loop_file" train "${long[@]}" --out loop_file
early "a file in place of a folder" "plain_file" train "${long[@]}" --out plain_file/x.rung
early "a name that is too long" "File name too long: it has 260 bytes, at most 255 are allowed" train "${long[@]}" --out "$long_name.long.rung"
early "a name too long for its checkpoints" ".checkpoints: File name too long" \
  train "${long[@]}" --out "$long_name"
early "a file in place of the checkpoints" "blocked.rung.checkpoints" \
  train "${long[@]}" --out blocked.rung
early "figures behind links in a circle" "loop_a" train "${long[@]}" --out x.rung --json loop_a
early "figures with a name that is too long" "File name too long" \
  train "${long[@]}" --out x.rung --json "$long_name.json-json"
early "a log with a name that is too long" "File name too long" \
  train "${long[@]}" --out x.rung --log-file "$long_name.log-log"
early "a best model that cannot be written" "late.rung.best" \
  train "${long[@]}" --out late.rung --keep-best --init "$(mkdir late.rung.best; echo missing.pth)"
mkdir late.rung.calibration
early "a folder in place of the calibration" "late.rung.calibration" \
  quantize late.rung --out late.rung --force
rmdir late.rung.best late.rung.calibration
printf '{"defaults": {}}' >late_config.json
early "a configuration that is none" "late_config.json" \
  quantize late.rung --config late_config.json --out x.rung
early "a configuration that is missing" "missing.json" \
  quantize late.rung --config missing.json --out x.rung
if [[ $EUID -eq 0 ]]; then
  mkdir immutable
  if chattr +i immutable 2>/dev/null; then
    early "a folder that is locked even for root" "immutable" \
      train "${long[@]}" --out immutable/x.rung
    chattr -i immutable
  fi
fi
check "what fails early writes nothing" test -z \
  "$(find . -name 'x.rung*' -o -name '*.tmp' -o -name 'loop_*.checkpoints')"

# ---- nobody listens
for target in /dev/full closed; do
  # with TARGET ARGS...: stderr goes there.
  with() {
    last="$* 2>$target"
    if [[ $target == closed ]]; then
      "$rung" "$@" >stdout 2>&- </dev/null
    else
      "$rung" "$@" >stdout 2>"$target" </dev/null
    fi
    code=$?
  }
  : >stderr
  with eval missing.rung
  check "stderr $target: bad input is 1" exits 1
  with train
  check "stderr $target: wrong usage is 2" exits 2
  with --version
  check "stderr $target: success is 0" exits 0
  with models --json -
  check "stderr $target: figures on standard output" is_json stdout
  check "stderr $target: figures: exit code 0" exits 0
  with quantize late.rung --scheme tf --calibration-images 64 --test-images 100 --out "deaf.rung"
  check "stderr $target: a run ends well" exits 0
  run eval deaf.rung --test-images 100
  check "stderr $target: nothing was written into the model" exits 0
done
for target in /dev/full closed; do
  for args in "--help" "--version" "models" "models --json -" "help train" "man"; do
    last="$args >$target"
    # shellcheck disable=SC2086  # the arguments are words
    if [[ $target == closed ]]; then
      "$rung" $args >&- 2>stderr </dev/null
    else
      "$rung" $args >"$target" 2>stderr </dev/null
    fi
    code=$?
    check "standard output $target, $args: exit code 1" exits 1
    # With figures on standard output stderr has the rest.
    [[ $args == *"--json -" ]] || check "standard output $target, $args: one line" one_error_line
    check "standard output $target, $args: says so" stderr_has "standard output"
  done
done
"$rung" man 2>stderr | head -1 >/dev/null
code=${PIPESTATUS[0]} last="man | head -1"
check "a pipe that is closed: ends silently" test ! -s stderr
check "a pipe that is closed: as others do" test "$code" -eq 141 -o "$code" -eq 0

# ---- signals
slow=(--model lenet --train-images 640 --test-images 100 --batch-size 16 --epochs 50)
# stopped SIGNAL OUT: sends the signal when the first checkpoint is there.
stopped() {
  # Where the tests run under nohup the signal would stay ignored.
  env --default-signal=HUP "$rung" train "${slow[@]}" --checkpoint-every 1 --out "$2" \
    >stdout 2>stderr &
  local pid=$!
  until some_file "$2.checkpoints/step-*.rung" || [[ ! -e /proc/$pid ]]; do sleep 0.02; done
  kill -"$1" $pid
  wait $pid
  code=$? last="train, then SIG$1"
}
stopped HUP hup.rung
check "SIGHUP: exit code 3" exits 3
check "SIGHUP: says how to go on" stderr_has "stopped by SIGHUP"
check "SIGHUP: a checkpoint is there" some_file "hup.rung.checkpoints/step-*.rung"
(trap '' HUP; exec "$rung" train "${slow[@]}" --checkpoint-every 1 --out nohup.rung) \
  >stdout 2>stderr &
pid=$!
until some_file "nohup.rung.checkpoints/step-*.rung" || [[ ! -e /proc/$pid ]]; do sleep 0.02; done
kill -HUP $pid
sleep 0.3
kill -TERM $pid
wait $pid
code=$? last="train under nohup, then SIGHUP and SIGTERM"
check "SIGHUP that is ignored stays so" stderr_has "stopped by SIGTERM"

# ---- temporary files
mkdir temps
"$rung" train "${slow[@]}" --checkpoint-every 1 --out temps/m.rung >stdout 2>stderr &
pid=$!
# A file that a running process holds as the program does, in the name of another target's run.
exec 9>temps/.n.rung.4242.0.tmp
flock 9
: >temps/.n.rung.4243.0.tmp
kill -TERM $pid
wait $pid
works "a run beside another" train --model lenet --epochs 1 --train-images 64 --test-images 100 \
  --out temps/n.rung
check "what a running process writes stays" test -e temps/.n.rung.4242.0.tmp
check "what a process that has ended left goes" absent temps/.n.rung.4243.0.tmp
exec 9>&-
works "a run after another" models --json temps/n.rung
check "it goes when its process has ended" test -e temps/.n.rung.4242.0.tmp
works "a run after another" convert late.rung temps/n.rung
check "then it goes, too" absent temps/.n.rung.4242.0.tmp
name=$(printf 'long%.0s' {1..30}).rung
: >"temps/.${name:0:64}.77.0.tmp"
works "a target with a long name" convert late.rung "temps/$name"
check "a long name: what was left goes" test -z "$(find temps -name '*.tmp')"

# ---- the record of a run
calibration=(quantize late.rung --scheme tf_enhanced --calibration-images 20000 --test-images 100
  --checkpoint-every 1)
cp "$here/../../apps/configs/default.json" edited.json
"$rung" "${calibration[@]}" --config edited.json --out edited.rung >stdout 2>stderr &
pid=$!
until [[ -e edited.rung.calibration || ! -e /proc/$pid ]]; do sleep 0.01; done
kill -TERM $pid
wait $pid
code=$? last="quantize, then SIGTERM"
check "a calibration that was stopped" exits 3
sed -i 's/"is_output_quantized": "True"/"is_output_quantized": "False"/' edited.json
refuses "a configuration that was edited" "content of --config was" \
  "${calibration[@]}" --config edited.json --out edited.rung --resume
cp "$here/../../apps/configs/default.json" edited.json
works "the same configuration again" \
  "${calibration[@]}" --config edited.json --out edited.rung --resume
# Figures that cannot be written: the run can still go on and write them.
run train --model lenet --epochs 1 --train-images 64 --test-images 100 --out figures.rung \
  --json /dev/full
check "no room for figures: exit code 1" exits 1
check "no room for figures: checkpoints stay" some_file "figures.rung.checkpoints/step-*.rung"
works "room for figures again" train --model lenet --epochs 1 --train-images 64 \
  --test-images 100 --out figures.rung --json figures.json --resume auto
check "room for figures again: they are there" between "$(number figures.json top1)" 0 100
check "room for figures again: checkpoints are gone" absent figures.rung.checkpoints

# ---- names that are not UTF-8
pictures=$here/../golden/images/folder
mkdir -p latin/train latin/val
for part in train val; do
  for class in $(ls "$pictures/$part" | head -2); do
    cp -r "$pictures/$part/$class" "latin/$part/$class"$'\xe9'
  done
done
early "class names that are not UTF-8" "is not UTF-8: rename its folder" train --model resnet8 \
  --dataset image-folder --data latin --image-size 32 --epochs 1000 --out latin.rung
run convert late.rung $'w\xe9.safetensors'
check "a file's name need not be UTF-8" exits 0
works "nor that of weights" train --model lenet --init $'w\xe9.safetensors' --epochs 1 \
  --train-images 64 --test-images 100 --out $'m\xe9.rung' --json latin.json
works "nor that of a model" convert $'m\xe9.rung' $'n\xe9.rung' --dataset fashion-mnist
works "nor that of a model that is quantized" quantize $'n\xe9.rung' --calibration-images 64 \
  --test-images 100 --out $'q\xe9.rung' --json latin.json
check "figures are UTF-8 all the same" is_json latin.json
cp edited.json $'c\xe9.json'
early "a configuration's must be" "--config c" quantize late.rung --config $'c\xe9.json' --out x.rung

# ---- --dataset is kept
cp -r "$here/../golden/cases/photos" late_photos
works "a model of pictures" train --model resnet8 --dataset image-folder --data late_photos \
  --image-size 32 --epochs 1 --out late_photos.rung
works "quantized with other pictures" quantize late.rung --dataset image-folder --data late_photos \
  --out late_other.rung --calibration-images 8
run inspect late_other.rung
check "pictures without its classes: the model's dataset stays" stdout_has "lenet for fashion-mnist"
