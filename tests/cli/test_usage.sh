# shellcheck shell=bash disable=SC2154
# Help and wrong usage.

run --help
check "--help: exit code 0" exits 0
cp stdout help.txt
for command in train eval quantize qat analyze export convert inspect dump diff hash predict bench \
  datasets models teach trace; do
  check "--help lists $command" grep -qF "  $command " help.txt
  run "$command" --help
  check "$command --help: exit code 0" exits 0
  check "$command --help has an example" stdout_has "Example"
  check "$command --help explains --json" stdout_has "--json"
done
run predict --help
check "predict --help: one ellipsis" lacks stdout "......"
run bench --help
for option in --batch-size --image-size --in-channels --num-classes; do
  check "bench --help: $option as of the other commands" stdout_has "$option"
done
run train --help
check "train --help shows defaults" stdout_has "=128"
run qat --help
check "qat --help tells the recipe" stdout_has "divided by 10 every 5 epochs"
run --version
check "--version: exit code 0" exits 0
check "--version prints one" grep -qE '^rung [0-9]+\.[0-9]+\.[0-9]+$' stdout
for line in 'commit +[0-9a-f]{7,}' 'commit +unknown'; do grep -qE "^$line" stdout && break; done
check "--version tells the commit, or that it is unknown" grep -qE "^$line" stdout
check "--version tells the compiler" grep -qE '^compiler +(GCC|Clang) [0-9]+\.[0-9]+' stdout
check "--version tells the instruction set" grep -qE '^kernels +(baseline|avx2|avx512)$' stdout
check "--version tells oneDNN's" grep -qE '^oneDNN +[0-9]+\.[0-9]+\.[0-9]+( on [A-Za-z ]+)?, [a-z0-9_]+$' stdout
cp stdout version.txt
works "-V" -V
check "-V prints the same" cmp -s version.txt stdout
(export RUNG_MAX_ISA=baseline; "$rung" -V >stdout)
check "--version tells the instruction set in use" grep -qE '^kernels +baseline$' stdout

works "help" help
check "help: as --help" cmp -s help.txt stdout
"$rung" train --help >train.txt
works "help of a command" help train
check "help train: as train --help" cmp -s train.txt stdout
for group in Model Training Images Checkpoints Computing Output; do
  check "train --help: has a group $group" grep -qx "$group:" train.txt
done
check "train --help: no empty line too many" test -z "$(awk '!NF && !before; { before = NF }' train.txt)"
misused "help of no command" "there is no command trian: do you mean train?" help trian

# The manual page and the completion are made of the same text.
works "the manual page" man
check "the manual page: describes options" stdout_has '\fB\-\-calibration\-images\fR \fIN\fR'
check "the manual page: no text is taken for a request" \
  test -z "$(grep -E "^'|^\.[^A-Z]" stdout | grep -vE '^\.(nf|fi)$')"
if command -v man >/dev/null; then
  cp stdout rung.1
  check "the manual page: man reads it" test -z "$(man --warnings -l rung.1 2>&1 >/dev/null)"
fi
works "completion for bash" completion bash
check "completion for bash: bash reads it" bash -n stdout
cp stdout completion.bash
# completed WORDS...: what bash completes the last of the words to.
completed() {
  (source completion.bash && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && compopt() { :; } &&
    _rung && printf '%s\n' "${COMPREPLY[@]}")
}
check "completion: commands" test "$(completed rung qu)" = quantize
check "completion: options" test "$(completed rung quantize --calib)" = --calibration-images
check "completion: values" test "$(completed rung train --optimizer s)" = sgd
check "completion: files" test "$(completed rung eval completion.b)" = completion.bash
check "completion: topics of help" test "$(completed rung help insp)" = inspect
works "completion for zsh" completion zsh
check "completion for zsh: has values" stdout_has '(constant cosine multistep step)'
if command -v zsh >/dev/null; then check "completion for zsh: zsh reads it" zsh -n stdout; fi
misused "completion of another shell" "bash or zsh" completion fish

misused "no command" "--help"
misused "no command: names them" "train, eval, quantize"
misused "unknown command" "there is no command dance (see rung --help)" dance
misused "a command that is nearly one" "there is no command trian: do you mean train?" trian
misused "a command in other words" "there is no command evaluate: do you mean eval?" evaluate
misused "a command that is nearly one, with options" "do you mean quantize?" quantise m.rung --out x
misused "unknown option" "unknown option --fast" train --model resnet8 --out x.rung --fast
misused "an option that is nearly one" "unknown option --modle: do you mean --model?" \
  train --modle resnet8 --out x.rung
