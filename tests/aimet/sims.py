"""Simulations of AIMET 2.42, of PyTorch modules and of ONNX files."""

import copy
import logging
import os
import warnings

import numpy as np
import onnx
import torch

logging.disable(logging.CRITICAL)
warnings.filterwarnings("ignore")

import aimet_onnx  # noqa: E402
import aimet_torch  # noqa: E402
from aimet_onnx.quantsim import load_encodings_to_sim  # noqa: E402
from aimet_torch.batch_norm_fold import fold_all_batch_norms  # noqa: E402
from aimet_torch.common.defs import QuantScheme  # noqa: E402
from aimet_torch.common.quantsim_config import utils  # noqa: E402
from aimet_torch.model_preparer import prepare_model  # noqa: E402

SCHEMES = {
    "tf": QuantScheme.min_max,
    "tf_enhanced": QuantScheme.post_training_tf_enhanced,
}
CONFIG_DIR = os.path.dirname(utils.__file__)


def config_files():
    """The configuration files of the installed package."""
    return sorted(f for f in os.listdir(CONFIG_DIR) if f.endswith(".json"))


def config_path(name):
    return os.path.join(CONFIG_DIR, name + ".json")


def prepared(model, images):
    """Returns the model as AIMET wants it, batch norms folded."""
    model = prepare_model(copy.deepcopy(model))
    fold_all_batch_norms(model, tuple(images[:1].shape), dummy_input=images[:1])
    return model.eval()


def torch_sim(model, images, config, param_bw=8, output_bw=8, scheme=QuantScheme.min_max):
    return aimet_torch.QuantizationSimModel(
        copy.deepcopy(model),
        images[:1],
        quant_scheme=scheme,
        default_param_bw=param_bw,
        default_output_bw=output_bw,
        config_file=config_path(config),
    )


def calibrate(sim, images):
    with torch.no_grad():
        sim.compute_encodings(lambda module: module(images))


def torch_outputs(sim, images):
    with torch.no_grad():
        return sim.model(images).numpy()


def distance_from_itself(sim, images):
    """Returns how far apart a sim's outputs are, largest and mean, when the same is computed in
    other orders: without oneDNN, channels last, image by image."""
    outputs = torch_outputs(sim, images)
    with torch.backends.mkldnn.flags(enabled=False):
        others = [torch_outputs(sim, images)]
    others.append(np.concatenate([torch_outputs(sim, image[None]) for image in images]))
    layout = {"memory_format": torch.channels_last}
    others.append(torch_outputs(sim, images.contiguous(**layout)))
    distances = [np.abs(other - outputs) for other in others]
    return max(d.max() for d in distances), max(d.mean() for d in distances)


def torch_quantizers(sim):
    """Returns {AIMET's name: quantizer}."""
    found = {}
    for name, module in sim.model.named_modules():
        for kind in ("param_quantizers", "input_quantizers", "output_quantizers"):
            table = getattr(module, kind, None)
            if table is None:
                continue
            items = table.items() if hasattr(table, "items") else enumerate(table)
            found.update({f"{name}.{kind}.{key}": q for key, q in items if q is not None})
    return found


def torch_export(sim, images, folder, version):
    """Writes net.onnx and net.encodings, keyed by tensor; everything in one ONNX file."""
    path = os.path.join(folder, "net.onnx")
    sim.onnx.export(
        images[:1],
        path,
        encoding_version=version,
        input_names=["input"],
        output_names=["output"],
        dynamo=False,
        verbose=False,
    )
    onnx.save(onnx.load(path), path)
    return path, os.path.join(folder, "net.encodings")


def float_onnx(model, images, path):
    torch.onnx.export(
        model, images[:1], path, input_names=["input"], output_names=["output"],
        dynamo=False, verbose=False, dynamic_axes={"input": {0: "n"}, "output": {0: "n"}},
    )  # fmt: skip


def onnx_sim(path, config):
    return aimet_onnx.QuantizationSimModel(
        onnx.load(path), quant_scheme="min_max", config_file=config_path(config)
    )


def onnx_feeds(sim, images):
    (name,) = (each.name for each in sim.session.get_inputs())
    return [{name: np.asarray(image[None], np.float32)} for image in images]


def onnx_outputs(sim, images):
    return np.concatenate([sim.session.run(None, feed)[0] for feed in onnx_feeds(sim, images)])


def onnx_enabled(sim):
    """Returns the names of the tensors with an enabled quantizer, int32 biases left out."""
    return {name for name, q in sim.qc_quantize_op_dict.items() if q.enabled and q.bitwidth < 32}


def has_range(sim, name):
    return sim.qc_quantize_op_dict[name].is_initialized()


def onnx_from_qdq(path, config):
    return aimet_onnx.QuantizationSimModel.from_onnx_qdq(
        onnx.load(path), config_file=config_path(config)
    )


load_into_onnx = load_encodings_to_sim
