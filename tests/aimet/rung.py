"""The program rung, used as people use it: through its command line and its files."""

import json
import os
import struct
import subprocess

import numpy as np


def rung(program, *arguments):
    """Runs a command and returns the figures that it writes with --json."""
    done = subprocess.run([program, *arguments, "--json", "-"], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"rung {arguments[0]}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def save_images(folder, calibration, evaluation, classes):
    """Writes float arrays [N, C, H, W] as what rung calls the dataset npy."""
    for part, images in (("train", calibration), ("val", evaluation)):
        os.makedirs(os.path.join(folder, part), exist_ok=True)
        labels = np.arange(len(images)) % classes
        np.save(os.path.join(folder, part, "images.npy"), np.ascontiguousarray(images, np.float32))
        np.save(os.path.join(folder, part, "labels.npy"), labels.astype(np.int64))


def read_outputs(path):
    """Reads what rung eval --outputs wrote: [images, classes]."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    entry = json.loads(data[8 : 8 + length])["outputs"]
    begin, end = entry["data_offsets"]
    return np.frombuffer(data[8 + length + begin : 8 + length + end], np.float32).reshape(
        entry["shape"]
    )


def read_entries(path):
    """Reads an encodings file of any version and keying: {name: (scales, offsets)}.

    An activation filed under a module is named as AIMET names its quantizer."""
    with open(path, encoding="utf-8") as file:
        content = json.load(file)
    entries = {}

    def add(name, scale, offset):
        scales = np.ravel(np.asarray(scale, np.float64))
        entries[name] = (scales, np.broadcast_to(np.ravel(offset), scales.shape))

    if "encodings" in content:
        for each in content["encodings"]:
            middle = 2 ** (int("".join(filter(str.isdigit, each["output_dtype"]))) - 1)
            signed = 0 if each["output_dtype"].startswith("u") else middle
            if "y_scale" in each and not isinstance(each["y_scale"], dict):
                points = np.asarray(each.get("y_zero_point", 0))
                add(each["name"], each["y_scale"], -points - signed)
        return entries
    for kind in ("param_encodings", "activation_encodings"):
        table = content[kind]
        if isinstance(table, list):  # 1.0.0
            for each in table:
                if "scale" in each:
                    add(each["name"], each["scale"], each["offset"])
            continue
        for name, value in table.items():
            if isinstance(value, list):
                if all("scale" in each for each in value):
                    add(name, [e["scale"] for e in value], [e["offset"] for e in value])
                continue
            for side in ("input", "output"):
                for index, each in value.get(side, {}).items():
                    if "scale" in each:
                        add(f"{name}.{side}_quantizers.{index}", each["scale"], each["offset"])
    return entries


def differing(sent, received):
    """Lists the names that both files have with another scale or offset. Scales may be rounded: a
    receiver keeps float32 ranges."""
    names = []
    for name in sent.keys() & received.keys():
        (scale, offset), (other_scale, other_offset) = sent[name], received[name]
        if (
            scale.shape != other_scale.shape
            or np.any(np.abs(scale - other_scale) > 1e-6 * scale)
            or np.any(offset != other_offset)
        ):
            names.append(name)
    return sorted(names)
