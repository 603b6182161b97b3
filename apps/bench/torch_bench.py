#!/usr/bin/env python3
"""Times PyTorch on the CPU: the other side of apps/bench/side_by_side.

  torch_bench.py MODEL train|qat|infer [--batch N] [--threads N] [--steps N] [--channels-last]

MODEL is resnet20 (He et al. 2015, batches of 128 of 3x32x32), resnet18, resnet50 or mobilenet_v2 (as
torchvision's, 16 of 3x224x224). A step is
  train  forward, cross entropy, backward, SGD with momentum 0.9 and weight decay 1e-4
  qat    the same with 8-bit quantizers on weights (per channel) and activations, where Rung has them:
         PyTorch's fused observer and fake quantization, batch norms training as layers of their own
  infer  forward in evaluation with batch norms folded; the better of eager and optimize_for_inference
Prints one JSON object: median_s, min_s and max_s of a step, peak_rss_mib of the process, the version
of PyTorch and the processor. Needs torch 1.13 or newer, nothing else.

PyTorch is at its best in one of the two layouts, with an allocator that keeps its memory:
  MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=67108864
"""
import argparse
import copy
import json
import os
import platform
import resource
import statistics
import time
import warnings

import torch
from torch import nn
from torch.nn.utils import fusion, parametrize
from torch.nn import functional as F


# ---- models; `quantize` makes the module that stands where Rung has a quantizer
class ConvNorm(nn.Sequential):
    """A convolution, its batch norm and, unless `act` is None, an activation."""

    def __init__(self, fan_in, fan_out, kernel, stride=1, groups=1, act=nn.ReLU, quantize=nn.Identity):
        conv = nn.Conv2d(fan_in, fan_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        parts = [conv, nn.BatchNorm2d(fan_out)]
        if act is not None:
            parts.append(act(inplace=True))
        super().__init__(*parts, quantize())


class Residual(nn.Module):
    """The sum of a body and a shortcut, behind it a ReLU (ResNet) or nothing (MobileNetV2)."""

    def __init__(self, body, shortcut, relu, quantize):
        super().__init__()
        self.body, self.shortcut, self.relu, self.quantize = body, shortcut, relu, quantize()

    def forward(self, x):
        y = self.body(x) + self.shortcut(x)
        return self.quantize(F.relu(y, inplace=True) if self.relu else y)


def resnet_block(fan_in, width, stride, bottleneck, quantize):
    out = 4 * width if bottleneck else width
    q = dict(quantize=quantize)
    if bottleneck:
        body = nn.Sequential(ConvNorm(fan_in, width, 1, **q), ConvNorm(width, width, 3, stride, **q),
                             ConvNorm(width, out, 1, act=None, **q))
    else:
        body = nn.Sequential(ConvNorm(fan_in, width, 3, stride, **q),
                             ConvNorm(width, out, 3, act=None, **q))
    same = stride == 1 and fan_in == out
    shortcut = nn.Identity() if same else ConvNorm(fan_in, out, 1, stride, act=None, **q)
    return Residual(body, shortcut, True, quantize), out


def resnet(stem, channels, blocks, bottleneck, classes, quantize):
    layers = [quantize()] + stem
    channels_in = channels
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            layer, channels_in = resnet_block(channels_in, channels << stage, stride, bottleneck, quantize)
            layers.append(layer)
    return head(layers, channels_in, classes, quantize)


def head(layers, channels, classes, quantize):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), quantize(), nn.Flatten(),
                         nn.Linear(channels, classes), quantize())


