"""Multiscale filters of an image, the features of the instant answer.

Per channel and scale: smoothed value, gradient magnitude and the two Hessian eigenvalues, each multiplied by
the power of sigma that makes it independent of the scale (Lindeberg 1998). Scales above two pixels are computed on a
shrunken image, where the same filter is short.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

SIGMAS = (0.7, 1.4, 2.8, 5.6, 11.2)
PER_CHANNEL = 4 * len(SIGMAS)


def filter_bank(image: torch.Tensor) -> torch.Tensor:
    """Features of every pixel.

    Parameters
    ----------
    image
        (batch, channels, height, width) float32, values of order 1.

    Returns
    -------
    (batch, channels * PER_CHANNEL, height, width) float32
    """
    batch, channels, height, width = image.shape
    planes = image.reshape(batch * channels, 1, height, width)
    found = [_at_scale(planes, sigma) for sigma in SIGMAS]
    return torch.cat(found, dim=1).reshape(batch, channels * PER_CHANNEL, height, width)


def _at_scale(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    """(n, 1, h, w) -> (n, 4, h, w)."""
    shrink = 1
    while sigma / shrink > 2.0 and min(planes.shape[-2:]) >= 4 * shrink:
        shrink *= 2
    small = F.avg_pool2d(_pad_to(planes, shrink), shrink) if shrink > 1 else planes
    found = _derivatives(small, sigma / shrink)
    if shrink == 1:
        return found
    size = (small.shape[-2] * shrink, small.shape[-1] * shrink)
    grown = F.interpolate(found, size=size, mode="bilinear", align_corners=False)
    return grown[..., : planes.shape[-2], : planes.shape[-1]]


def _derivatives(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    smooth = _gaussian(planes, sigma)
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    centre = padded[..., 1:-1, 1:-1]
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    dyy = padded[..., 2:, 1:-1] - 2 * centre + padded[..., :-2, 1:-1]
    dxx = padded[..., 1:-1, 2:] - 2 * centre + padded[..., 1:-1, :-2]
    dxy = (padded[..., 2:, 2:] - padded[..., 2:, :-2] - padded[..., :-2, 2:] + padded[..., :-2, :-2]) / 4
    gradient = torch.sqrt(dy * dy + dx * dx + 1e-12)
    middle, spread = (dyy + dxx) / 2, torch.sqrt(((dyy - dxx) / 2) ** 2 + dxy * dxy + 1e-12)
    first, second = sigma**2 * (middle + spread), sigma**2 * (middle - spread)
    return torch.cat([smooth, sigma * gradient, first, second], dim=1)


def _gaussian(planes: torch.Tensor, sigma: float) -> torch.Tensor:
    radius = max(1, round(3 * sigma))
    reach = torch.arange(-radius, radius + 1, dtype=planes.dtype, device=planes.device)
    kernel = torch.exp(-(reach**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(planes, (radius,) * 4, mode="replicate")
    rows = F.conv2d(padded, kernel.view(1, 1, -1, 1))
    return F.conv2d(rows, kernel.view(1, 1, 1, -1))


def _pad_to(planes: torch.Tensor, multiple: int) -> torch.Tensor:
    down, right = (-planes.shape[-2] % multiple, -planes.shape[-1] % multiple)
    return F.pad(planes, (0, right, 0, down), mode="replicate")
