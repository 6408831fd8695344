"""What a Teach run was given, checked and taken apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.core.scribbles import Points, check_enough, check_fit, collect, hold_out, why_unchecked
from napari_medseg.core.tiling import read_padded
from napari_medseg.tools.scribbles.params import Params

HELD_OUT = 0.15
"""Share of each class's strokes kept for the validation curve."""


@dataclass(frozen=True)
class Lesson:
    """Strokes to learn from, strokes to be examined on.

    Attributes
    ----------
    comparable
        Whether the exam is on whole strokes, so that it may choose among checkpoints.
    unchecked
        Why the exam is no figure to show; empty where it is.
    key
        Fingerprint of the image: what is cached under it belongs to these pixels.
    branch
        As in `Job`.
    """

    image: Image
    params: Params
    points: Points
    held_out: Points
    dense: Points | None
    labels: tuple[int, ...]
    comparable: bool
    unchecked: str
    key: str
    branch: int = 0

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
    return Lesson(
        image,
        params,
        points.take(~held.mask),
        points.take(held.mask),
        dense,
        labels,
        comparable=held.whole(labels),
        unchecked=why_unchecked(points, held, labels, params.classes),
        key=fingerprint(image),
        branch=job.branch,
    )


def _inside(points: Points, region: Image) -> np.ndarray:
    """(n,) bool: which points lie where ``region`` is not 0; only the part around the points is read."""
    inside = np.zeros(len(points), bool)
    planes, which = np.unique(points.index[:, :-2], axis=0, return_inverse=True)
    for number, plane in enumerate(planes):
        members = np.flatnonzero(which.reshape(-1) == number)
        yx = points.index[members, -2:]
        low, high = yx.min(axis=0), yx.max(axis=0) + 1
        lead = tuple(slice(int(i), int(i) + 1) for i in plane)
        patch = region.read((*lead, *(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))))
        inside[members] = patch.reshape(high - low)[tuple((yx - low).T)] != 0
    return inside


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
