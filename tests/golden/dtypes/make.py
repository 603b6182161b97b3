#!/usr/bin/env python3
"""Writes rounding.safetensors: float32 numbers, and what numpy and PyTorch make of them.

x is float32; f16 and f64 are numpy's casts, bf16 is PyTorch's. Among the numbers are ties, both
signs of zero, the edges of the normal and subnormal numbers, numbers that overflow, and infinities.

Made with torch 1.13, numpy 1.24: python3 make.py
"""

import json
import os
import struct

import numpy as np
import torch

rng = np.random.default_rng(1)
edges = [0.0, -0.0, 1.0, 65504.0, 65519.9, 65520.0, 1e9, np.inf, -np.inf, 2.0**-14, 2.0**-24]
edges += [2.0**-25, 2.0**-25 * 1.0001, 3 * 2.0**-25, 2.0**-14 - 2.0**-25, 2.0**-126, 2.0**-149]
edges += [1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 3.3961775e38, 3.4e38]
spread = rng.standard_normal(400) * 2.0 ** rng.integers(-30, 20, 400)
ties = (rng.integers(-4096, 4096, 100) * 2 + 1) * 2.0 ** rng.integers(-20, 4, 100)
x = np.array(edges + list(spread) + list(ties), np.float32)

with np.errstate(over="ignore"):
    half = x.astype(np.float16)
tensors = {
    "x": ("F32", x.tobytes()),
    "f64": ("F64", x.astype(np.float64).tobytes()),
    "f16": ("F16", half.tobytes()),
    "bf16": ("BF16", torch.from_numpy(x).bfloat16().view(torch.int16).numpy().tobytes()),
}
header, data = {}, b""
for name, (dtype, raw) in tensors.items():
    end = len(data) + len(raw)
    header[name] = {"dtype": dtype, "shape": [len(x)], "data_offsets": [len(data), end]}
    data += raw
text = json.dumps(header).encode()
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rounding.safetensors")
with open(path, "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
