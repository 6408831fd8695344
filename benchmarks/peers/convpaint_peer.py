"""Runs napari-convpaint on request; started by convpaint.py with the Python of .venv-peers.

Reads lines "VARIANT<tab>IN.npz<tab>OUT.npz"; IN holds image, strokes, other; OUT gets same, other, seconds_train,
seconds_predict; answers "done" on its first standard output. Variants are convpaint's own aliases: "default" (VGG16,
first layer, scalings 1, 2, 4, CatBoost), "gaussian" and "ilastik".

The weights of VGG16 cannot be had offline. Its first layer gets stand-in weights of the shape and kind that trained
networks show: 27 filters (3 x 3 cosines, oriented and blob-like, x brightness and two opponent colours) and 37 seeded
mixtures of them. The defaults use no other layer.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from types import ModuleType

import numpy as np
import torch
from torch import nn

VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


class Vgg16(nn.Module):
    """The convolutions of VGG16 (configuration D), named as in torchvision."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in VGG16:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2, 2))
                continue
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        self.features = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features of an image batch (B, 3, H, W)."""
        return self.features(x)


def stand_in(kind: str = "structured") -> Vgg16:
    """VGG16 whose first layer has stand-in weights; "random" leaves them as initialised."""
    torch.manual_seed(0)
    network = Vgg16()
    first = network.features[0]
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(first.bias)
    if kind == "structured":
        basis = _basis()
        mixtures = torch.randn(64 - len(basis), len(basis)) @ basis.flatten(1) / len(basis) ** 0.5
        first.weight.data = torch.cat([basis, mixtures.view(-1, 3, 3, 3)])
    return network.eval()


def _basis() -> torch.Tensor:
    """27 orthonormal filters (27, 3, 3, 3): cosines of the plane x opponent colours."""
    places = torch.arange(3) + 0.5
    waves = torch.stack([torch.cos(torch.pi * k * places / 3) for k in range(3)])
    colours = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
    filters = torch.einsum("cd,ky,lx->ckldyx", colours, waves, waves).reshape(27, 3, 3, 3)
    return filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def run(variant: str, image: np.ndarray, strokes: np.ndarray, other: np.ndarray) -> dict[str, np.ndarray]:
    """Train on the strokes and label both images; the model is made before the clock starts."""
    from napari_convpaint import ConvpaintModel

    model = ConvpaintModel() if variant.startswith("default") else ConvpaintModel(alias=variant)
    model.set_params(channel_mode="rgb" if image.ndim == 3 else "single", ignore_warnings=True)
    start = time.perf_counter()
    model.train(_channels_first(image), strokes)
    trained = time.perf_counter()
    same = model.segment(_channels_first(image))
    predicted = time.perf_counter()
    return {
        "same": np.asarray(same, np.uint8),
        "other": np.asarray(model.segment(_channels_first(other)), np.uint8),
        "seconds_train": np.float64(trained - start),
        "seconds_predict": np.float64(predicted - trained),
    }


def _channels_first(image: np.ndarray) -> np.ndarray:
    return np.moveaxis(image, -1, 0) if image.ndim == 3 else image


def _prepare() -> None:
    """Give convpaint the stand-in network and the filters that it cannot find offline.

    timm, which only its DINOv3 features use, needs torchvision on import: an empty module takes its place.
    """
    import fastfilters_scipy

    sys.modules["fastfilters"] = fastfilters_scipy
    sys.modules["timm"] = ModuleType("timm")
    from napari_convpaint.feature_extractors.nnlayers import Hookmodel

    kind = os.environ.get("CONVPAINT_STAND_IN", "structured")
    Hookmodel.create_model = staticmethod(lambda model_name: stand_in(kind))


def main() -> None:
    """Serve requests until standard input ends; convpaint's own chatter goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.filterwarnings("ignore")
    _prepare()
    for line in sys.stdin:
        variant, source, target = line.rstrip("\n").split("\t")
        with np.load(source) as arrays:
            found = run(variant, arrays["image"], arrays["strokes"], arrays["other"])
        np.savez(target, **found)
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main()
