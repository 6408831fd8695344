"""What a Teach run was given, checked and taken apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.core.scribbles import Points, check_enough, check_fit, collect, hold_out
from napari_medseg.core.tiling import read_padded
from napari_medseg.tools.scribbles.params import Params

HELD_OUT = 0.15
"""Share of each class's strokes kept for the validation curve."""


@dataclass(frozen=True)
class Lesson:
    """Strokes to learn from, strokes to be examined on."""

    image: Image
    params: Params
    points: Points
    held_out: Points
    dense: Points | None
    labels: tuple[int, ...]
    key: str
    """Fingerprint of the image: what is cached under it belongs to these pixels."""

    @property
    def everything(self) -> Points:
        """All annotated pixels, those held out and the dense ones included."""
        parts = [self.points, self.held_out] + ([self.dense] if self.dense else [])
        return Points(np.concatenate([p.index for p in parts]), np.concatenate([p.label for p in parts]))


def prepare(job: Job, params: Params) -> Lesson:
    """Check the job's images and split the strokes; raises ``InputError`` in the user's words."""
    image, scribbles = job.images["image"], job.images["scribbles"]
    check_fit(image, scribbles)
    points = collect(scribbles)
    check_enough(points, params.classes)
    labels = tuple(sorted(points.counts()))
    dense = None
    if "dense" in job.images:
        check_fit(image, job.images["dense"])
        inside = _inside(points, job.images["dense"])
        dense, points = (points.take(inside), points.take(~inside)) if inside.any() else (None, points)
        if not len(points):
            points, dense = dense or points, None
    held = hold_out(points, HELD_OUT, np.random.default_rng(params.seed))
    return Lesson(image, params, points.take(~held), points.take(held), dense, labels, fingerprint(image))


def _inside(points: Points, region: Image) -> np.ndarray:
    """(n,) bool: which points lie where ``region`` is above 0."""
    marked = collect(region)
    shape = region.shape()
    return np.isin(
        np.ravel_multi_index(tuple(points.index.T), shape), np.ravel_multi_index(tuple(marked.index.T), shape)
    )


def fingerprint(image: Image) -> str:
    """Tell images apart by shape, type and a few small patches, whatever their size."""
    digest = hashlib.sha256(f"{image.name}|{image.shape()}|{image.channels}|{image.dtype}".encode())
    shape = np.array(image.shape())
    for where in (0.1, 0.3, 0.5, 0.7, 0.9):
        corner = (shape * where).astype(int)
        corner[-2:] = np.maximum(0, np.minimum(corner[-2:], shape[-2:] - 32))
        size = np.where(np.arange(len(shape)) < len(shape) - 2, 1, 32)
        box = tuple(slice(int(c), int(c + s)) for c, s in zip(corner, size, strict=True))
        digest.update(np.ascontiguousarray(read_padded(image, box, 0)).tobytes())
    return digest.hexdigest()
