"""Where to annotate next: the region that the model is least sure about and nobody has touched.

Strategy
--------
Each plane is reduced to blocks of an eighth of the region's side: their entropy, and whether they hold any
scribble. Regions are windows of 8 x 8 blocks at every block. A region's score is the mean entropy of what is
predicted in it, times a weight that falls to 0 as the share of scribbled blocks rises to a quarter. Regions
close to those visited wait until the others are used up, the one visited longest ago first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box

_BLOCKS = 8
"""Blocks along the side of a region."""

_ANNOTATED = 0.25
"""Share of scribbled blocks from which a region counts as annotated."""

_LEAST_PREDICTED = 0.5
"""Share of a region that must be predicted for its mean to count in full."""


@dataclass(frozen=True)
class Region:
    """A place to look at: its middle pixel, its box, and the mean entropy of what is predicted in it."""

    centre: tuple[int, ...]
    box: Box
    entropy: float


@dataclass(frozen=True)
class _Candidates:
    """Regions of one plane; the arrays have one entry per window of blocks."""

    plane: tuple[int, ...]
    scores: np.ndarray
    visited: np.ndarray
    """Index of the last visit nearby, -1 for none."""

    def best(self) -> tuple[int, float, tuple[int, ...], tuple[int, ...]] | None:
        """Last visit, negative score, plane and window of the best region: smaller is better."""
        usable = self.scores > 0
        if not usable.any():
            return None
        oldest = int(self.visited[usable].min())
        scores = np.where(usable & (self.visited == oldest), self.scores, -1)
        window = np.unravel_index(int(scores.argmax()), scores.shape)
        return oldest, -float(scores[window]), self.plane, tuple(int(i) for i in window)


def next_region(
    entropy: Any,
    scribbles: Any,
    visited: Sequence[Sequence[float]] = (),
    *,
    size: int = 128,
    radius: float | None = None,
    spacing: Sequence[float] | None = None,
) -> Region | None:
    """Find the most useful region to annotate.

    Parameters
    ----------
    entropy
        Shape (..., y, x), 0 to 1; nan where nothing is predicted yet. Numpy or anything that can be indexed.
    scribbles
        The same shape; 0 = not annotated.
    visited
        Centres of the regions shown so far, oldest first.
    size
        Side of a region in pixels.
    radius
        Centres closer than this to one visited are avoided, in pixels of x; None: ``size``.
    spacing
        Pixel size along each axis (only its proportions matter); None: all equal.

    Returns
    -------
    the region, or None where nothing predicted is both uncertain and free of scribbles
    """
    shape = tuple(entropy.shape)
    if shape != tuple(scribbles.shape) or len(shape) < 2:
        raise InputError(
            f"The entropy has shape {shape} and the scribbles {tuple(scribbles.shape)}; "
            "they must be equal, with y and x last."
        )
    step = max(1, round(size / _BLOCKS))
    scale = np.asarray(spacing or (1.0,) * len(shape)) / (spacing[-1] if spacing else 1.0)
    near = _Visits(np.asarray(visited, float).reshape(-1, len(shape)), scale, size if radius is None else radius)
    candidates = (_candidates(entropy, scribbles, plane, step, near) for plane in _planes(shape))
    found = [best for candidate in candidates if (best := candidate.best())]
    if not found:
        return None
    _, _, plane, window = min(found)
    return _region(entropy, plane, window, step)


def _planes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*map(range, shape[:-2]))


@dataclass(frozen=True)
class _Visits:
    centres: np.ndarray
    scale: np.ndarray
    radius: float

    def last_near(self, plane: tuple[int, ...], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Index of the last visit near each centre (rows x columns) of a plane, -1 for none."""
        last = np.full((len(rows), len(columns)), -1)
        for index, centre in enumerate(self.centres):
            apart = (np.asarray(plane) - centre[:-2]) * self.scale[:-2]
            down = (rows - centre[-2]) * self.scale[-2]
            across = (columns - centre[-1]) * self.scale[-1]
            last[(apart**2).sum() + down[:, None] ** 2 + across**2 < self.radius**2] = index
        return last


def _candidates(entropy: Any, scribbles: Any, plane: tuple[int, ...], step: int, near: _Visits) -> _Candidates:
    values = np.asarray(entropy[plane], np.float32)
    painted = np.asarray(scribbles[plane]) != 0
    areas = np.multiply.outer(*(np.diff(_edges(side, step)) for side in values.shape))
    sums = _blocks(values, step, np.add)
    predicted = ~np.isnan(sums)
    known = _windows(np.where(predicted, areas, 0))
    whole = _windows(areas)
    means = _windows(np.where(predicted, sums, 0)) / np.maximum(known, _LEAST_PREDICTED * whole)
    annotated = _windows(_blocks(painted, step, np.logical_or) * areas) / whole
    scores = means * np.clip(1 - annotated / _ANNOTATED, 0, 1)
    centres = [_centres(side, step) for side in values.shape]
    return _Candidates(plane, scores, near.last_near(plane, *centres))


def _edges(side: int, step: int) -> np.ndarray:
    return np.append(np.arange(0, side, step), side)


def _blocks(values: np.ndarray, step: int, combine: np.ufunc) -> np.ndarray:
    """Combine each block of ``step`` x ``step`` pixels, the last ones smaller; nan where a sum meets any nan."""
    return _rows(_rows(values, step, combine).T, step, combine).T


def _rows(values: np.ndarray, step: int, combine: np.ufunc) -> np.ndarray:
    whole = len(values) // step * step
    parts = combine.reduce(values[:whole].reshape(-1, step, values.shape[1]), axis=1)
    if whole == len(values):
        return parts
    return np.concatenate([parts, combine.reduce(values[whole:], axis=0)[np.newaxis]])


def _windows(blocks: np.ndarray) -> np.ndarray:
    """Sum over all windows of 8 x 8 blocks, fewer where the plane has fewer."""
    for axis in (0, 1):
        width = min(_BLOCKS, blocks.shape[axis])
        blocks = np.lib.stride_tricks.sliding_window_view(blocks, width, axis=axis).sum(-1)
    return blocks


def _span(window: int, side: int, step: int) -> slice:
    """Pixels of a window; one at the far edge is moved inwards to keep its size."""
    stop = min((window + _BLOCKS) * step, side)
    return slice(max(0, stop - _BLOCKS * step), stop)


def _centres(side: int, step: int) -> np.ndarray:
    count = max(1, len(_edges(side, step)) - _BLOCKS)
    spans = (_span(window, side, step) for window in range(count))
    return np.array([(span.start + span.stop) // 2 for span in spans])


def _region(entropy: Any, plane: tuple[int, ...], window: tuple[int, ...], step: int) -> Region:
    spans = tuple(_span(place, side, step) for place, side in zip(window, entropy.shape[-2:], strict=True))
    mean = float(np.nanmean(np.asarray(entropy[(*plane, *spans)], np.float64)))
    centre = (*plane, *((span.start + span.stop) // 2 for span in spans))
    return Region(centre, (*(slice(i, i + 1) for i in plane), *spans), mean)
