"""Shapes that a brush, a polygon or a fill paints, as masks in pixels of a level of a label pyramid."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage as ndi


class Stamp(NamedTuple):
    """A mask in one plane.

    ``mask`` is boolean, shape (y, x); ``corner`` is the row and column of its first pixel, which may lie outside.
    """

    plane: int
    mask: np.ndarray
    corner: tuple[int, int]


def radius_of(diameter: float) -> float:
    """Radius of a round brush in pixels of level 0, with half a pixel more: no lone pixel sticks out at its sides."""
    return float(np.floor(diameter / 2)) + 0.5


def disc(
    centre: tuple[int, int], diameter: float, scale: tuple[float, float], level: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """A round brush, or an oval one where pixels are not square.

    Parameters
    ----------
    centre
        Row and column of a pixel of level 0.
    diameter
        In pixels of level 0 along the axis of the smaller pixel side.
    scale
        Pixel size along y and x; only its proportion counts.
    level
        Level whose pixels the mask has. One is inside where its centre is.

    Returns
    -------
    boolean mask, shape (y, x), not to be written to; row and column of its first pixel
    """
    smallest = min(abs(size) for size in scale)
    y, x = (abs(size) / smallest for size in scale)
    phase = (centre[0] % (1 << level), centre[1] % (1 << level))
    mask, (top, left) = _disc(phase, radius_of(diameter), (y, x), level)
    return mask, (top + (centre[0] >> level), left + (centre[1] >> level))


@lru_cache(maxsize=16)
def _disc(
    phase: tuple[int, int], radius: float, scale: tuple[float, float], level: int
) -> tuple[np.ndarray, tuple[int, int]]:
    """The disc around a pixel that lies ``phase`` pixels from the origin; a stroke at level 0 asks for one only."""
    spans = [_reach(at, int(radius // size), level) for at, size in zip(phase, scale, strict=True)]
    distances = [
        ((np.arange(first, last + 1) * (1 << level) + ((1 << level) - 1) / 2 - at) * size) ** 2
        for (first, last), at, size in zip(spans, phase, scale, strict=True)
    ]
    mask = distances[0][:, None] + distances[1][None] <= radius**2
    mask.flags.writeable = False
    return mask, (spans[0][0], spans[1][0])


def _reach(at: int, reach: int, level: int) -> tuple[int, int]:
    return (at - reach) >> level, (at + reach) >> level


def ball(
    centre: Sequence[int], diameter: float, scale: Sequence[float], shape: Sequence[int]
) -> tuple[np.ndarray, tuple[int, ...]] | None:
    """A brush that paints along any number of axes, at level 0; ``None`` where it lies outside ``shape``.

    Parameters
    ----------
    centre, scale, shape
        A pixel, the pixel size and the number of pixels along each axis that is painted.

    Returns
    -------
    boolean mask with an axis for each, and the index of its first pixel
    """
    sizes = np.abs(scale) / np.min(np.abs(scale))
    radius = radius_of(diameter)
    reach = np.floor(radius / sizes).astype(int)
    first = np.maximum(np.asarray(centre) - reach, 0)
    stop = np.minimum(np.asarray(centre) + reach + 1, shape)
    if np.any(first >= stop):
        return None
    axes = np.ogrid[tuple(slice(0, int(length)) for length in stop - first)]
    offsets = np.asarray(centre) - first
    squares = [((axis - at) * size) ** 2 for axis, at, size in zip(axes, offsets, sizes, strict=True)]
    return np.asarray(sum(squares) <= radius**2), tuple(int(at) for at in first)


def stamps(
    mask: np.ndarray, corner: Sequence[int], axes: Sequence[int], point: Sequence[int], shape: Sequence[int]
) -> Iterator[Stamp]:
    """Cut a mask along any axes into stamps at level 0, one for each plane.

    Parameters
    ----------
    mask, corner
        Boolean, with one axis for each of ``axes``, and the index of its first pixel along each.
    axes
        Those of ``shape`` that the mask has, ascending.
    point
        Index along every axis of ``shape``, for those that the mask does not have.
    shape
        (..., y, x) of the labels.
    """
    first = [int(at) for at in point]
    lengths = [1] * len(shape)
    for axis, at, length in zip(axes, corner, mask.shape, strict=True):
        first[axis], lengths[axis] = int(at), length
    whole = mask.reshape(lengths)
    for index in itertools.product(*map(range, lengths[:-2])):
        if whole[index].any():
            places = [at + step for at, step in zip(first[:-2], index, strict=True)]
            yield Stamp(plane_of(places, shape), whole[index], (first[-2], first[-1]))


def plane_of(index: Sequence[int], shape: Sequence[int]) -> int:
    """Number of the plane at an index along the axes before y and x; 0 where there are none."""
    return int(np.ravel_multi_index(tuple(index), tuple(shape[:-2]))) if len(shape) > 2 else 0


def alike(labels: np.ndarray, seed: Sequence[int], contiguous: bool) -> np.ndarray:
    """The pixels with the label of ``seed``, any number of axes: those that hang together with it, or all."""
    same = labels == labels[tuple(seed)]
    if not contiguous:
        return same
    parts, _ = ndi.label(same)
    return parts == parts[tuple(seed)]


class Scatter(NamedTuple):
    """Single pixels that lie in one tile: which of those given, and where."""

    plane: int
    chosen: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def by_tile(indices: Sequence[np.ndarray], shape: Sequence[int], tile_px: int) -> Iterator[Scatter]:
    """Sort pixels, given by their indices along each axis, by the tile that they lie in."""
    *leading, rows, columns = (np.asarray(index, np.int64).ravel() for index in indices)
    planes = np.ravel_multi_index(tuple(leading), tuple(shape[:-2])) if leading else np.zeros_like(rows)
    keys = np.stack([planes, rows // tile_px, columns // tile_px])
    _, group = np.unique(keys, axis=1, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    for chosen in np.split(order, np.flatnonzero(np.diff(group.ravel()[order])) + 1):
        if chosen.size:
            yield Scatter(int(planes[chosen[0]]), chosen, rows[chosen], columns[chosen])