misused "two of them" "--modle: do you mean --model?; unknown option --epocs: do you mean --epochs?" \
  train --modle=resnet8 --epocs 3
misused "the beginning of an option" "unknown option --batch: do you mean --batch-size? (see" \
  train --batch 64 --model resnet8 --out x.rung
misused "a part of two options" "--bw: do you mean --param-bw or --output-bw or --edge-bw?" \
  quantize x.rung --bw 4 --out y.rung
misused "an option with one hyphen" "unknown option -model: do you mean --model?" train -model a
misused "an option before the command" "--json must stand behind the command" --json x models
misused "a word too many" "unexpected argument: b.rung" eval a.rung b.rung
misused "words too many, in order" "unexpected arguments: b.rung c.rung" eval a.rung b.rung c.rung
misused "an option for a value" "--model needs a value, got the option --out" \
  train --model --out x.rung
misused "no value" "--out needs a value: --out FILE" train --model resnet8 --out
misused "missing model" "missing: --model NAME (see" train --out x.rung
misused "all that is missing" "missing: --model NAME, --out FILE (see" train
misused "all that quantize misses" \
  "missing: MODEL (or --weights FILE and --model NAME), --out FILE (see" quantize
misused "all that qat misses" "missing: MODEL, --out FILE (see" qat
misused "missing file" "MODEL" eval
misused "no number" "--epochs: must be a whole number, got many" \
  train --model resnet8 --out x.rung --epochs many
misused "half a number" "--epochs: must be a whole number, got 1.5" \
  train --model resnet8 --out x.rung --epochs 1.5
misused "a list of no numbers" "--milestones: must be a number, got b" \
  train --model resnet8 --out x.rung --milestones 1,b
misused "a negative seed" "--seed: must be a whole number" \
  train --model resnet8 --out x.rung --seed=-1
misused "no epochs" "--epochs" train --model resnet8 --out x.rung --epochs 0
misused "negative rate" "--lr" train --model resnet8 --out x.rung --lr=-1
misused "rate that is no number" "--lr" train --model resnet8 --out x.rung --lr nan
misused "unknown schedule" "cosine" train --model resnet8 --out x.rung --schedule linear
misused "unknown scheme" "range_learning_tf" quantize x.rung --out y.rung --scheme best
misused "bitwidth 1" "--param-bw" quantize x.rung --out y.rung --param-bw 1
misused "both batch norm flags" "--keep-bn" quantize x.rung --out y.rung --fold-bn --keep-bn
misused "two batch norm flags" "--keep-bn" quantize x.rung --out y.rung --fold-bn-in-sim --keep-bn
misused "unknown encodings version" "0.6.1" export x.rung --out y --encodings-version 3
misused "both kinds of derived entries" "--derived" export x.rung --out y --derived --all-derived
misused "both kinds of biases" "--float-biases" export x.rung --out y --float-biases --int32-biases
misused "signed codes before 2.0.0" "--activations-as is for --encodings-version 2.0.0" \
  export x.rung --out y --activations-as signed
misused "prefix with a folder" "--prefix" export x.rung --out y --prefix a/b
misused "a plan and reasons" "--plan" inspect x.rung --plan --why
check "wrong usage writes nothing" absent x.rung

# ---- what is printed where
works "--quiet" models --quiet --json quiet.json
check "--quiet: nothing on standard output" test ! -s stdout
check "--quiet: figures are written" is_json quiet.json
run eval missing.rung --quiet
check "--quiet: errors are told" one_error_line
works "--log-file" models --log-file run.log
cp stdout models.txt
run eval missing.rung --log-file run.log
check "--log-file: has the commands" grep -qE "^[0-9-]+ [0-9:]+  .*rung eval missing.rung" run.log
check "--log-file: has what was printed" test \
  "$(sed 's/^[0-9-]* [0-9:]*  //' run.log | grep -cxFf models.txt)" -eq "$(wc -l <models.txt)"
check "--log-file: has the error" grep -qF "$(<stderr)" run.log
refuses "--log-file in no folder" "--log-file nowhere/x.log: cannot open" \
  models --log-file nowhere/x.log
misused "the log would replace the figures" "--json and --log-file are the same file" \
  models --json x.json --log-file ./x.json
