#!/usr/bin/env python3
"""Writes expected.json: what torchvision's models answer with weights and images of a formula.

Element i of a tensor is u = 2 * (h >> 40) / 2^24 - 1, a float32 in [-1, 1), where h is SplitMix64's
output for the state fnv1a64(name) + (i + 1) * 0x9e3779b97f4a7c15, and then
  image, name "input"     u
  *.weight of rank > 1    a * u, a = float32(sqrt(3 * gain / fan_in)), fan_in = numel / extent 0
  *.weight of rank 1      1 + u / 4
  *.bias                  u / 4
  *.running_mean          u / 4
  *.running_var           1 + u / 4
Every step is one float32 operation, so that another program gets the same bits. The gain keeps
activations of each network in the order of 1. `names` is the FNV-1a 64 of the lines
"name extent,extent,...\\n" of the state_dict in its order, num_batches_tracked left out.

Made with torch 1.13, torchvision 0.14: python3 make.py
"""

import json
import math
import os

import numpy as np
import torch
import torchvision

# name: (images, height and width, gain)
MODELS = {
    "resnet18": (2, 64, 1.0),
    "resnet34": (2, 64, 1.0),
    "resnet50": (2, 64, 1.0),
    "resnet101": (2, 64, 1.0),
    "resnet152": (2, 64, 1.0),
    "resnext50_32x4d": (2, 64, 1.0),
    "wide_resnet50_2": (2, 64, 1.0),
    "mobilenet_v2": (2, 64, 1.5),
    "vgg11": (1, 224, 2.0),
    "vgg11_bn": (1, 224, 2.0),
    "vgg16": (1, 224, 2.0),
    "vgg16_bn": (1, 224, 2.0),
}
CLASSES = 10
MASK = (1 << 64) - 1


def fnv1a(text):
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    return value


def uniform(name, shape):
    """Returns float32 in [-1, 1) that depend on name and index only."""
    count = math.prod(shape)
    result = np.empty(count, np.float32)
    seed = np.uint64(fnv1a(name))
    chunk = 1 << 22
    for begin in range(0, count, chunk):
        index = np.arange(begin + 1, min(begin + chunk, count) + 1, dtype=np.uint64)
        h = seed + index * np.uint64(0x9E3779B97F4A7C15)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        h = h ^ (h >> np.uint64(31))
        u = (h >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
        result[begin : begin + len(u)] = u
    return result.reshape(shape)


def value(name, shape, gain):
    u = uniform(name, shape)
    if name.endswith(".weight") and len(shape) > 1:
        return u * np.float32(math.sqrt(3 * gain / math.prod(shape[1:])))
    u *= np.float32(0.25)
    one = name.endswith((".weight", ".running_var"))
    return u + np.float32(1) if one else u


def main():
    expected = {}
    for name, (images, size, gain) in MODELS.items():
        make = getattr(torchvision.models, name)
        with torch.no_grad():
            model = make(num_classes=CLASSES).eval()
            entries = {k: v for k, v in model.state_dict().items() if "num_batches" not in k}
            for key, tensor in entries.items():
                tensor.copy_(torch.from_numpy(value(key, tuple(tensor.shape), gain)))
            x = torch.from_numpy(uniform("input", (images, 3, size, size)))
            logits = model(x).numpy()
        lines = "".join(f"{k} {','.join(map(str, v.shape))}\n" for k, v in entries.items())
        hidden = sum(p.numel() for p in model.parameters())
        last = [m for m in model.modules() if isinstance(m, torch.nn.Linear)][-1]
        expected[name] = {
            "images": images,
            "size": size,
            "gain": gain,
            "parameters_with_1000_classes": hidden + (1000 - CLASSES) * (last.in_features + 1),
            "names": f"{fnv1a(lines):016x}",
            "logits": [[float(f"{v:.9g}") for v in row] for row in logits],
        }
        print(name, expected[name]["parameters_with_1000_classes"], logits)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected.json")
    with open(path, "w") as file:
        json.dump(expected, file, indent=1)
        file.write("\n")


main()
