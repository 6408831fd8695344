"""Brings images of any brightness to the values that the tracer was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KNEE = 4.0
"""Up to about so many noise levels values stay proportional; far above they grow with the logarithm."""
_LEAST_SHARE = 0.002
"""The noise counts as at least this share of the span from the median to the brightest values."""


@dataclass(frozen=True)
class Brightness:
    """The level of the background and of its noise, in the image's own unit."""

    background: float
    noise: float

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Values as the tracer sees them, float32: 0 is background, and not-a-number is background too."""
        levels = (np.asarray(values, np.float32) - np.float32(self.background)) / np.float32(self.noise * KNEE)
        return np.arcsinh(np.nan_to_num(levels, nan=0.0))


def measure(values: np.ndarray) -> Brightness:
    """Measure an image, or any fair sample of its pixels: median, and median deviation scaled to a Gaussian's.

    A constant image has no noise and gets noise 1, so that all of it is background.
    """
    finite = np.asarray(values, np.float32)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return Brightness(0.0, 1.0)
    middle = float(np.median(finite))
    noise = 1.4826 * float(np.median(np.abs(finite - middle)))
    brightest = float(np.percentile(finite, 99.9)) - middle
    return Brightness(middle, max(noise, _LEAST_SHARE * brightest) or float(finite.std()) or 1.0)
