"""Areas inside outlines, as labels that are computed where they are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

ELLIPSE_CORNERS = 90

_SWOLLEN = 1 + 1e-6
"""Pixels whose centre lies on the outline belong to the area, in spite of rounding."""


@dataclass(frozen=True)
class Outline:
    """A closed line in one plane.

    Parameters
    ----------
    plane
        Indices of the axes before y and x.
    corners
        (n, 2) y and x in pixels, 0 at the centre of the first; the last corner is joined to the first.
    """

    plane: tuple[int, ...]
    corners: np.ndarray


def ellipse(corners: np.ndarray) -> np.ndarray:
    """Corners of the ellipse that fills the box (or parallelogram) with these four corners, (n, axes)."""
    angle = np.linspace(0, 2 * np.pi, ELLIPSE_CORNERS, endpoint=False)[:, None]
    across, down = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    return corners.mean(axis=0) + np.cos(angle) * across + np.sin(angle) * down


class Filled:
    """1 inside any of the outlines, 0 elsewhere; holds no pixels, so that a large image costs nothing.

    Where an outline crosses itself, what it goes round twice is outside.
    """

    def __init__(self, shape: tuple[int, ...], outlines: Sequence[Outline]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)
        self.outlines = tuple(outlines)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read with whole numbers, slices and an ellipsis."""
        keys = _one_for_each_axis(index, self.ndim)
        places = [np.arange(size)[key] for size, key in zip(self.shape, keys, strict=True)]
        region = np.zeros([place.size for place in places], bool)
        *lead, rows, columns = map(np.atleast_1d, places)
        for outline in self.outlines:
            at = [np.flatnonzero(place == here) for place, here in zip(lead, outline.plane, strict=True)]
            if all(map(len, at)):
                _fill(region[tuple(int(here[0]) for here in at)], _swollen(outline.corners), rows, columns)
        return region.view(np.uint8).reshape([place.size for place in places if place.ndim])


def _one_for_each_axis(index: Any, ndim: int) -> tuple[Any, ...]:
    keys = index if isinstance(index, tuple) else (index,)
    missing = (slice(None),) * (ndim - sum(key is not Ellipsis for key in keys))
    if Ellipsis not in keys:
        return keys + missing
    cut = keys.index(Ellipsis)
    return keys[:cut] + missing + keys[cut + 1 :]


def _swollen(corners: np.ndarray) -> np.ndarray:
    middle = corners.mean(axis=0)
    return middle + (corners - middle) * _SWOLLEN


def _fill(plane: np.ndarray, corners: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Mark in ``plane``, which shows these rows and columns, what is inside; only the box around it is touched."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    down, across = (
        slice(*np.searchsorted(places, (first, last)))
        for places, first, last in zip((rows, columns), low, high, strict=True)
    )
    plane[down, across] |= _inside(corners, rows[down], columns[across])


def _inside(corners: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(rows, columns) bool: a pixel is inside where the outline is crossed an odd number of times to its left."""
    crossed = np.zeros((len(rows), len(columns) + 1), bool)
    for (y0, x0), (y1, x1) in pairwise([*corners, corners[0]]):
        if y0 == y1:
            continue
        first, last = np.searchsorted(rows, sorted((y0, y1)))
        at = x0 + (rows[first:last] - y0) * ((x1 - x0) / (y1 - y0))
        crossed[np.arange(first, last), np.searchsorted(columns, at)] ^= True
    return np.logical_xor.accumulate(crossed, axis=1)[:, :-1]
