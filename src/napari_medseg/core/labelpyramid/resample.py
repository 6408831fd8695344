"""Labels at half and at twice the pixel size."""

from __future__ import annotations

import numpy as np


def halved(labels: np.ndarray) -> np.ndarray:
    """Merge blocks of 2 x 2 pixels into their commonest label; a new array.

    Of equally common labels 0 loses, then the smallest wins, as in `core.pyramid.downsample`. A block at an odd far
    edge has fewer pixels.

    Strategy
    --------
    Nearly all blocks are of one label: take one pixel from each block, and vote only where the four differ.
    Repeating the last row or column of an odd shape leaves each vote as it is.
    """
    height, width = labels.shape
    if height % 2 or width % 2:
        labels = np.pad(labels, ((0, height % 2), (0, width % 2)), mode="edge")
    corners = [labels[row::2, column::2].copy() for row in (0, 1) for column in (0, 1)]
    out, *others = corners
    mixed = np.flatnonzero((out != others[0]) | (out != others[1]) | (out != others[2]))
    if mixed.size:
        out.flat[mixed] = _vote(*(corner.ravel()[mixed] for corner in corners))
    return out


def _vote(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Commonest of four labels; ties to a label that is not 0, then to the smallest."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    low_2, high_2 = np.minimum(c, d), np.maximum(c, d)
    inner, inner_2 = np.maximum(low, low_2), np.minimum(high, high_2)
    first, second = np.minimum(low, low_2), np.minimum(inner, inner_2)
    third, fourth = np.maximum(inner, inner_2), np.maximum(high, high_2)
    smallest = np.where(first != 0, first, second)
    upper_pair = (third == fourth) & ((first != second) | (first == 0))
    return np.where(second == third, second, np.where(upper_pair, third, smallest))


def doubled(array: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Repeat each pixel twice along both axes, cut to ``shape``; a new array."""
    out = np.empty(shape, array.dtype)
    double_into(out, array)
    return out


def double_into(out: np.ndarray, array: np.ndarray) -> None:
    """Fill ``out``, shape (h, w), from an array of ceil(h / 2) x ceil(w / 2) pixels."""
    height, width = out.shape
    wide = np.empty((array.shape[0], width), array.dtype)
    wide[:, ::2] = array
    wide[:, 1::2] = array[:, : width // 2]
    out[::2] = wide
    out[1::2] = wide[: height // 2]


def magnified(array: np.ndarray, factor: int) -> np.ndarray:
    """Repeat each pixel ``factor`` times along both axes; what has one label only is not copied."""
    first = array[0, 0]
    if (array == first).all():
        return np.broadcast_to(first, (array.shape[0] * factor, array.shape[1] * factor))
    return np.repeat(np.repeat(array, factor, axis=1), factor, axis=0)
