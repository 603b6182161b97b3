# shellcheck shell=bash disable=SC2154,SC2034
# What runs out, breaks or disappears under a run: exit code 1, one clear line, and what was written
# before stays as it was.

small=(--model lenet --train-images 640 --test-images 100 --batch-size 16 --epochs 2)
often=(--checkpoint-every 1 --checkpoints 3)
steps_in() { find "$1.checkpoints" -name 'step-*.rung' | wc -l; }
no_temporary_in() { [[ -z $(find "$1" -name '*.tmp') ]]; }
# What a folder holds: names and contents.
content_of() { (cd "$1" && find . -type f -exec md5sum {} + | sort); }

works "resources: an undisturbed run" train "${small[@]}" --out calm.rung

# ---- room for files
# A limit of the size of a file, which the system also tells with a signal.
mkdir limit
cp calm.rung limit/m.rung
touch limit/.m.rung.12345678.0.tmp limit/.unwritten.rung.12345678.0.tmp
(ulimit -f 100; "$rung" train "${small[@]}" "${often[@]}" --out limit/m.rung >stdout 2>stderr)
code=$? last="train with ulimit -f"
check "a file that may not grow: exit code 1" exits 1
check "a file that may not grow: one line" one_error_line
check "a file that may not grow: says so" stderr_has "cannot write: File too large"
check "a file that may not grow: names it" stderr_has "limit/m.rung.checkpoints/step-000000001.rung"
check "a file that may not grow: the earlier model stays" cmp -s calm.rung limit/m.rung
rm limit/.unwritten.rung.12345678.0.tmp
check "a file that may not grow: nothing is left, nor of a run before" only_file_in limit m.rung

# A full disk after the third checkpoint; with more room the run goes on.
size=$(stat -c %s calm.rung)
mkdir disk
if [[ $EUID -eq 0 ]] && mount -t tmpfs -o size=$((size * 7)) tmpfs disk 2>/dev/null; then
  run train "${small[@]}" "${often[@]}" --out disk/m.rung
  check "a full disk: exit code 1" exits 1
  check "a full disk: one line" one_error_line
  check "a full disk: says so" stderr_has "No space left on device"
  kept=$(steps_in disk/m.rung)
  check "a full disk: names the newest checkpoint" stderr_has \
    "the newest checkpoint is disk/m.rung.checkpoints/step-$(printf %09d "$kept").rung"
  check "a full disk: earlier checkpoints stay" test "$kept" -ge 2
  check "a full disk: nothing half-written" no_temporary_in disk
  content_of disk >before
  refuses "a disk that is still full" "No space left on device" \
    train "${small[@]}" "${often[@]}" --resume auto --out disk/m.rung
  content_of disk >after
  check "a disk that is still full: checkpoints stay as they are" cmp -s before after
  mount -o remount,size=$((size * 60)) disk
  works "room again" train "${small[@]}" "${often[@]}" --resume auto --out disk/m.rung
  check "room again: the same bytes" cmp -s calm.rung disk/m.rung
  check "room again: no checkpoints are left" only_file_in disk m.rung

  # Read-only: nothing can be written, but everything read.
  mount -o remount,ro disk
  refuses "a read-only folder" "Read-only file system" train "${small[@]}" --out disk/m.rung
  refuses "figures into a read-only folder" "Read-only file system" models --json disk/x.json
  refuses "export into a read-only folder" "disk" export calm.rung --out disk --prefix x
  works "a model in a read-only folder" eval disk/m.rung --test-images 100
  umount disk
fi
if [[ -c /dev/full ]]; then
  "$rung" train "${small[@]}" --out full.rung >/dev/full 2>stderr
  code=$? last="train >/dev/full"
  check "standard output is full: exit code 1" exits 1
  check "standard output is full: one line" one_error_line
  run train "${small[@]}" --out full.rung --json /dev/full
  check "no room for the figures: exit code 1" exits 1
  check "no room for the figures: says so" stderr_has "/dev/full: cannot write: No space left on device"
  check "no room for the figures: the model is there" cmp -s calm.rung full.rung
fi

