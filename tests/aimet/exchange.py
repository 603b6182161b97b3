#!/usr/bin/python3
"""Exchanges quantized networks with AIMET 2.42: exchange.py RUNG [NETWORK...].

tests/aimet/run installs AIMET and runs this. Exits with 77 (skipped) without aimet-torch and
aimet-onnx 2.42. Both programs read what the other writes: encodings of all versions by module and
by tensor, ONNX files with quantizers, configuration files. Each row of the table says how many
entries were loaded, how many quantizers had none (missing), how many have another scale or offset
than the file says (different), and how far the outputs of both are apart for the same images, in
steps of the last quantizer: the largest and the mean distance. A sum that is rounded otherwise
moves a code, that moves others: AIMET's outputs differ from themselves when its convolutions
compute in another order, which is measured, too. Bounds: one step more than that; twice that mean
and a tenth of a step more. What is beyond its bound ends in exit code 1.
"""

import os
import sys
import tempfile

try:
    from importlib.metadata import version

    for package in ("aimet-torch", "aimet-onnx"):
        if not version(package).startswith("2.42."):
            raise ImportError(f"{package} is {version(package)}, not 2.42")
    import sims
except ImportError as error:
    print(f"SKIPPED: no AIMET 2.42: {error}; tests/aimet/run installs it")
    sys.exit(77)

import numpy as np
import torch
from networks import CLASSES, NETWORKS, SIZE, images, network
from rung import differing, read_entries, read_outputs, rung, save_images

VERSIONS = ("0.6.1", "1.0.0", "2.0.0", "2.1.0")
CONFIGS = {  # AIMET's file: the configuration of rung
    "default_config_per_channel": "aimet_2_42",
    "default_config": "aimet_2_42_per_tensor",
    "htp_quantsim_config_v73": "htp",
}
KIND = ("--dataset", "npy", "--no-normalize")  # arrays of floats, taken as they are
CALIBRATION, EVALUATION = images(1, 16), images(2, 16)


class Table:
    """Prints rows as they come, and counts those beyond their bounds."""

    HEAD = ("network", "direction", "config", "file", "loaded", "missing", "different", "steps",
            "mean")  # fmt: skip
    ROW = "{:12} {:13} {:26} {:13} {:>6} {:>7} {:>9} {:>6} {:>5}  {}"

    def __init__(self):
        self.failed = self.passed = 0
        print(self.ROW.format(*self.HEAD, ""), flush=True)

    def add(self, network, direction, config, file, loaded, missing, different, steps, bound,
            may_miss):
        """Adds a row; steps and bound are (largest, mean)."""
        close = steps[0] <= bound[0] + 1.001 and steps[1] <= 2 * bound[1] + 0.1
        fine = loaded > 0 and (may_miss or missing == 0) and not different and close
        self.passed, self.failed = self.passed + fine, self.failed + (not fine)
        row = (network, direction, config, file, loaded, missing, len(different))
        print(self.ROW.format(*row, *(f"{s:.2f}" for s in steps), "" if fine else "BEYOND"),
              flush=True)  # fmt: skip
        if different:
            print("    different:", ", ".join(different[:6]), flush=True)

    def note(self, network, config, steps):
        row = (network, "AIMET, itself", config, "", "", "", "")
        print(self.ROW.format(*row, *(f"{s:.2f}" for s in steps), ""), flush=True)

    def error(self, network, direction, config, file, error):
        self.failed += 1
        row = (network, direction, config, file, "-", "-", "-", "-", "-")
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        print(self.ROW.format(*row, text), flush=True)


