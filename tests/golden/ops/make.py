#!/usr/bin/env python3
"""Writes ops.json: what PyTorch and ONNX Runtime compute with single ops.

Made with torch 1.13, numpy, onnx 1.12 and onnxruntime-node 1.30.0 (in the folder of the argument):
python3 make.py <folder with node_modules/onnxruntime-node>
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

torch.manual_seed(0)
torch.set_num_threads(1)
cases = []


def floats(t):
    # The shortest decimal that reads back as the same float32.
    flat = np.asarray(t, dtype=np.float32).ravel()
    return [float(np.format_float_positional(np.float32(v), unique=True)) for v in flat]


def tensor(t):
    return {"shape": list(t.shape), "data": floats(t)}


def normal(*shape):
    return torch.round(torch.randn(shape) * 64) / 64


def add(name, type, attributes, inputs, function):
    """A case of PyTorch, with gradients."""
    xs = [x.clone().float().requires_grad_(True) for x in inputs]
    y = function(*xs)
    dy = normal(*y.shape)
    y.backward(dy)
    cases.append({"name": name, "source": "PyTorch 1.13", "type": type,
                  "attributes": attributes, "inputs": [tensor(x.detach()) for x in xs],
                  "output": tensor(y.detach()), "dy": floats(dy),
                  "gradients": [floats(x.grad) for x in xs]})


def arithmetic():
    shapes = [((2, 3, 4, 5), (3, 1, 1)), ((2, 3, 4, 5), (2, 3, 1, 1)), ((1, 17, 1, 3), (2, 1, 4, 3)),
              ((4, 1), (1, 5)), ((), (2, 3)), ((2, 3), (3,)), ((2, 17, 3, 3), (2, 17, 3, 3)),
              ((1,), (2, 1, 3))]
    functions = {"Add": torch.add, "Sub": torch.sub, "Mul": torch.mul, "Div": torch.div}
    for type, function in functions.items():
        for a, b in shapes:
            y = torch.rand(b) + 0.5
            add(f"{type} {list(a)} {list(b)}", type, {},
                [normal(*a), y * torch.where(torch.rand(b) < 0.5, -1.0, 1.0)], function)
    for a, b in [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
                 ((1, 3, 4), (2, 4, 2)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)),
                 ((2, 3, 4), (4,)), ((4,), (2, 4, 3))]:
        add(f"MatMul {list(a)} {list(b)}", "MatMul", {}, [normal(*a), normal(*b)], torch.matmul)


def activations():
    points = torch.tensor([-3.0, 3.0, 0.0, -2.9999, 3.0001, -7, 7, 1, -1])
    kinks = torch.cat([points, torch.linspace(-4, 4, 8)]).reshape(1, 17, 1, 1)
    image = torch.cat([kinks, normal(1, 17, 2, 1)], 2)
    for x in (kinks, image):
        shape = list(x.shape)
        add(f"HardSwish {shape}", "HardSwish", {}, [x], F.hardswish)
        add(f"HardSigmoid {shape}", "HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, [x], F.hardsigmoid)
        add(f"Tanh {shape}", "Tanh", {}, [x], torch.tanh)
        for a in (1.0, 0.7):
            add(f"Elu {a} {shape}", "Elu", {"alpha": a}, [x], lambda x: F.elu(x, a))


def log_softmax():
    for shape, axis in [((3, 10), -1), ((2, 17, 3, 2), 1), ((2, 3, 4), 0), ((4, 1), 1)]:
        add(f"LogSoftmax {list(shape)} {axis}", "LogSoftmax", {"axis": axis}, [normal(*shape) * 4],
            lambda x: F.log_softmax(x, axis))


def transposed_convolutions():
    for i, o, g, k, s, p, d, more, bias, size in [
            (3, 4, 1, 3, 2, 1, 1, 1, True, (4, 5)), (4, 6, 2, 3, 1, 1, 1, 0, True, (5, 4)),
            (9, 10, 1, 4, 2, 1, 1, 0, True, (3, 3)), (16, 3, 1, 2, 2, 0, 1, 0, True, (4, 3)),
            (5, 5, 5, 3, 2, 1, 1, 0, False, (4, 4)), (2, 3, 1, 3, 2, 2, 2, 1, True, (5, 5)),
            (18, 9, 1, 3, 3, 0, 1, 2, False, (2, 2)), (16, 16, 1, 2, 2, 0, 1, 0, True, (2, 2))]:
        w = normal(i, o // g, k, k) * 0.2
        b = [normal(o)] if bias else []
        if i * o > 150:
            w = torch.round(w * 4) / 8
        add(f"ConvTranspose {i}->{o} g{g} k{k} s{s} p{p} d{d} o{more}", "ConvTranspose",
            dict(strides=[s, s], pads=[p] * 4, dilations=[d, d], output_padding=[more, more], group=g),
            [normal(1, i, *size), w] + b,
            lambda x, w, b=None: F.conv_transpose2d(x, w, b, stride=s, padding=p,
                                                    output_padding=more, groups=g, dilation=d))


def shapes():
    for shape, perm in [((2, 3, 4, 5), (0, 2, 3, 1)), ((2, 17, 3, 2), (0, 3, 1, 2)),
                        ((2, 3, 4), (2, 1, 0)), ((3, 4), (1, 0)), ((2, 3, 4, 5), (0, 1, 3, 2)),
                        ((2, 3, 4, 5), (0, 1, 2, 3))]:
        add(f"Transpose {list(shape)} {list(perm)}", "Transpose", {"perm": list(perm)},
            [normal(*shape)], lambda x: x.permute(perm))
    add("Transpose reversed", "Transpose", {"perm": []}, [normal(2, 3, 4)],
        lambda x: x.permute(2, 1, 0))
    add("Squeeze", "Squeeze", {"axes": [2, -1]}, [normal(2, 17, 1, 1)], lambda x: x.reshape(2, 17))
    add("Unsqueeze", "Unsqueeze", {"axes": [0, -1]}, [normal(2, 17)],
        lambda x: x.reshape(1, 2, 17, 1))
    add("Identity", "Identity", {}, [normal(2, 17, 2, 2)], lambda x: x * 1)
    for axis in (0, 1, 2, -1, 4):
        shape = (2, 3, 2, 5)
        rows = int(np.prod(shape[:axis if axis >= 0 else axis + 4]))
        add(f"Flatten {axis}", "Flatten", {"axis": axis}, [normal(*shape)],
            lambda x: x.reshape(rows, -1))
    for axes, keep in [([2, 3], True), ([2, 3], False), ([-1], False), ([0, 2], True), ([1], False),
                       ([], True), ([], False), ([0], False)]:
        add(f"ReduceMean {axes} {keep}", "ReduceMean", {"axes": axes, "keepdims": keep},
            [normal(2, 9, 3, 2)],
            lambda x: x.mean(dim=axes if axes else (0, 1, 2, 3), keepdim=keep))
    for mode, torch_mode in (("constant", "constant"), ("reflect", "reflect"), ("edge", "replicate")):
        value = {"value": 0.25} if mode == "constant" else {}
        add(f"Pad {mode}", "Pad",
            {"pads": [0, 0, 2, 1, 0, 0, 0, 3], "mode": mode, "value": value.get("value", 0.0)},
            [normal(1, 17, 3, 4)], lambda x: F.pad(x, (1, 3, 2, 0), mode=torch_mode, **value))
    add("Pad channels", "Pad", {"pads": [0, 1, 0, 0, 0, 2, 0, 0], "mode": "constant", "value": 0.0},
        [normal(2, 3, 2, 2)], lambda x: F.pad(x, (0, 0, 0, 0, 1, 2)))
    add("Pad negative", "Pad", {"pads": [0, 0, -1, 2, 0, 0, 1, -2], "mode": "constant", "value": 0.0},
        [normal(2, 3, 4, 5)], lambda x: F.pad(x, (2, -2, -1, 1)))


def pools():
    for c, size, k, s, p, d, ceil in [
            (3, (7, 5), 3, 2, 1, 1, True), (17, (4, 6), 2, 2, 0, 1, True),
            (9, (5, 7), 3, 3, 1, 1, True), (3, (9, 8), 3, 2, 1, 2, False),
            (9, (6, 6), 2, 3, 1, 3, True), (2, (5, 5), 2, 2, 1, 1, True),
            (2, (4, 6), 3, 3, 0, 1, True)]:
        x = torch.randperm(c * size[0] * size[1]).float().reshape(1, c, *size) * 0.01 - 1
        window = dict(kernel_shape=[k, k], strides=[s, s], pads=[p] * 4, ceil_mode=ceil)
        add(f"MaxPool C{c} {size} k{k} s{s} p{p} d{d} ceil{ceil}", "MaxPool",
            dict(window, dilations=[d, d]), [x], lambda x: F.max_pool2d(x, k, s, p, d, ceil))
        if d != 1:
            continue
        for include in (True, False):
            add(f"AveragePool C{c} {size} k{k} s{s} p{p} ceil{ceil} include{include}", "AveragePool",
                dict(window, count_include_pad=include), [x],
                lambda x: F.avg_pool2d(x, k, s, p, ceil, include))


def resize(mode, coordinates, nearest, scales, sizes):
    return dict(mode=mode, coordinate_transformation_mode=coordinates, nearest_mode=nearest,
                scale_h=scales[0], scale_w=scales[1], sizes=sizes)


def interpolations():
    kinds = [("nearest", ("nearest", "asymmetric", "floor"), {"mode": "nearest"}),
             ("bilinear", ("linear", "half_pixel", "round_prefer_floor"),
              {"mode": "bilinear", "align_corners": False}),
             ("corners", ("linear", "align_corners", "round_prefer_floor"),
              {"mode": "bilinear", "align_corners": True})]
    for c, size in ((1, (4, 5)), (9, (2, 2))):
        for scales in ((2.0, 2.0), (1.5, 2.5), (0.6, 0.7)):
            for name, modes, options in kinds:
                add(f"Resize {name} C{c} {scales}", "Resize", resize(*modes, scales, []),
                    [normal(1, c, *size)],
                    lambda x: F.interpolate(x, scale_factor=scales, **options))
        for sizes in ([5, 7], [2, 3], [1, 1]):
            for name, modes, options in kinds:
                add(f"Resize {name} C{c} {sizes}", "Resize", resize(*modes, (0, 0), sizes),
                    [normal(1, c, *size)], lambda x: F.interpolate(x, size=sizes, **options))


class Runtime:
    """Collects models of one node, runs them in one go."""

    def __init__(self, modules, folder):
        self.modules, self.folder, self.jobs = modules, folder, []

    def add(self, name, type, attributes, x, node_attributes, more=()):
        values = [numpy_helper.from_array(v, n) for n, v in more if n]
        node = helper.make_node(type, ["x"] + [n for n, _ in more], ["y"], **node_attributes)
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)], values)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
        model.ir_version = 7
        path = os.path.join(self.folder, f"{len(self.jobs)}.onnx")
        onnx.save(model, path)
        self.jobs.append((name, type, attributes, x, path))

    def run(self):
        script = """
