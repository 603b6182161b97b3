"""Makes the small ONNX models beside it; answers come from run.js (ONNX Runtime)."""
import json
import numpy as np
from onnx import TensorProto, helper, numpy_helper

rng = np.random.RandomState(1)


def floats(*shape):
    return rng.uniform(-1, 1, shape).astype(np.float32)


def save(name, opset, nodes, initializers, shape, output="y", out_rank=2, batch="N"):
    inits = []
    for key, value in initializers.items():
        if isinstance(value, TensorProto):
            inits.append(value)
        else:
            inits.append(numpy_helper.from_array(np.asarray(value), key))
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch] + list(shape))],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 10 if opset >= 21 else 8
    with open(name + ".onnx", "wb") as file:
        file.write(model.SerializeToString())
    data = rng.uniform(-1, 1, [3 if batch == "N" else batch] + list(shape)).astype(np.float32)
    with open(name + ".json", "w") as file:
        json.dump({"shape": list(data.shape), "x": [float(v) for v in data.reshape(-1)]}, file)


n = helper.make_node


def int4(name, values, shape, signed=True):
    v = np.asarray(values).reshape(-1).astype(np.int64) & 15
    if len(v) % 2:
        v = np.append(v, 0)
    raw = (v[0::2] | (v[1::2] << 4)).astype(np.uint8).tobytes()
    t = TensorProto()
    t.name = name
    t.data_type = 22 if signed else 21
    t.dims.extend(shape)
    t.raw_data = raw
    return t


# What torch.onnx writes for x.view(x.size(0), -1), with the batch open.
save("shapes_18", 18, [
    n("Conv", ["x", "w", "b"], ["c"], "conv", kernel_shape=[3, 3], auto_pad="SAME_UPPER", strides=[2, 2]),
    n("Relu", ["c"], ["r"], "relu"),
    n("Shape", ["r"], ["s"]),
    n("Constant", [], ["zero"], value=numpy_helper.from_array(np.array(0, np.int64))),
    n("Gather", ["s", "zero"], ["batch"], axis=0),
    n("Unsqueeze", ["batch", "axis0"], ["batch1"]),
    n("Concat", ["batch1", "minus1"], ["target"], axis=0),
    n("Reshape", ["r", "target"], ["f"]),
    n("MatMul", ["f", "fw"], ["m"], "fc"),
    n("Add", ["m", "fb"], ["y"], "fc_bias"),
], {"w": floats(4, 2, 3, 3), "b": floats(4), "axis0": np.array([0], np.int64),
    "minus1": np.array([-1], np.int64), "fw": floats(4 * 3 * 4, 5), "fb": floats(5)}, [2, 6, 7])

# Axes as inputs (18), Resize with axes, a channel shuffle computed from Shape, Slice.
save("resize_19", 19, [
    n("Resize", ["x", "", "scales"], ["up"], "up", mode="linear", axes=[2, 3],
      coordinate_transformation_mode="half_pixel"),
    n("Shape", ["up"], ["s"]),
    n("Slice", ["s", "i0", "i1"], ["batch"]),
    n("Slice", ["s", "i2", "i4"], ["size"]),
    n("Concat", ["batch", "groups", "size"], ["split"], axis=0),
    n("Reshape", ["up", "split"], ["g"]),
    n("Transpose", ["g"], ["t"], "shuffle", perm=[0, 2, 1, 3, 4]),
    n("Concat", ["batch", "four", "size"], ["join"], axis=0),
    n("Reshape", ["t", "join"], ["j"]),
    n("Pad", ["j", "pads", "", "padaxes"], ["p"], "pad", mode="reflect"),
    n("ReduceMean", ["p", "axes"], ["y"], "mean", keepdims=0),
], {"scales": np.array([2, 1.5], np.float32), "i0": np.array([0], np.int64), "i1": np.array([1], np.int64),
    "i2": np.array([2], np.int64), "i4": np.array([4], np.int64), "groups": np.array([2, 2], np.int64),
    "four": np.array([4], np.int64), "pads": np.array([1, 2], np.int64), "padaxes": np.array([3], np.int64),
    "axes": np.array([2, -1], np.int64)}, [4, 4, 6])