class Exchange:
    """One network, exchanged in both directions."""

    def __init__(self, program, name, folder, table):
        self.program, self.name, self.folder, self.table = program, name, folder, table
        self.data, self.bound = self.path("images"), (0.0, 0.0)
        save_images(self.data, CALIBRATION.numpy(), EVALUATION.numpy(), CLASSES)
        model = network(name)
        torch.save(model.state_dict(), self.path("float.pth"))
        self.model = sims.prepared(model, EVALUATION)
        self.float = self.path("float.rung")
        rung(program, "convert", self.path("float.pth"), self.float, "--model", name,
             "--num-classes", str(CLASSES), "--image-size", str(SIZE), *KIND)  # fmt: skip

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def made(self, *names):
        os.makedirs(self.path(*names), exist_ok=True)
        return self.path(*names)

    def images_of(self):
        return (*KIND, "--data", self.data)

    def outputs(self, model):
        path = self.path("outputs.safetensors")
        rung(self.program, "eval", model, *self.images_of(), "--outputs", path)
        return read_outputs(path)

    def row(self, direction, config, file, attempt, may_miss=False):
        """Runs one exchange, which returns what Table.add takes. Without derived entries AIMET's
        quantizers of constants, and of tensors that only move numbers, may miss theirs."""
        try:
            row = self.name, direction, config, file
            self.table.add(*row, *attempt(), self.bound, may_miss)
        except Exception as error:  # noqa: BLE001: every kind is a row of the table
            self.table.error(self.name, direction, config, file, error)

    # ---- Rung -> AIMET

    def to_aimet(self, theirs, ours):
        quantized = self.path(f"{ours}.rung")
        rung(self.program, "quantize", self.float, *self.images_of(), "--scheme", "tf",
             "--config", ours, "--out", quantized)  # fmt: skip
        outputs = self.outputs(quantized)
        sim, names = self.calibrated(theirs), self.made("names")
        sim.save_encodings_to_json(names, "aimet")
        step = self.last_step(read_entries(os.path.join(names, "aimet.json")))
        self.bound = [d / step for d in sims.distance_from_itself(sim, EVALUATION)]
        self.table.note(self.name, theirs, self.bound)
        for version in VERSIONS:
            folder = self.made(f"{ours}_{version}")
            for prefix, derived in (("net", ()), ("derived", ("--derived",))):
                rung(self.program, "export", quantized, "--out", folder, "--prefix", prefix,
                     "--encodings-version", version, "--onnx", "both", *derived,
                     "--module-names-of", os.path.join(names, "aimet.json"))  # fmt: skip
            net, derived = os.path.join(folder, "net"), os.path.join(folder, "derived")
            self.row("Rung -> torch", theirs, f"modules {version}",
                     lambda: self.into_torch(theirs, net, outputs))  # fmt: skip
            self.row("Rung -> onnx", theirs, f"tensors {version}",
                     lambda: self.into_onnx(theirs, net, outputs, strict=False),
                     may_miss=True)  # fmt: skip
            self.row("Rung -> onnx", theirs, f"derived {version}",
                     lambda: self.into_onnx(theirs, derived, outputs, strict=True))  # fmt: skip
        self.row("Rung -> onnx", theirs, "QDQ",
                 lambda: self.into_onnx_as_qdq(theirs, net, outputs), may_miss=True)  # fmt: skip

    def calibrated(self, config):
        sim = sims.torch_sim(self.model, CALIBRATION, config)
        sims.calibrate(sim, CALIBRATION)
        return sim

    def into_torch(self, config, base, outputs):
        path = base + "_torch.encodings"
        sim = sims.torch_sim(self.model, CALIBRATION, config)
        sim.load_encodings(path, strict=True)
        quantizers = sims.torch_quantizers(sim)
        missing = [name for name, q in quantizers.items() if not q.is_initialized()]
        sim.save_encodings_to_json(self.made("received"), "net")
        sent, received = read_entries(path), read_entries(self.path("received", "net.json"))
        loaded = len(quantizers) - len(missing)
        steps = self.steps(sims.torch_outputs(sim, EVALUATION) - outputs, sent)
        return loaded, len(missing), differing(sent, received), steps

    def into_onnx(self, config, base, outputs, strict):
        sim = sims.onnx_sim(base + ".onnx", config)
        wanted = sims.onnx_enabled(sim)
        sims.load_into_onnx(sim, base + ".encodings", strict=strict)
        return self.compare_onnx(sim, base, outputs, wanted)

    def into_onnx_as_qdq(self, config, base, outputs):
        sim = sims.onnx_from_qdq(base + "_qdq.onnx", config)
        return self.compare_onnx(sim, base, outputs, sims.onnx_enabled(sim))

    def compare_onnx(self, sim, base, outputs, wanted):
        loaded = {name for name in sims.onnx_enabled(sim) if sims.has_range(sim, name)}
        sim.export(self.made("received"), "net", export_model=False, encoding_version="1.0.0")
        sent = read_entries(base + ".encodings")
        received = read_entries(self.path("received", "net.encodings"))
        steps = self.steps(sims.onnx_outputs(sim, EVALUATION) - outputs, sent)
        return len(loaded), len(wanted - loaded), differing(sent, received), steps

    def steps(self, differences, entries):
        """Returns the largest and the mean distance in steps of the last quantizer."""
        distances = np.abs(differences) / self.last_step(entries)
        return distances.max(), distances.mean()

    def last_step(self, entries):
        head = {"resnet18": "fc", "mobilenet_v2": "classifier.1"}[self.name]
        for name in (f"{head}.output_quantizers.0", head, "output"):
            if name in entries:
                return float(entries[name][0][0])
        raise KeyError(f"no entry for the output of {head}")

    # ---- AIMET -> Rung

    def to_rung(self, config):
        sim = self.calibrated(config)
        outputs = sims.torch_outputs(sim, EVALUATION)
        folder = self.made(f"aimet_{config}")
        sim.save_encodings_to_json(folder, "modules")
        self.row("torch -> Rung", config, "modules", lambda: self.into_rung(
            self.float, config, os.path.join(folder, "modules.json"), outputs))  # fmt: skip
        for version in VERSIONS:
            self.row("torch -> Rung", config, f"tensors {version}", lambda: self.into_rung(
                *self.with_graph(sims.torch_export(
                    sim, EVALUATION, self.made(f"aimet_{config}", version), version), config),
                outputs))  # fmt: skip
        path = self.path("float.onnx")
        sims.float_onnx(self.model, EVALUATION, path)
        sim = sims.onnx_sim(path, config)
        sim.compute_encodings(sims.onnx_feeds(sim, CALIBRATION.numpy()))
        outputs = sims.onnx_outputs(sim, EVALUATION)
        for version in VERSIONS[:3]:  # aimet-onnx 2.42 reads 2.1.0 and does not write it
            folder = self.made(f"onnx_{config}", version)
            sim.export(folder, "net", encoding_version=version)
            files = os.path.join(folder, "net.onnx"), os.path.join(folder, "net.encodings")
            # aimet-onnx calibrates a Clip's bounds on their own, which are no tensors in Rung.
            self.row("onnx -> Rung", config, f"tensors {version}", lambda: self.into_rung(
                *self.with_graph(files, config), outputs, "--skip-unknown"))  # fmt: skip

    def with_graph(self, files, config):
        """Makes a model file of AIMET's graph; returns it with the encodings' path."""
        path, encodings = files
        model = path.removesuffix(".onnx") + ".rung"
        rung(self.program, "convert", path, model, *KIND)
        return model, config, encodings

    def into_rung(self, model, config, encodings, outputs, *options):
        quantized = encodings + ".rung"
        figures = rung(self.program, "quantize", model, "--config", sims.config_path(config),
                       "--aimet", "2.42", "--encodings", encodings, *options,
                       "--out", quantized)  # fmt: skip
        done = figures["encodings"]
        folder, by_module = self.made("received"), encodings.endswith(".json")
        rung(self.program, "export", quantized, "--out", folder, "--prefix", "net", "--onnx",
             "none", *(("--module-names-of", encodings) if by_module else ()))  # fmt: skip
        sent = read_entries(encodings)
        received = read_entries(
            os.path.join(folder, "net_torch.encodings" if by_module else "net.encodings"))
        steps = self.steps(self.outputs(quantized) - outputs, sent)
        return len(done["loaded"]), len(done["missing"]), differing(sent, received), steps

    def configurations(self):
        """All files of the installed package are read as they are."""
        for file in sims.config_files():
            self.row("config", file.removesuffix(".json"), "", lambda: self.configured(file))

    def configured(self, file):
        figures = rung(self.program, "quantize", self.float, *self.images_of(), "--scheme", "tf",
                       "--config", os.path.join(sims.CONFIG_DIR, file), "--aimet", "2.42",
                       "--calibration-images", "2", "--test-images", "1",
                       "--out", self.path("configured.rung"))  # fmt: skip
        return figures["quantizers"], 0, [], (0.0, 0.0)


def main():
    program, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or list(NETWORKS)
    table = Table()
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            exchange = Exchange(program, name, folder, table)
            if name == names[0]:
                exchange.configurations()
            for theirs, ours in CONFIGS.items():
                exchange.to_aimet(theirs, ours)
                exchange.to_rung(theirs)
    print(f"{table.passed} passed, {table.failed} failed")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
