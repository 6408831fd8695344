"""The light U-Net: learns from scribbles in seconds on two cores."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from napari_medseg.nn.blocks import conv3, upsample


class Pair(nn.Sequential):
    """Two normalised convolutions."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__(conv3(inputs, filters, norm=True), conv3(filters, filters, norm=True))


class LightUNet(nn.Module):
    """U-Net whose trunk works at half resolution, with a thin path at full resolution.

    Strategy: pixel-unshuffle folds 2 x 2 pixels into channels, so that the trunk costs a quarter; the last step
    folds back and meets a few filters at full resolution, which small objects need. Only the trunk is normalised: at
    full resolution the normalisation would cost more than the convolution.

    Input (batch, channels, height, width) with sides divisible by ``multiple``;
    output (batch, classes, height, width) logits.
    """

    FEATURES = 16

    def __init__(self, channels: int, classes: int, filters: int = 16, levels: int = 4, detail: int = 8) -> None:
        super().__init__()
        self.multiple = 2**levels
        widths = [filters * 2**level for level in range(levels)]
        self.down = nn.ModuleList()
        inputs = channels * 4
        for width in widths:
            self.down.append(Pair(inputs, width))
            inputs = width
        self.up = nn.ModuleList()
        for width in reversed(widths[:-1]):
            self.up.append(Pair(inputs + width, width))
            inputs = width
        self.fold = conv3(inputs, 4 * detail, norm=True)
        self.detail = conv3(channels, detail, norm=False)
        self.mix = conv3(2 * detail, self.FEATURES, norm=False)
        self.head = nn.Conv2d(self.FEATURES, classes, 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Full-resolution features, (batch, 16, height, width)."""
        skips = []
        y = F.pixel_unshuffle(x, 2)
        for i, block in enumerate(self.down):
            y = block(F.max_pool2d(y, 2) if i else y)
            skips.append(y)
        skips.pop()
        for block in self.up:
            y = block(torch.cat([skips.pop(), upsample(y)], dim=1))
        y = F.pixel_shuffle(self.fold(y), 2)
        return self.mix(torch.cat([y, self.detail(x)], dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))
