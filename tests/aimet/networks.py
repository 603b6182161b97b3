"""Torchvision's networks with weights by chance that behave like trained ones, and images."""

import torch
import torchvision

CLASSES, SIZE = 16, 96
# Slopes of batch norms. Larger ones make rounding noise grow from layer to layer, until AIMET is 20
# steps from itself when another kernel sums in another order.
NETWORKS = {"resnet18": (0.1, 0.3), "mobilenet_v2": (0.05, 0.15)}


def images(seed, count):
    """Smooth images, about normalized: [count, 3, SIZE, SIZE]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, SIZE // 8, SIZE // 8, generator=generator)
    fine = torch.randn(count, 3, SIZE, SIZE, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=SIZE, mode="bilinear") + 0.2 * fine


def network(name):
    """Returns the network in evaluation mode; its batch norms have the statistics of images."""
    torch.manual_seed(1)
    model = getattr(torchvision.models, name)(num_classes=CLASSES)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, *NETWORKS[name])
            torch.nn.init.normal_(module.bias)
            module.momentum = None  # running statistics are means over all batches
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0.0, 0.1)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    model.train()
    with torch.no_grad():
        for seed in range(100, 104):
            model(images(seed, 16))
    return model.eval()
