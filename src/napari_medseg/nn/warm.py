"""Wake a process up before its first run: load torch, choose the precision, compile the kernels."""

from __future__ import annotations

import torch

from napari_medseg.nn.device import choose, place
from napari_medseg.nn.filters import filter_maps
from napari_medseg.nn.light import LightUNet


def warm(device: str = "auto") -> str:
    """Run each kernel once on small images; returns one line about the device."""
    chosen = choose(device)
    net = place(LightUNet(3, 2), chosen.torch)
    image = torch.zeros(4, 3, 256, 256, device=chosen.torch).contiguous(memory_format=torch.channels_last)
    with chosen.precision():
        loss = net(image).float().mean()
    loss.backward()
    with torch.inference_mode():
        filter_maps(image[:1].cpu())
    return chosen.describe()