# hard swish as older exporters write it, a squeeze-and-excite product, Clip(0, 6).
save("mobile_20", 20, [
    n("Conv", ["x", "w"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
    n("BatchNormalization", ["c", "g", "be", "mu", "va"], ["bn"], "bn", epsilon=1e-3, momentum=0.8),
    n("Add", ["bn", "three"], ["a"]), n("Clip", ["a", "lo", "hi"], ["cl"]), n("Mul", ["bn", "cl"], ["mu1"]),
    n("Div", ["mu1", "six"], ["hs"]),
    n("GlobalAveragePool", ["hs"], ["gap"]),
    n("Conv", ["gap", "w1", "b1"], ["se"], kernel_shape=[1, 1]), n("HardSigmoid", ["se"], ["sg"], alpha=1 / 6),
    n("Mul", ["sg", "hs"], ["sc"]),
    n("AveragePool", ["sc"], ["ap"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    n("Flatten", ["ap"], ["f"]), n("Gemm", ["f", "gw", "gb"], ["z"], alpha=0.5, beta=2.0),
    n("Softmax", ["z"], ["y"]),
], {"w": floats(4, 3, 3, 3), "g": floats(4), "be": floats(4), "mu": floats(4), "va": np.abs(floats(4)) + 0.5,
    "three": np.array(3, np.float32), "lo": np.array(0, np.float32), "hi": np.array(6, np.float32),
    "six": np.array(6, np.float32), "w1": floats(4, 4, 1, 1), "b1": floats(4),
    "gw": floats(36, 3), "gb": floats(1, 3)}, [3, 6, 6])

# QDQ at opset 13: int8 weights per channel, int32 bias, uint8 activations.
xs, ws = np.float32(0.0078), (np.abs(floats(4)) * 0.01 + 0.002).astype(np.float32)
save("qdq_13", 13, [
    n("QuantizeLinear", ["x", "xs", "xz"], ["x.q"]), n("DequantizeLinear", ["x.q", "xs", "xz"], ["x.qdq"]),
    n("DequantizeLinear", ["conv1.weight", "ws", "wz"], ["conv1.weight.qdq"], axis=0),
    n("DequantizeLinear", ["conv1.bias", "bs", "bz"], ["conv1.bias.dq"], axis=0),
    n("Conv", ["x.qdq", "conv1.weight.qdq", "conv1.bias.dq"], ["conv1"], "conv1", kernel_shape=[3, 3]),
    n("Relu", ["conv1"], ["relu1"], "relu1"),
    n("QuantizeLinear", ["relu1", "rs", "rz"], ["relu1.q"]),
    n("DequantizeLinear", ["relu1.q", "rs", "rz"], ["relu1.qdq"]),
    n("Flatten", ["relu1.qdq"], ["flat"]),
    n("DequantizeLinear", ["fc.weight", "fs", "fz"], ["fc.weight.qdq"]),
    n("Gemm", ["flat", "fc.weight.qdq"], ["y"], "fc", transB=1),
], {"xs": xs, "xz": np.array(128, np.uint8), "conv1.weight": rng.randint(-127, 128, (4, 2, 3, 3)).astype(np.int8),
    "ws": ws, "wz": np.zeros(4, np.int8), "conv1.bias": rng.randint(-9000, 9000, 4).astype(np.int32),
    "bs": (xs * ws).astype(np.float32), "bz": np.zeros(4, np.int32), "rs": np.float32(0.02),
    "rz": np.array(0, np.uint8), "fc.weight": rng.randint(0, 255, (3, 36)).astype(np.uint8), "fs": np.float32(0.01),
    "fz": np.array(120, np.uint8)}, [2, 5, 5])

# QDQ at opset 21: uint16 activations, int4 weights per channel, int4 weights in blocks.
bl = (np.abs(floats(2, 6)) * 0.2 + 0.05).astype(np.float32)
save("qdq_21", 21, [
    n("QuantizeLinear", ["x", "xs", "xz"], ["x.q"]), n("DequantizeLinear", ["x.q", "xs", "xz"], ["x.qdq"]),
    n("DequantizeLinear", ["w", "ws", "wz"], ["w.qdq"], axis=0),
    n("Conv", ["x.qdq", "w.qdq"], ["c"], "conv", kernel_shape=[3, 3], strides=[2, 2]),
    n("Flatten", ["c"], ["f"]),
    n("QuantizeLinear", ["f", "fs", "fz"], ["f.q"]), n("DequantizeLinear", ["f.q", "fs", "fz"], ["f.qdq"]),
    n("DequantizeLinear", ["m", "ms"], ["m.qdq"], axis=0, block_size=8),
    n("MatMul", ["f.qdq", "m.qdq"], ["y"], "fc"),
], {"xs": np.float32(3e-5), "xz": np.array(32768, np.uint16), "w": int4("w", rng.randint(-8, 8, 72), [4, 2, 3, 3]),
    "ws": (np.abs(floats(4)) * 0.1 + 0.02).astype(np.float32), "wz": int4("wz", [0] * 4, [4]),
    "fs": np.float32(1e-4), "fz": np.array(-100, np.int16), "m": int4("m", rng.randint(-8, 8, 96), [16, 6]),
    "ms": bl}, [2, 5, 5])

# Inputs of the four networks that AIMET exported (tests/golden/export says which is which).
for name in ["net_bn", "net_bn_per_channel", "net_folded", "net_folded_per_channel"]:
    data = rng.uniform(-2, 2, [1, 3, 20, 20]).round(3)
    with open(name + ".json", "w") as file:
        json.dump({"shape": list(data.shape), "x": [float(v) for v in data.reshape(-1)]}, file)

# Tensors that are taken apart: every other pixel, uneven parts, blocks; a slope per channel.
save("parts_13", 13, [
    n("Slice", ["x", "begin", "end", "axes", "steps"], ["focus"], "focus"),
    n("Split", ["focus", "sizes"], ["a", "b", "c"], "split", axis=1),
    n("DepthToSpace", ["c"], ["pixels"], "shuffle", blocksize=2, mode="CRD"),
    n("PRelu", ["pixels", "slopes"], ["act"], "act"),
    n("PRelu", ["a", "slope"], ["leaky"], "leaky"),
    n("SpaceToDepth", ["act"], ["depth"], "depth", blocksize=2),
    n("DepthToSpace", ["depth"], ["again"], "again", blocksize=2),
    n("SpaceToDepth", ["again"], ["deep"], "deep", blocksize=2),
    n("Split", ["deep"], ["d0", "d1", "d2", "d3"], "quarters", axis=1),
    n("Sum", ["d0", "d1", "d3", "leaky"], ["sum"], "sum"),
    n("Concat", ["sum", "b"], ["all"], axis=1),
    n("GlobalMaxPool", ["all"], ["top"], "top"),
    n("Flatten", ["top"], ["y"]),
], {"begin": np.array([1, 0], np.int64), "end": np.array([9, -1], np.int64), "axes": np.array([2, -1], np.int64),
    "steps": np.array([2, 3], np.int64), "sizes": np.array([1, 2, 8], np.int64),
    "slopes": floats(2, 1, 1), "slope": np.array([0.3], np.float32)}, [11, 9, 11])
