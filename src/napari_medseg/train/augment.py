"""Augmentation on the device: parameters are sampled first, then applied by plain arithmetic.

The published set (Bokhorst et al. 2019): flips, rotation, elastic, blur, gamma, colour, contrast; and zoom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional as F


@dataclass(frozen=True)
class Strengths:
    """How far each transform may go; 0 switches it off.

    Parameters
    ----------
    rotate
        Largest turn, in degrees.
    zoom
        Largest natural logarithm of the magnification.
    elastic
        Standard deviation of the displacement, in pixels.
    blur
        Largest sigma, in pixels.
    gamma
        Largest natural logarithm of the exponent.
    colour
        Standard deviation of the gain and shift of each channel.
    contrast
        Largest natural logarithm of the common gain.
    """

    rotate: float = 180.0
    zoom: float = 0.2
    elastic: float = 2.0
    blur: float = 1.0
    gamma: float = 0.3
    colour: float = 0.15
    contrast: float = 0.25


def reach(crop: int, strengths: Strengths) -> int:
    """Side of the region to read so that a turned and shrunk crop of ``crop`` pixels is inside it."""
    turn = math.sqrt(2) if strengths.rotate else 1.0
    return math.ceil(crop * min(turn * math.exp(strengths.zoom), 1.6) / 2) * 2


def sample_grid(count: int, source: int, crop: int, strengths: Strengths, rng: torch.Generator) -> torch.Tensor:
    """Sample where each crop pixel is taken from.

    Returns
    -------
    (count, crop, crop, 2) x and y in -1..1 of a source of ``source`` pixels, as ``grid_sample`` takes them
    """
    angle = (torch.rand(count, generator=rng) * 2 - 1) * math.radians(strengths.rotate)
    zoom = torch.exp((torch.rand(count, generator=rng) * 2 - 1) * strengths.zoom)
    flip = torch.randint(0, 2, (count, 2), generator=rng) * 2.0 - 1
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], 1) * flip[:, None]
    steps = (torch.arange(crop) - (crop - 1) / 2) * 2 / source
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.einsum("nij,hwj->nhwi", turn, torch.stack([x, y], -1))
    if strengths.elastic:
        coarse = torch.randn(count, 2, 5, 5, generator=rng) * strengths.elastic * 2 / source
        bend = F.interpolate(coarse, size=(crop, crop), mode="bicubic", align_corners=True)
        grid = grid + bend.permute(0, 2, 3, 1)
    return grid


def warp(images: torch.Tensor, labels: torch.Tensor, grid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Take crops: (n, c, s, s) bilinear, (n, s, s) nearest with 0 (not annotated) outside."""
    crops = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    drawn = F.grid_sample(labels[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return crops, drawn[:, 0].round().long()


def recolour(images: torch.Tensor, strengths: Strengths, rng: torch.Generator) -> torch.Tensor:
    """Gamma, contrast, colour and blur; images hold values of about -2..2."""
    count, channels = images.shape[:2]

    def spread(*shape: int) -> torch.Tensor:
        return (torch.rand(*shape, generator=rng) * 2 - 1).to(images.device)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=rng).to(images.device)

    out = images
    if strengths.gamma:
        power = torch.exp(spread(count, 1, 1, 1) * strengths.gamma)
        out = ((out.clamp(-2, 2) + 2) / 4).clamp_min(1e-4) ** power * 4 - 2 + (out - out.clamp(-2, 2))
    if strengths.contrast:
        mean = out.mean(dim=(2, 3), keepdim=True)
        out = (out - mean) * torch.exp(spread(count, 1, 1, 1) * strengths.contrast) + mean
    if strengths.colour:
        gain = torch.exp(normal(count, channels, 1, 1) * strengths.colour)
        out = out * gain + normal(count, channels, 1, 1) * strengths.colour * 2
    if strengths.blur:
        sigmas = torch.rand(count, generator=rng) * strengths.blur
        blurred = torch.rand(count, generator=rng) < 0.3
        out = torch.where(blurred.to(out.device)[:, None, None, None], _blur(out, sigmas.to(out.device)), out)
    return out


def _blur(images: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Gaussian blur with one sigma an image, by grouped separable convolution."""
    count, channels, height, width = images.shape
    offsets = torch.arange(-3, 4, device=images.device, dtype=images.dtype)
    kernels = torch.exp(-(offsets**2) / (2 * sigmas[:, None].clamp_min(0.1) ** 2))
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    planes = F.pad(images.reshape(1, count * channels, height, width), (3, 3, 3, 3), mode="reflect")
    rows = F.conv2d(planes, kernels[:, None, :, None], groups=count * channels)
    both = F.conv2d(rows, kernels[:, None, None, :], groups=count * channels)
    return both.reshape(count, channels, height, width)
