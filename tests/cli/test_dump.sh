# shellcheck shell=bash disable=SC2154
# rung dump: what is in the folder, that it appears whole or not at all, and what is replaced.

run train --model lenet --dataset fashion-mnist --epochs 1 --train-images 64 --test-images 100 \
  --out dumped.rung
run quantize dumped.rung --param-bw 4 --output-bw 4 --calibration-images 64 --test-images 100 \
  --out dumped4.rung

mkdir dump
works "dump of three images" dump dumped4.rung --images 3 --out dump/npy --json dump.json
check "dump: figures are JSON" is_json dump.json
check "dump: all images" test "$(number dump.json images)" = 3
check "dump: the index is JSON" is_json dump/npy/index.json
check "dump: a file for each tensor" \
  test "$(find dump/npy -name '*.npy' | wc -l)" = "$(number dump.json tensors)"
check "dump: names as in the graph" test -s dump/npy/conv1.weight.npy
check "dump: NumPy's header" grep -qaF "'descr': '<f4', 'fortran_order': False" dump/npy/conv1.npy
check "dump: images along the first axis" grep -qaF "'shape': (3, 10), " dump/npy/fc3.npy
check "dump: nothing else" only_file_in dump npy
works "dump of codes" dump dumped4.rung --images 3 --codes --out dump/codes
check "dump of codes: bytes" grep -qaF "'descr': '|u1'" dump/codes/relu1.npy
check "dump of codes: weights have signs" grep -qaF "'descr': '|i1'" dump/codes/conv1.weight.npy
check "dump of codes: the index has their scales" grep -qF '"bitwidth": 4' dump/codes/index.json
works "dump into one file" dump dumped4.rung --images 3 --format safetensors --out dump/one
check "dump into one file: two files" test "$(find dump/one -type f | wc -l)" = 2
works "dump into one file: it is a safetensors file" inspect dump/one/tensors.safetensors
check "dump into one file: all tensors" stdout_has "conv1.weight"
works "dump of an earlier dump's place" dump dumped.rung --images 1 --out dump/one
check "dump: an earlier one is replaced" absent dump/one/tensors.safetensors
check "dump: by a whole one" test -s dump/one/conv1.npy

mkdir mine
echo notes >mine/notes.txt
refuses "dump over a folder of others" "is a folder with other things in it" \
  dump dumped.rung --out mine
check "dump over a folder of others: nothing changes" only_file_in mine notes.txt
echo notes >dump/npy/notes.txt
refuses "dump over a dump with other things" '"notes.txt" in it' dump dumped.rung --out dump/npy
rm dump/npy/notes.txt
refuses "dump over a file" "is no folder" dump dumped.rung --out mine/notes.txt
refuses "dump into no folder" "cannot create the folder" dump dumped.rung --out no/where/dump
refuses "dump of no model" "missing.rung" dump missing.rung --out dump/missing
check "dump of no model: nothing is written" absent dump/missing
(ulimit -f 20 && run dump dumped4.rung --images 100 --out dump/limited; echo "$code" >code.txt)
check "dump beyond a limit of file size: exit code 1" test "$(cat code.txt)" = 1
check "dump beyond a limit of file size: one line on stderr" one_error_line
check "dump beyond a limit of file size: nothing stays" \
  test -z "$(find dump -name '*limited*')"
# It begins with one image at a time, and ends at once when it is told to.
"$rung" dump dumped4.rung --images 0 --batch-size 1 --out dump/stopped >stdout 2>stderr </dev/null &
pid=$!
for _ in {1..200}; do
  compgen -G 'dump/.stopped.*.tmp/fc3.npy' >/dev/null && break
  sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
code=$?
last="dump that is stopped"
check "dump that is stopped: exit code 3" exits 3
check "dump that is stopped: nothing stays" test -z "$(find dump -name '*stopped*')"
run export dumped4.rung --out dump_export --prefix net --onnx both
misused "dump of ONNX without a dataset" "give --dataset NAME" dump dump_export/net.onnx \
  --out dump/onnx
works "dump of ONNX" dump dump_export/net.onnx --dataset fashion-mnist --images 2 --out dump/onnx
check "dump of ONNX: names as in the graph" test -s dump/onnx/conv1.npy
