"""Where to annotate next: the region that the model is least sure about and nobody has touched.

Strategy
--------
Each plane is reduced to blocks of an eighth of the region's side: their entropy, and whether they hold any
scribble. Regions are windows of 8 x 8 blocks at every block. A region's score is the mean entropy of what is
predicted in it, times a weight that falls to 0 as the share of scribbled blocks rises to a quarter. Regions
close to those visited wait until the others are used up, the one visited longest ago first.

The viewer waits for the answer to a key press. So all planes are reduced at once, and of a large image only every
second, fourth, ... row is read.
"""

from __future__ import annotations

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

_AVERAGED_BYTES = 2**25
"""Of a larger entropy map some rows are left out; an average needs no more."""

_SEARCHED_BYTES = 2**26
"""Of larger scribbles some rows are left out; a brush is wider than those."""


@dataclass(frozen=True)
class Region:
    """A place to look at: its middle pixel, its box, and the mean entropy of what is predicted in it."""

    centre: tuple[int, ...]
    box: Box
    entropy: float


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
    scores = _scores(entropy, scribbles, step)
    usable = scores > 0
    if not usable.any():
        return None
    scale = np.asarray(spacing or (1.0,) * len(shape)) / (spacing[-1] if spacing else 1.0)
    visits = np.asarray(visited, float).reshape(-1, len(shape))
    last = _last_visits(_centres(shape, step), visits, scale, size if radius is None else radius)
    scores[last != last[usable].min()] = 0
    *plane, row, column = (int(i) for i in np.unravel_index(int(scores.argmax()), scores.shape))
    return _region(entropy, tuple(plane), (row, column), step)


def _scores(entropy: Any, scribbles: Any, step: int) -> np.ndarray:
    """Score of each window of each plane, (..., rows, columns)."""
    areas = np.multiply.outer(*(np.diff(_edges(side, step)) for side in entropy.shape[-2:])).astype(np.float32)
    whole = _windows(areas)
    values = _mean_of_blocks(entropy, step)
    predicted = ~np.isnan(values)
    known = whole if predicted.all() else np.maximum(_windows(predicted * areas), _LEAST_PREDICTED * whole)
    means = _windows(np.where(predicted, values, 0) * areas) / known
    painted = _any_of_blocks(scribbles, step)
    if not painted.any():
        return means
    return means * np.clip(1 - _windows(painted * areas) / whole / _ANNOTATED, 0, 1)


def _mean_of_blocks(entropy: Any, step: int) -> np.ndarray:
    """Mean of each block of ``step`` x ``step`` pixels, the last ones smaller; nan where it meets any nan."""
    rows, every = _some_rows(entropy, step, _AVERAGED_BYTES)
    sums = _reduced(rows.astype(np.float32, copy=False), step // every, step, np.add)
    counts = [np.diff(_edges(side, part)) for side, part in zip(rows.shape[-2:], (step // every, step), strict=True)]
    return sums / np.multiply.outer(*counts).astype(np.float32)


def _any_of_blocks(scribbles: Any, step: int) -> np.ndarray:
    """Whether a block holds anything but 0."""
    rows, every = _some_rows(scribbles, step, _SEARCHED_BYTES)
    numbers = rows if rows.dtype.kind in "biu" else rows != 0
    return _reduced(numbers, step // every, step, np.bitwise_or) != 0


def _some_rows(array: Any, step: int, most_bytes: int) -> tuple[np.ndarray, int]:
    """Every n-th row, and n: a divisor of ``step``, 1 where the array is not large."""
    nbytes = np.prod(array.shape, dtype=np.int64) * np.dtype(array.dtype).itemsize
    divisors = (n for n in range(1, step + 1) if step % n == 0)
    every = next((n for n in divisors if nbytes <= n * most_bytes), step)
    return np.asarray(array[..., ::every, :]), every


def _edges(side: int, step: int) -> np.ndarray:
    return np.append(np.arange(0, side, step), side)


def _reduced(values: np.ndarray, rows: int, columns: int, combine: np.ufunc) -> np.ndarray:
    """Combine each block of ``rows`` x ``columns`` values of each plane."""
    *lead, height, width = values.shape
    whole = height // rows * rows
    parts = combine.reduce(values[..., :whole, :].reshape(*lead, -1, rows, width), axis=-2)
    if whole < height:
        rest = combine.reduce(values[..., whole:, :], axis=-2, keepdims=True)
        parts = np.concatenate([parts, rest], axis=-2)
    return combine.reduceat(parts, np.arange(0, width, columns), axis=-1)


def _windows(blocks: np.ndarray) -> np.ndarray:
    """Sum over all windows of 8 x 8 blocks of each plane, fewer where the plane has fewer."""
    for axis in (-2, -1):
        turned = np.moveaxis(blocks, axis, -1)
        width = min(_BLOCKS, turned.shape[-1])
        count = turned.shape[-1] - width + 1
        total = turned[..., :count].copy()
        for start in range(1, width):
            total += turned[..., start : start + count]
        blocks = np.moveaxis(total, -1, axis)
    return blocks


def _span(window: int, side: int, step: int) -> slice:
    """Pixels of a window; one at the far edge is moved inwards to keep its size."""
    stop = min((window + _BLOCKS) * step, side)
    return slice(max(0, stop - _BLOCKS * step), stop)


def _centres(shape: tuple[int, ...], step: int) -> list[np.ndarray]:
    """Where the windows lie along each axis."""
    return [np.arange(count) for count in shape[:-2]] + [np.array(list(_middles(side, step))) for side in shape[-2:]]


def _middles(side: int, step: int) -> Iterator[int]:
    for window in range(max(1, len(_edges(side, step)) - _BLOCKS)):
        span = _span(window, side, step)
        yield (span.start + span.stop) // 2


def _last_visits(centres: list[np.ndarray], visits: np.ndarray, scale: np.ndarray, radius: float) -> np.ndarray:
    """Index of the last visit near each window, -1 for none."""
    last = np.full([len(axis) for axis in centres], -1)
    for index, visit in enumerate(visits):
        squares = [((axis - at) * factor) ** 2 for axis, at, factor in zip(centres, visit, scale, strict=True)]
        near = [np.flatnonzero(axis < radius**2) for axis in squares]
        if not all(map(len, near)):
            continue
        box = tuple(slice(axis[0], axis[-1] + 1) for axis in near)
        apart = sum(np.ix_(*(axis[part] for axis, part in zip(squares, box, strict=True))))
        last[box][apart < radius**2] = index
    return last


def _region(entropy: Any, plane: tuple[int, ...], window: tuple[int, int], step: int) -> Region:
    spans = tuple(_span(place, side, step) for place, side in zip(window, entropy.shape[-2:], strict=True))
    mean = float(np.nanmean(np.asarray(entropy[(*plane, *spans)], np.float64)))
    centre = (*plane, *((span.start + span.stop) // 2 for span in spans))
    return Region(centre, (*(slice(i, i + 1) for i in plane), *spans), mean)
