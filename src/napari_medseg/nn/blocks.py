"""Pieces that more than one network is made of."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def conv3(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    """3 x 3 convolution, optional batch normalisation, ReLU; same size out, He initialisation."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    layers: list[nn.Module] = [conv]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def upsample(x: torch.Tensor) -> torch.Tensor:
    """Double the size by repeating pixels: upsampling + convolution instead of transposed convolution."""
    return F.interpolate(x, scale_factor=2, mode="nearest")
