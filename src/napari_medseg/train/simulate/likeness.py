"""How like two sets of pictures are: the two-sample plots of Dai et al., MIDL 2019.

Brightness: the density of grey levels. Structure: the eigenvalues of the covariance of small patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from napari_medseg.core.errors import InputError

PATCH_PX = 11
LEVELS = 64


class Statistics(NamedTuple):
    """Two curves that describe a set of pictures.

    Parameters
    ----------
    density
        (64) share of the pixels in 64 equal bins of the grey levels 0 to 255.
    spectrum
        (121) eigenvalues of the covariance of patches 11 x 11, falling; their sum is a pixel's variance times 121.
    """

    density: np.ndarray
    spectrum: np.ndarray


class Difference(NamedTuple):
    """Between two sets: 0 is alike.

    Parameters
    ----------
    density
        Earth mover's distance of the grey levels, in grey levels.
    spectrum
        Mean absolute difference of the eigenvalues' natural logarithms.
    """

    density: float
    spectrum: float


def statistics(images: Sequence[np.ndarray], seed: int = 0, patches: int = 4000) -> Statistics:
    """Measure pictures (H, W) of grey levels 0 to 255; patches are drawn from all of them alike."""
    if not images or min(min(image.shape) for image in images) < PATCH_PX:
        raise InputError(f"Give at least one picture, and none smaller than {PATCH_PX} x {PATCH_PX}.")
    rng = np.random.default_rng(seed)
    counts = sum(np.histogram(image, LEVELS, (0, 256))[0] / image.size for image in images)
    drawn = [_patches(image, -(-patches // len(images)), rng) for image in images]
    values = np.linalg.eigvalsh(np.cov(np.concatenate(drawn), rowvar=False))[::-1]
    return Statistics(np.asarray(counts) / len(images), np.maximum(values, 0))


def difference(first: Statistics, second: Statistics) -> Difference:
    """How far two sets of pictures are apart."""
    gap = np.abs(np.cumsum(first.density) - np.cumsum(second.density)).sum() * (256 / LEVELS)
    least = 1e-6 * max(first.spectrum[0], second.spectrum[0], 1e-12)
    logs = [np.log(np.maximum(part.spectrum, least)) for part in (first, second)]
    return Difference(float(gap), float(np.abs(logs[0] - logs[1]).mean()))


def _patches(image: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 121) patches from random places."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(image, np.float64), (PATCH_PX, PATCH_PX))
    rows, columns = (rng.integers(0, size, count) for size in windows.shape[:2])
    return windows[rows, columns].reshape(count, -1)
