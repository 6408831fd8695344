"""Networks by name, as model cards spell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from napari_medseg.core.errors import ModelError
from napari_medseg.nn.device import Device, place
from napari_medseg.nn.light import LightUNet
from napari_medseg.nn.unet import UNet

NETWORKS: dict[str, Callable[..., nn.Module]] = {"light": LightUNet, "published": UNet}


def build(architecture: str, arguments: dict[str, Any], *, seed: int, device: Device) -> nn.Module:
    """Make an untrained network from what a card says, on the device."""
    if architecture not in NETWORKS:
        raise ModelError(f"The network {architecture!r} is not known here; known are: {', '.join(NETWORKS)}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            net = NETWORKS[architecture](**arguments)
        except TypeError as error:
            raise ModelError(f"The network {architecture!r} does not take these arguments: {error}.") from error
    return place(net, device.torch)


def copy_matching(source: Mapping[str, torch.Tensor], net: nn.Module) -> None:
    """Take over every tensor of the same name and shape; the rest stays as initialised."""
    own = net.state_dict()
    matching = {name: t for name, t in source.items() if name in own and own[name].shape == t.shape}
    net.load_state_dict(matching, strict=False)
