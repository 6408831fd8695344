"""The published U-Net (Bokhorst et al., MIDL 2019, after Ronneberger et al. 2015)."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from napari_medseg.nn.blocks import conv3, upsample


class Block(nn.Module):
    """Two convolutions; the block's input is concatenated with its last feature map."""

    def __init__(self, inputs: int, filters: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv3(inputs, filters, norm=False), conv3(filters, filters, norm=False))
        self.outputs = inputs + filters

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], dim=1)


class UNet(nn.Module):
    """U-Net of ``levels`` levels; ``filters`` double after each pooling.

    Input (batch, channels, height, width) with sides divisible by ``multiple``;
    output (batch, classes, height, width) logits.
    """

    def __init__(self, channels: int, classes: int, filters: int = 32, levels: int = 5) -> None:
        super().__init__()
        self.multiple = 2 ** (levels - 1)
        self.down = nn.ModuleList()
        inputs = channels
        for level in range(levels):
            block = Block(inputs, filters * 2**level)
            self.down.append(block)
            inputs = block.outputs
        self.squeeze, self.up = nn.ModuleList(), nn.ModuleList()
        for level in reversed(range(levels - 1)):
            width = filters * 2**level
            self.squeeze.append(conv3(inputs, width, norm=False))
            block = Block(width + self.down[level].outputs, width)
            self.up.append(block)
            inputs = block.outputs
        self.head = nn.Conv2d(inputs, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.down[-1](x)
        for squeeze, block, skip in zip(self.squeeze, self.up, reversed(skips), strict=True):
            x = block(torch.cat([skip, squeeze(upsample(x))], dim=1))
        return self.head(x)
