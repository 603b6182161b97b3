# shellcheck shell=bash disable=SC2154
# Help and wrong usage.

run --help
check "--help: exit code 0" exits 0
cp stdout help.txt
for command in train eval quantize qat export convert inspect hash predict bench datasets models; do
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

misused "no command" "--help"
misused "unknown command" "--help" dance
misused "unknown option" "--fast" train --model resnet8 --out x.rung --fast
misused "missing model" "--model" train --out x.rung
misused "missing file" "MODEL" eval
misused "no number" "--epochs" train --model resnet8 --out x.rung --epochs many
misused "no epochs" "--epochs" train --model resnet8 --out x.rung --epochs 0
misused "negative rate" "--lr" train --model resnet8 --out x.rung --lr=-1
misused "rate that is no number" "--lr" train --model resnet8 --out x.rung --lr nan
misused "unknown schedule" "cosine" train --model resnet8 --out x.rung --schedule linear
misused "unknown scheme" "range_learning_tf" quantize x.rung --out y.rung --scheme best
misused "bitwidth 1" "--param-bw" quantize x.rung --out y.rung --param-bw 1
misused "both batch norm flags" "--keep-bn" quantize x.rung --out y.rung --fold-bn --keep-bn
misused "two batch norm flags" "--keep-bn" quantize x.rung --out y.rung --fold-bn-in-sim --keep-bn
misused "unknown encodings version" "0.6.1" export x.rung --out y --encodings-version 3
misused "prefix with a folder" "--prefix" export x.rung --out y --prefix a/b
misused "a plan and reasons" "--plan" inspect x.rung --plan --why
check "wrong usage writes nothing" absent x.rung