# ---- checkpoints
# A loss that is not finite: the last good checkpoint stays, and is told.
diverging=(train "${small[@]}" --lr 1e6)
for every in 1 epoch; do
  run "${diverging[@]}" --checkpoint-every $every --out diverged_$every.rung
  check "NaN, checkpoint every $every: exit code 1" exits 1
  check "NaN, checkpoint every $every: one line" one_error_line
  check "NaN, checkpoint every $every: names a node" grep -qE "(Conv|Gemm) (conv|fc)[0-9]" stderr
  check "NaN, checkpoint every $every: says what to try" stderr_has "lower learning rate"
  check "NaN, checkpoint every $every: no model" absent diverged_$every.rung
done
check "NaN before a checkpoint: none is named" lacks stderr "checkpoint"
# One good epoch, then a rate that is a billion times as large.
run train "${small[@]}" --schedule multistep --milestones 1 --gamma 1e9 --out diverged.rung
check "NaN after an epoch: exit code 1" exits 1
newest=diverged.rung.checkpoints/step-000000040.rung
check "NaN after an epoch: its checkpoint is named" stderr_has "the newest checkpoint is $newest"
works "NaN after an epoch: its checkpoint can be used" eval "$newest" --test-images 100 \
  --json nan.json
check "NaN after an epoch: its checkpoint is finite" lacks nan.json null
works "NaN: its weights can be exported" export "$newest" --out rescued --prefix m
works "NaN: they are a new beginning" train "${small[@]}" --init rescued/m.safetensors \
  --lr 0.001 --out rescued.rung

# Stopped in the middle, for what is done to its checkpoints.
"$rung" train "${small[@]}" "${often[@]}" --out stopped.rung >stdout 2>stderr &
pid=$!
until [[ -d stopped.rung.checkpoints && $(steps_in stopped.rung) -ge 3 || ! -e /proc/$pid ]]; do
  sleep 0.01
done
kill -TERM $pid
wait $pid
newest=$(find stopped.rung.checkpoints -name 'step-*.rung' | sort | tail -1)
mkdir locked_checkpoint
cp "$newest" locked_checkpoint/c.rung
chmod a-w locked_checkpoint/c.rung locked_checkpoint
works "a read-only checkpoint" train "${small[@]}" --resume locked_checkpoint/c.rung --out again.rung
check "a read-only checkpoint: the same bytes" cmp -s calm.rung again.rung
check "a read-only checkpoint: is still there" cmp -s "$newest" locked_checkpoint/c.rung
chmod u+w locked_checkpoint
refuses "a checkpoint of another model" "--model was lenet, is resnet8" train --model resnet8 \
  "${small[@]:2}" --resume "$newest" --out unwritten.rung
content_of stopped.rung.checkpoints >before
for damage in cut flipped; do
  if [[ $damage == cut ]]; then
    head -c "$((size / 2))" "$newest" >damaged.rung
  else
    cp "$newest" damaged.rung
    printf '\125\252' | dd of=damaged.rung bs=1 seek=$((size / 2)) conv=notrunc status=none
  fi
  refuses "a damaged checkpoint ($damage)" "damaged.rung" train "${small[@]}" \
    --resume damaged.rung --out unwritten.rung
done
# All of them damaged: nothing is trained from the beginning instead, nothing is removed.
mkdir ruined.rung.checkpoints
for step in 1 2; do
  head -c 1000 "$newest" >ruined.rung.checkpoints/step-00000000$step.rung
done
run train "${small[@]}" --resume auto --out ruined.rung
check "only damaged checkpoints: exit code 1" exits 1
check "only damaged checkpoints: says so" stderr_has "none of the 2 checkpoints"
check "only damaged checkpoints: they stay" test "$(steps_in ruined.rung)" -eq 2
check "refusals leave checkpoints alone" test "$(content_of stopped.rung.checkpoints)" = "$(<before)"
check "refusals write no model" absent unwritten.rung
works "the run goes on after all that" train "${small[@]}" "${often[@]}" --resume auto \
  --out stopped.rung
check "the run goes on after all that: the same bytes" cmp -s calm.rung stopped.rung

