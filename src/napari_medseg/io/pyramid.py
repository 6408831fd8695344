"""Coarser levels of an image, made region by region: y and x halve, the other axes stay."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_medseg.core.image import Box, Image

TILE = 512
"""Side of a tile in pixels; even, so that a tile of one level is a whole block of the next."""
SMALLEST = 1024
"""A level is added until the coarsest has no side longer than this."""


def level_shapes(
    shape: tuple[int, ...], axes: str, smallest: int = SMALLEST, count: int | None = None
) -> list[tuple[int, ...]]:
    """Shapes of all levels, finest first: ``count`` of them, or until no side is longer than ``smallest``."""
    shapes = [tuple(shape)]
    while len(shapes) < count if count else max(_plane(shapes[-1], axes)) > smallest:
        sizes = zip(shapes[-1], axes, strict=True)
        shapes.append(tuple((size + 1) // 2 if axis in "yx" else size for size, axis in sizes))
    return shapes


def levels_to_keep(image: Image) -> tuple[Any, ...]:
    """The levels of an image that a file takes over as they are: all of labels that halve exactly, else the finest.

    Labels that are painted keep all their levels in step; those of a scanner are cut, shifted or compressed.
    """
    shapes = [tuple(level.shape) for level in image.levels]
    small = max(_plane(shapes[-1], image.axes)) <= 2 * SMALLEST
    halved = shapes == level_shapes(shapes[0], image.axes, count=len(shapes))
    return image.levels if image.kind == "labels" and small and halved else image.levels[:1]


def _plane(shape: tuple[int, ...], axes: str) -> tuple[int, int]:
    return shape[axes.index("y")], shape[axes.index("x")]


def boxes(shape: tuple[int, ...], axes: str, tile: int = TILE, within: Box | None = None) -> Iterator[Box]:
    """Yield boxes that cover an array: tiles in y and x, single indices in t, z, and whole in c.

    ``within`` leaves out the boxes that do not touch it.
    """
    steps = {"y": tile, "x": tile, "c": None}
    spans = []
    for axis, (size, letter) in enumerate(zip(shape, axes, strict=True)):
        step = steps.get(letter, 1) or max(size, 1)
        first, stop, _ = within[axis].indices(size) if within else (0, size, 1)
        starts = range(first // step * step, stop, step)
        spans.append([slice(start, min(start + step, size)) for start in starts])
    yield from itertools.product(*spans)


def halved_box(box: Box, axes: str) -> Box:
    """Where the halved contents of ``box`` belong in the next level."""
    return tuple(
        slice(span.start // 2, (span.stop + 1) // 2) if axis in "yx" else span
        for span, axis in zip(box, axes, strict=True)
    )


def halve(block: np.ndarray, axes: str, labels: bool) -> np.ndarray:
    """Halve y and x: the mean of 2 x 2 pixels, or the commonest value for labels; odd edges are repeated."""
    y, x = axes.index("y"), axes.index("x")
    pad = [(0, size % 2) if axis in "yx" else (0, 0) for size, axis in zip(block.shape, axes, strict=True)]
    even = np.pad(block, pad, mode="edge")
    index: list[Any] = [slice(None)] * block.ndim
    quarters = []
    for first_y, first_x in itertools.product((0, 1), (0, 1)):
        index[y], index[x] = slice(first_y, None, 2), slice(first_x, None, 2)
        quarters.append(even[tuple(index)])
    return _mode(*quarters) if labels or block.dtype == bool else _mean(quarters)


def _mode(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The commonest of four values; the first of them where none is common."""
    rest = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return np.where((a == b) | (a == c) | (a == d), a, rest)


def _mean(quarters: list[np.ndarray]) -> np.ndarray:
    dtype = quarters[0].dtype
    total = sum(quarter.astype(np.float64 if dtype.itemsize > 2 else np.float32) for quarter in quarters)
    mean = np.asarray(total) / 4
    return (np.rint(mean) if dtype.kind in "iu" else mean).astype(dtype)
