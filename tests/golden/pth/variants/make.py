#!/usr/bin/env python3
"""Writes checkpoints of one small network as tools and people leave them.

All hold the parameters of iotest::small_network() (tests/support/io_models.h), whose numbers count up in
eighths. Made with torch 2.15, numpy 2.4: python3 make.py
"""

import argparse
import io
import pickle
import struct
import tarfile
from collections import OrderedDict

import numpy as np
import torch

SHAPES = {
    "conv1.weight": (4, 3, 3, 3), "bn1.weight": (4,), "bn1.bias": (4,), "bn1.running_mean": (4,),
    "bn1.running_var": (4,), "layer1.0.conv1.weight": (4, 4, 3, 3), "layer1.0.conv1.bias": (4,),
    "fc.weight": (5, 4), "fc.bias": (5,)}


def weights(prefix="", dtype=torch.float32):
    """The state_dict, its names with a prefix."""
    result, at = OrderedDict(), 2
    for name, shape in SHAPES.items():
        count = int(np.prod(shape))
        at += count
        numbers = torch.arange(at - count + 1, at + 1, dtype=torch.float32) / 8
        result[prefix + name] = numbers.reshape(shape).to(dtype)
    result[prefix + "bn1.num_batches_tracked"] = torch.tensor(7)
    return result


def changed(**changes):
    return OrderedDict(list(weights(dtype=torch.float16).items()) + list(changes.items()))


class Python2Pickler(pickle._Pickler):
    """Writes texts as Python 2's str, an OrderedDict as the list of its pairs, large ints as long."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_text(self, text):
        data = text.encode()
        self.write(b"U" + bytes([len(data)]) + data)
        self.memoize(text)

    def save_number(self, number):
        if 0 <= number < 100:
            return self.write(b"K" + bytes([number]))
        data = pickle.encode_long(number)
        self.write(b"\x8a" + bytes([len(data)]) + data)

    dispatch[str] = save_text
    dispatch[int] = save_number

    def reducer_override(self, obj):
        if isinstance(obj, OrderedDict):
            return OrderedDict, ([[key, value] for key, value in obj.items()],)
        if isinstance(obj, torch.Tensor):
            storage = ("S", obj)
            return torch._utils._rebuild_tensor_v2, (storage, 0, tuple(obj.shape), obj.stride(),
                                                     False, OrderedDict())
        return NotImplemented

    def persistent_id(self, obj):
        if isinstance(obj, tuple) and len(obj) == 2 and obj[0] == "S":
            tensor = obj[1]
            key = str(94524960939888 + len(self.storages))
            self.storages.append((key, tensor))
            kind = torch.LongStorage if tensor.dtype == torch.int64 else torch.HalfStorage
            return ("storage", kind, key, "cpu", tensor.numel(), None)
        return None


def python2(path, obj):
    """What torch.save of 2018 wrote under Python 2."""
    with open(path, "wb") as file:
        storages = []
        for each in (0x1950A86A20F9469CFC6C, 1001,
                     {"protocol_version": 1001, "little_endian": True,
                      "type_sizes": {"short": 2, "int": 4, "long": 4}}, obj):
            pickler = Python2Pickler(file, 2)
            pickler.storages = storages
            pickler.dump(each)
        pickler = Python2Pickler(file, 2)
        pickler.storages = storages
        pickler.dump([key for key, _ in storages])
        for _, tensor in storages:
            file.write(struct.pack("<q", tensor.numel()) + tensor.contiguous().numpy().tobytes())


def oldest(path):
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("sys_info", "pickle", "storages"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"none"))


half = torch.float16
python2("python2.pth", weights(dtype=half))
oldest("oldest_tar.pth")
torch.save({"epoch": 9, "best_acc1": torch.tensor(0.5), "best": np.float64(3.5), "when": {1, 2},
            "args": argparse.Namespace(lr=0.1), "type": torch.float32,
            "optimizer": {"state": {0: {"momentum": torch.ones(3)}}},
            "state_dict": weights("module.", half)}, "checkpoint_with_args.pth")
torch.save({"epoch": 9, "pytorch-lightning_version": "2.5.0", "state_dict": weights("model.", half),
            "optimizer_states": [{"state": {}}]}, "lightning.ckpt")
averaged = OrderedDict(n_averaged=torch.tensor(5))
averaged.update(weights("module.", half))
torch.save(averaged, "averaged.pth")
torch.save(weights("module._orig_mod.", half), "two_prefixes.pth")
torch.save(weights("net/", half), "prefix_without_dot.pth")
torch.save(changed(total_ops=torch.zeros(1, dtype=torch.float64),
                   **{"conv1.total_ops": torch.zeros(1, dtype=torch.float64),
                      "conv1.total_params": torch.zeros(1, dtype=torch.float64)}), "profiled.pth")
torch.save(OrderedDict(list(weights("student.", half).items()) +
                       list(weights("teacher.", half).items())), "student_and_teacher.pth")
torch.save({"model": weights(dtype=half), "step": 7, "optimizer": {"momentum": torch.ones(2)},
            "model_ema": OrderedDict((name, 2 * value) for name, value in
                                     weights(dtype=half).items())}, "with_average.pth")
torch.save({"generator": weights(dtype=half), "critic": weights(dtype=half)}, "two_dicts.pth")
expanded = weights(dtype=half)
expanded["layer1.0.conv1.bias"] = torch.tensor([2.5], dtype=half).expand(4)
expanded["fc.weight"] = torch.tensor([[1.0], [2.0], [3.0], [4.0], [5.0]], dtype=half).expand(5, 4)
expanded["bn1.bias"] = torch.arange(8, dtype=half)[1::2]
torch.save(expanded, "expanded.pth")
quantized = torch.quantize_per_tensor(torch.ones(4, 3, 3, 3), 0.1, 0, torch.qint8)
torch.save(changed(**{"conv1.weight": quantized}), "quantized.pth")
torch.save(changed(**{"conv1.weight": quantized}), "quantized_legacy.pth",
           _use_new_zipfile_serialization=False)
torch.save(changed(**{"fc.weight": torch.eye(5, 4).to_sparse()}), "sparse.pth")
torch.save(changed(**{"fc.weight": torch.eye(5, 4).to_sparse_csr()}), "sparse_rows.pth")
torch.save(changed(**{"fc.bias": torch.ones(5, dtype=torch.complex64)}), "complex.pth")
torch.save(changed(**{"fc.bias": torch.ones(5, device="meta")}), "meta.pth")
torch.save({"model": torch.nn.Linear(2, 2), "epoch": 1}, "whole_module_within.pth")
torch.save(weights(dtype=half), "protocol1.pth", pickle_protocol=1,
           _use_new_zipfile_serialization=False)
torch.save(weights(dtype=half), "protocol4.pth", pickle_protocol=4,
           _use_new_zipfile_serialization=False)


class Subclass(torch.Tensor):
    pass


parameter = torch.nn.Parameter(torch.ones(2))
parameter.note = 1
torch.save(OrderedDict(f8=torch.tensor([1.0, -0.5]).to(torch.float8_e4m3fn),
                       u16=torch.tensor([1, 60000]).to(torch.uint16), parameter=parameter,
                       subclass=torch.tensor([3.0, 4.0]).as_subclass(Subclass)), "kinds.pth")
torch.serialization.set_crc32_options(False)
torch.save(weights(dtype=half), "no_checksums.pth")
with open("other_pickle.pth", "wb") as file:
    pickle.dump({"a": [1, 2, 3]}, file)