const folder = process.argv[1], ort = require(process.argv[2]), fs = require('fs');
(async () => {
  const results = [];
  for (const [path, shape, data] of JSON.parse(fs.readFileSync(folder + '/jobs.json'))) {
    const session = await ort.InferenceSession.create(path, {logSeverityLevel: 4});
    const x = new ort.Tensor('float32', Float32Array.from(data), shape);
    const {y} = await session.run({x});
    results.push([y.dims, Array.from(y.data)]);
  }
  fs.writeFileSync(folder + '/results.json', JSON.stringify(results));
})();
"""
        package = os.path.join(os.path.abspath(self.modules), "node_modules", "onnxruntime-node")
        with open(os.path.join(self.folder, "jobs.json"), "w") as file:
            json.dump([[path, list(x.shape), floats(x)] for _, _, _, x, path in self.jobs], file)
        subprocess.run(["node", "-e", script, self.folder, package], check=True,
                       stderr=subprocess.DEVNULL)
        with open(os.path.join(package, "package.json")) as file:
            version = json.load(file)["version"]
        with open(os.path.join(self.folder, "results.json")) as file:
            results = json.load(file)
        for (name, type, attributes, x, _), (shape, data) in zip(self.jobs, results):
            cases.append({"name": name, "source": "ONNX Runtime " + version, "type": type,
                          "attributes": attributes, "inputs": [tensor(x)],
                          "output": {"shape": shape, "data": floats(data)}})


def runtime_resizes(runtime):
    x = normal(1, 1, 4, 5)

    def all_sizes(name, modes, node):
        for scales in ((2.0, 1.5), (0.6, 0.8), (1.3, 0.25)):
            runtime.add(f"{name} {scales}", "Resize", resize(*modes, scales, []), x, node,
                        [("", None), ("scales", np.array([1, 1, *scales], np.float32))])
        for sizes in ([8, 7], [3, 1]):
            runtime.add(f"{name} {sizes}", "Resize", resize(*modes, (0, 0), sizes), x, node,
                        [("", None), ("", None), ("sizes", np.array([1, 1, *sizes], np.int64))])

    for c in ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric",
              "tf_half_pixel_for_nn"]:
        for n in ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]:
            all_sizes(f"Resize {c} {n}", ("nearest", c, n),
                      dict(mode="nearest", coordinate_transformation_mode=c, nearest_mode=n))
        if c != "tf_half_pixel_for_nn":
            all_sizes(f"Resize linear {c}", ("linear", c, "round_prefer_floor"),
                      dict(mode="linear", coordinate_transformation_mode=c))


def runtime_pools(runtime):
    x = torch.randperm(2 * 7 * 8).float().reshape(1, 2, 7, 8) * 0.02 - 1
    for k, s, pads, d, ceil in [((2, 2), (1, 1), [0, 0, 1, 1], (1, 1), 0),
                                ((3, 2), (2, 2), [1, 0, 2, 1], (1, 1), 0),
                                ((3, 3), (2, 3), [0, 1, 1, 0], (1, 1), 1),
                                ((2, 3), (3, 2), [1, 2, 0, 0], (1, 1), 1),
                                ((2, 2), (2, 2), [1, 0, 1, 1], (2, 3), 0),
                                ((2, 2), (3, 2), [0, 1, 1, 0], (2, 2), 1)]:
        node = dict(kernel_shape=k, strides=s, pads=pads, ceil_mode=ceil)
        ours = dict(node, ceil_mode=bool(ceil))
        runtime.add(f"MaxPool {k} {s} {pads} {d} {ceil}", "MaxPool", dict(ours, dilations=d), x,
                    dict(node, dilations=d))
        # Versions disagree on what sticks out of the padding, so there only without counting it.
        for include in (0,) if ceil else (0, 1):
            if d == (1, 1):
                runtime.add(f"AveragePool {k} {s} {pads} {ceil} {include}", "AveragePool",
                            dict(ours, count_include_pad=bool(include)), x,
                            dict(node, count_include_pad=include))


def main():
    arithmetic()
    activations()
    transposed_convolutions()
    shapes()
    pools()
    interpolations()
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(sys.argv[1], folder)
        runtime_resizes(runtime)
        runtime_pools(runtime)
        runtime.run()
    log_softmax()
    lines = [json.dumps(case, separators=(",", ":")) for case in cases]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ops.json")
    with open(path, "w") as file:
        file.write('{"cases": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
