"""Bring stored values to the range that networks and filters expect (order 1, around 0)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.core.pyramid import overview


class Normalisation(BaseModel):
    """How an image is scaled before a network sees it.

    ``rgb8`` maps 0..255 to -2..2, the same for every image, so that colour keeps its meaning.
    ``percentile`` maps the 1st and 99th percentile of each channel of each image to -1 and 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    method: Literal["rgb8", "percentile"]

    @classmethod
    def suited(cls, image: Image) -> Normalisation:
        """The method for an image: colour pictures keep their colours, all else is stretched."""
        rgba = image.channels == 4 and image.axes.endswith("c")
        colour = (image.channels == 3 or rgba) and image.dtype == np.uint8
        return cls(method="rgb8" if colour else "percentile")

    def measure(self, image: Image) -> Scaling:
        """Find the scaling of one image, from a coarse view of it; refuses images without contrast."""
        if self.method == "rgb8":
            return Scaling(image.name, np.full(3, 127.5), np.full(3, 63.75))
        values = overview(image, 256)[0].reshape(-1, image.channels).astype(np.float64)
        _refuse_nan(values, image.name)
        low, high = np.percentile(values, [1, 99], axis=0)
        flat = high <= low
        low, high = np.where(flat, values.min(axis=0), low), np.where(flat, values.max(axis=0), high)
        if (high <= low).all():
            raise InputError(
                f"The image {image.name!r} is the same everywhere (every pixel is {_pixel(low)}), so there is nothing "
                "to tell apart. Choose another image, or look whether this one was read as it should be."
            )
        half = np.where(high > low, (high - low) / 2, 1.0)
        return Scaling(image.name, (low + high) / 2, half)


def _pixel(values: np.ndarray) -> str:
    """The value of a pixel, or those of its channels where they differ."""
    return ", ".join(f"{value:g}" for value in (values[:1] if (values == values[0]).all() else values))


def _refuse_nan(values: np.ndarray, name: str) -> None:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(
            f"The image {name!r} holds NaN or infinite values. Replace them (for example by 0) and try again."
        )


class Scaling:
    """value -> (value - centre) / half, per channel; an alpha channel is dropped."""

    def __init__(self, name: str, centre: np.ndarray, half: np.ndarray) -> None:
        self.name = name
        self.centre = torch.tensor(centre, dtype=torch.float32)
        self.half = torch.tensor(half, dtype=torch.float32)

    def __call__(self, array: np.ndarray) -> torch.Tensor:
        """(h, w, channels) of any type -> (channels, h, w) float32, at most 8 away from 0."""
        _refuse_nan(array, self.name)
        values = torch.from_numpy(np.ascontiguousarray(array[..., : len(self.centre)], dtype=np.float32))
        scaled = ((values - self.centre) / self.half).clamp_(-8, 8)
        return scaled.permute(2, 0, 1)