def mobilenet_v2(quantize):
    q = dict(act=nn.ReLU6, quantize=quantize)
    layers, channels = [quantize(), ConvNorm(3, 32, 3, 2, **q)], 32
    for expansion, out, count, first_stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
                                                (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(count):
            stride = first_stride if block == 0 else 1
            inside = channels * expansion
            body = [ConvNorm(channels, inside, 1, **q)] if expansion > 1 else []
            body += [ConvNorm(inside, inside, 3, stride, groups=inside, **q),
                     ConvNorm(inside, out, 1, act=None, quantize=quantize)]
            body = nn.Sequential(*body)
            same = stride == 1 and channels == out
            layers.append(Residual(body, nn.Identity(), False, quantize) if same else body)
            channels = out
    return head(layers + [ConvNorm(channels, 1280, 1, **q)], 1280, 1000, quantize)


def build(name, quantize=nn.Identity):
    """Returns the model, and its default batch, image size and classes."""
    if name == 'resnet20':
        stem = [ConvNorm(3, 16, 3, quantize=quantize)]
        return resnet(stem, 16, (3, 3, 3), False, 10, quantize), 128, 32, 10
    if name == 'mobilenet_v2':
        return mobilenet_v2(quantize), 16, 224, 1000
    stem = [ConvNorm(3, 64, 7, 2, quantize=quantize), nn.MaxPool2d(3, 2, 1)]
    blocks, bottleneck = ((2, 2, 2, 2), False) if name == 'resnet18' else ((3, 4, 6, 3), True)
    return resnet(stem, 64, blocks, bottleneck, 1000, quantize), 16, 224, 1000


# ---- quantization
class FakeQuantize(nn.Module):
    """Observes a moving range and rounds to 8 bits, in PyTorch's one fused operator."""

    def __init__(self, channels=0):
        super().__init__()
        self.channels = channels  # of a weight: a symmetric range per channel; 0: an activation
        size = max(channels, 1)
        for name, value in (('low', float('inf')), ('high', float('-inf')), ('scale', 1.0)):
            self.register_buffer(name, torch.full((size,), value))
        self.register_buffer('zero_point', torch.zeros(size, dtype=torch.int32))
        self.register_buffer('on', torch.ones(1, dtype=torch.int64))

    def forward(self, x):
        low, high = (-128, 127) if self.channels else (0, 255)
        return torch.fused_moving_avg_obs_fake_quant(
            x, self.on, self.on, self.low, self.high, self.scale, self.zero_point, 0.01, low, high, 0,
            self.channels > 0, self.channels > 0)


def quantize_weights(model):
    for module in list(model.modules()):
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            parametrize.register_parametrization(
                module, 'weight', FakeQuantize(module.weight.shape[0]), unsafe=True)


# ---- what is timed
def fold_batch_norms(model):
    for module in list(model.modules()):
        if isinstance(module, ConvNorm):
            module[0] = fusion.fuse_conv_bn_eval(module[0], module[1])
            module[1] = nn.Identity()
    return model


def training_step(model, x, labels):
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step():
        sgd.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), labels).backward()
        sgd.step()

    return step


def inference_steps(model, x):
    model = fold_batch_norms(model.eval())
    yield lambda: model(x)
    try:
        traced = torch.jit.trace(copy.deepcopy(model), x)
        optimized = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
        yield lambda: optimized(x)
    except Exception:  # TorchScript leaves PyTorch one day: eager remains
        return


def measure(step, count):
    for _ in range(3):
        step()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return times


def processor():
    try:
        with open('/proc/cpuinfo') as file:
            return next(line.split(':', 1)[1].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('model', choices=('resnet20', 'resnet18', 'resnet50', 'mobilenet_v2'))
    parser.add_argument('mode', choices=('train', 'qat', 'infer'))
    parser.add_argument('--batch', type=int)
    parser.add_argument('--threads', type=int, default=os.cpu_count())
    parser.add_argument('--steps', type=int, default=9)
    parser.add_argument('--channels-last', action='store_true')
    options = parser.parse_args()
    warnings.filterwarnings('ignore')
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    quantize = FakeQuantize if options.mode == 'qat' else nn.Identity
    model, batch, size, classes = build(options.model, quantize)
    if options.mode == 'qat':
        quantize_weights(model)
    x = torch.randn(options.batch or batch, 3, size, size)
    if options.channels_last:
        model, x = (each.to(memory_format=torch.channels_last) for each in (model, x))
    if options.mode == 'infer':
        with torch.inference_mode():
            times = min((measure(step, options.steps) for step in inference_steps(model, x)),
                        key=statistics.median)
    else:
        labels = torch.randint(0, classes, (x.shape[0],))
        times = measure(training_step(model.train(), x, labels), options.steps)
    print(json.dumps({
        'median_s': statistics.median(times), 'min_s': min(times), 'max_s': max(times),
        'peak_rss_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        'torch': torch.__version__, 'processor': processor()}))


if __name__ == '__main__':
    main()
