# shellcheck shell=bash disable=SC2154
# AIMET's own example, as README shows it: a PyTorch checkpoint of ResNet-18 and a folder of images
# -> calibrate -> fine-tune -> evaluate -> export. The checkpoint is one of random weights here.

run convert --help
check "convert says what it converts" stdout_has ".onnx"
works "a checkpoint to start from" train --model resnet18 --dataset image-folder --data "$photos" \
  --image-size 32 --batch-size 4 --epochs 1 --lr 0.001 --out pretrained.rung
works "as PyTorch has it" convert pretrained.rung resnet18.pth

works "pretrained: quantize" quantize --weights resnet18.pth --model resnet18 \
  --dataset image-folder --data "$photos" --scheme sqnr \
  --calibration-images 12 --out w8a8.rung --json quantized.json
works "pretrained: fine-tune" qat w8a8.rung --data "$photos" --epochs 1 --batch-size 4 \
  --lr 0.0001 --out w8a8_qat.rung
works "pretrained: evaluate" eval w8a8_qat.rung --data "$photos"
notes "pretrained: export" export w8a8_qat.rung --out exported --prefix resnet18 --onnx both
for file in resnet18.safetensors resnet18.encodings resnet18_torch.encodings resnet18.onnx \
  resnet18_qdq.onnx; do
  check "pretrained: exports $file" test -s "exported/$file"
done
# Integers take a quarter of the room.
check "pretrained: the integer file is small" test \
  "$(stat -c %s exported/resnet18_qdq.onnx)" -lt "$(($(stat -c %s exported/resnet18.onnx) * 27 / 100))"

# And back: the exported files are models again.
works "ONNX: a float file becomes a model" convert exported/resnet18.onnx back.rung \
  --dataset image-folder
works "ONNX: eval of it" eval back.rung --data "$photos"
works "ONNX: a quantized file becomes a quantized model" convert exported/resnet18_qdq.onnx \
  back_q.rung --dataset image-folder
works "ONNX: eval of the quantized one" eval back_q.rung --data "$photos" --json back_q.json
run export back_q.rung --out again --prefix resnet18 --onnx none
check "ONNX: every encoding is the same" cmp -s exported/resnet18.encodings \
  again/resnet18.encodings
# Biases have been rounded to integers; four images are too few to compare accuracies.
run eval w8a8_qat.rung --data "$photos" --json w8a8_qat.json
check "ONNX: nearly the same loss" between \
  "$(awk "BEGIN { print $(number back_q.json loss) / $(number w8a8_qat.json loss) }")" 0.9 1.1
works "ONNX: its training goes on" qat back_q.rung --data "$photos" --epochs 1 --batch-size 4 \
  --lr 0.0001 --out back_qat.rung
works "ONNX: a model becomes ONNX" convert pretrained.rung pretrained.onnx
printf 'no model' >broken.onnx
refuses "ONNX: a file that is none" "broken.onnx" convert broken.onnx out.rung
check "ONNX: nothing is written" absent out.rung
