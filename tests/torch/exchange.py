#!/usr/bin/python3
"""Exchanges weights with PyTorch: exchange.py RUNG. Exits with 77 (skipped) without torchvision.

What torch.save writes, rung convert reads, and what rung convert writes, torch.load reads: both are
compared bit for bit, and load_state_dict must be content with it.
"""

import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import torch
    import torchvision
except ImportError:
    print("skipped: there is no torchvision")
    sys.exit(77)

CLASSES, SIZE = 7, 64


def convert(source, target, model, *options):
    command = [sys.argv[1], "convert", source, target, *options]
    if model:
        command += ["--model", model, "--num-classes", str(CLASSES), "--image-size", str(SIZE)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def raw(tensor):
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes() if tensor.dim() else b""


def same(state, other, name):
    assert list(state) == list(other), f"{name}: other names or another order"
    for key, tensor in state.items():
        assert tensor.shape == other[key].shape, f"{name}: {key}: another shape"
        if key.endswith("num_batches_tracked"):
            assert other[key].dtype == torch.int64 and other[key].item() == 0
        else:
            assert tensor.dtype == other[key].dtype, f"{name}: {key}: another type"
            assert raw(tensor) == raw(other[key]), f"{name}: {key}: other values"


def safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {
        name: data[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]]
        for name, entry in header.items()
    }


def check(name, folder):
    torch.manual_seed(1)
    make = getattr(torchvision.models, name)
    model = make(num_classes=CLASSES)
    state = model.state_dict()
    for key, tensor in state.items():  # running statistics that are not all alike
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 2)
    path = lambda file: os.path.join(folder, file)
    for file, options in (("new.pth", {}), ("old.pth", {"_use_new_zipfile_serialization": False})):
        torch.save(state, path(file), **options)
        convert(path(file), path("back.pth"), name)
        same(state, torch.load(path("back.pth")), file)
        same(state, torch.load(path("back.pth"), weights_only=True), file)
        make(num_classes=CLASSES).load_state_dict(torch.load(path("back.pth")))

    convert(path("new.pth"), path("model.rung"), name)
    convert(path("model.rung"), path("again.pth"), None)
    with open(path("back.pth"), "rb") as a, open(path("again.pth"), "rb") as b:
        assert a.read() == b.read(), f"{name}: by way of *.rung the bytes are others"

    convert(path("new.pth"), path("weights.safetensors"), name)
    written = safetensors(path("weights.safetensors"))
    for key, tensor in state.items():
        if not key.endswith("num_batches_tracked"):
            assert written.pop(key) == raw(tensor), f"{name}: {key}: other values in safetensors"
    assert not written, f"{name}: safetensors has {list(written)} as well"

    for dtype in ("float16", "bfloat16", "float64"):
        short = {"float16": "f16", "bfloat16": "bf16", "float64": "f64"}[dtype]
        convert(path("new.pth"), path("cast.pth"), name, "--dtype", short)
        cast = {k: v.to(getattr(torch, dtype)) if v.is_floating_point() else v for k, v in state.items()}
        same(cast, torch.load(path("cast.pth")), f"{name} in {dtype}")
        convert(path("cast.pth"), path("wide.pth"), name)
        same({k: v.float() if v.is_floating_point() else v for k, v in cast.items()},
             torch.load(path("wide.pth")), f"{name} from {dtype}")


with tempfile.TemporaryDirectory() as folder:
    for name in ("resnet18", "mobilenet_v2", "resnext50_32x4d"):
        check(name, folder)
        print(name, "agrees")