# ---- memory
# A limit of the address space: from too little to start threads to just not enough. Programs with
# sanitizers need terabytes of it.
limits=(64 120 160 180 210 240 270 300)
(ulimit -v 1000000; "$rung" --version >/dev/null 2>&1) || limits=()
told=0
for mib in "${limits[@]}"; do
  (ulimit -v $((mib * 1024))
   "$rung" train --model resnet8 --train-images 256 --test-images 100 --batch-size 256 --epochs 1 \
     --threads 2 --out memory.rung >stdout 2>stderr)
  code=$? last="train with ulimit -v of $mib MiB"
  [[ $code -ne 0 ]] || continue
  [[ $code -ne 127 ]] || continue  # not even the libraries fit
  told=$((told + 1))
  check "$mib MiB: exit code 1" exits 1
  check "$mib MiB: one line" one_error_line
  check "$mib MiB: says that memory is short" \
    grep -qE "not enough memory|out of memory|MiB are available|cannot start" stderr
  check "$mib MiB: no model" absent memory.rung
done
if [[ ${#limits[@]} -gt 0 ]]; then
  check "memory was short" test $told -ge 3
  (ulimit -v 500000; "$rung" eval calm.rung --threads 1000 --test-images 100 >stdout 2>stderr)
  code=$? last="eval --threads 1000 with ulimit -v"
  check "threads without room: exit code 1" exits 1
  check "threads without room: one line" one_error_line
  check "threads without room: says so" stderr_has "cannot start 1000 computing threads"
fi

# ---- data
photos=$here/../golden/images/folder
mkdir cut_data
for file in "$("$rung" datasets | sed -n 's/^ *in \(\/.*\)/\1/p' | head -n 1)"/*.gz; do
  ln -s "$file" cut_data
done
images=$(readlink cut_data/train-images-idx3-ubyte.gz)
rm cut_data/train-images-idx3-ubyte.gz
refuses "a file of the data is gone between two runs" "train-images-idx3-ubyte" \
  train "${small[@]}" --data cut_data --resume locked_checkpoint/c.rung --out unwritten.rung
head -c 100000 "$images" >cut_data/train-images-idx3-ubyte.gz
refuses "a file of the data is cut off between two runs" "train-images-idx3-ubyte" \
  train "${small[@]}" --data cut_data --resume locked_checkpoint/c.rung --out unwritten.rung

cp -r "$photos" album
album=(train --model resnet8 --dataset image-folder --image-size 32 --batch-size 1 --lr 0.02
  --data album --checkpoint-every 12)
"$rung" "${album[@]}" --epochs 10000 --out album.rung >stdout 2>stderr &
pid=$!
until compgen -G "album.rung.checkpoints/step-*.rung" >/dev/null || [[ ! -e /proc/$pid ]]; do
  sleep 0.02
done
mv album/train/china/00.jpeg album/moved
wait $pid
code=$? last="train while an image is removed"
check "an image is removed while training: exit code 1" exits 1
check "an image is removed while training: one line" one_error_line
check "an image is removed while training: is named" stderr_has "album/train/china/00.jpeg: cannot open"
check "an image is removed while training: checkpoints stay" stderr_has \
  "the newest checkpoint is album.rung.checkpoints/step-"
refuses "an image less when going on" "training images was" "${album[@]}" --epochs 10000 \
  --resume auto --out album.rung
mv album/moved album/train/china/00.jpeg
head -c 200 album/train/china/01.jpg >album/cut && mv album/cut album/train/china/01.jpg
run "${album[@]}" --epochs 10000 --resume auto --out album.rung
check "an image is cut off when going on: exit code 1" exits 1
check "an image is cut off when going on: one line" one_error_line

# ---- ranges
run train --model lenet "${small[@]:2}" --out ranges.rung
run quantize ranges.rung --scheme range_learning_tf --config per_tensor --param-bw 4 \
  --calibration-images 64 --test-images 100 --out ranges_sim.rung
learning=(qat ranges_sim.rung --epochs 2 --train-images 256 --test-images 100 --batch-size 32)
works "learned ranges at a usual rate" "${learning[@]}" --lr 0.001 --out learned.rung --json fine.json
check "learned ranges at a usual rate: no warning" grep -qF '"warnings": []' fine.json
run "${learning[@]}" --lr 0.001 --lr-encodings 1000 --out collapsed.rung --json collapsed.json
check "learned ranges that collapse: a quantizer is named" grep -qE \
  "^rung: warning: quantizer [a-z0-9.]+: its learned scale fell from .*lower --lr-encodings" stderr
check "learned ranges that collapse: each is named once" test -z \
  "$(grep -o 'quantizer [^:]*:' stderr | sort | uniq -d)"
check "learned ranges that collapse: in the figures" grep -qF "its learned scale fell" collapsed.json
