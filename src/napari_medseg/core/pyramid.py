"""Choosing a level of an image pyramid, and making coarser pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image, Kind

_BAND_BYTES = 64 << 20
"""What `overview` reads at once from a level that is larger."""


def level_for(image: Image, um_per_px: float) -> int:
    """Level whose pixels are nearest to ``um_per_px`` micrometres, in proportion, in the y-x plane.

    An image without a unit of length is refused: say its pixel size first.
    """
    if not um_per_px > 0:
        raise InputError(f"The pixel size {um_per_px} um must be above 0.")
    return min(range(len(image.levels)), key=lambda level: abs(math.log(_plane_um(image, level) / um_per_px)))


def _plane_um(image: Image, level: int) -> float:
    sizes = image.pixel_size_um(level)
    if sizes is None:
        raise InputError(
            f"The image {image.name!r} has no pixel size in a unit of length (its units are "
            f"{', '.join(image.geometry.units)}); set its scale and units, for instance 0.5 um."
        )
    y, x = _plane(image)
    return math.sqrt(sizes[y] * sizes[x])


def _plane(image: Image) -> tuple[int, int]:
    return image.spatial_axes.index("y"), image.spatial_axes.index("x")


def finest_level_within(image: Image, pixels: int) -> int:
    """Finest level with at most ``pixels`` spatial pixels; an error where even the coarsest has more."""
    for level in range(len(image.levels)):
        if math.prod(image.shape(level)) <= pixels:
            return level
    raise InputError(
        f"The image {image.name!r} has {math.prod(image.shape(-1)):,} pixels at its coarsest level, "
        f"but at most {pixels:,} fit here; crop it or add coarser levels."
    )


def overview(image: Image, max_side: int = 512) -> tuple[np.ndarray, int]:
    """Read the whole scene coarsely and cheaply: a coarse level, and of that every n-th pixel.

    At most one band of rows is in memory beside the result, also where the only level is huge.

    Returns
    -------
    array of shape (*spatial, channels), no spatial side above ``max_side``, and the level it was read from
    """
    level = _level_for_side(image, max_side)
    shape = image.shape(level)
    plane = _plane(image)
    steps = [max(1, math.ceil(size / max_side)) for size in shape]
    common = max(steps[axis] for axis in plane)
    steps = [common if axis in plane else step for axis, step in enumerate(steps)]
    starts = [min(step - 1, size - 1) // 2 for size, step in zip(shape, steps, strict=True)]
    lengths = [len(range(*where)) for where in zip(starts, shape, steps, strict=True)]
    out = np.empty((*lengths, image.channels), image.dtype.newbyteorder("="))
    for target, box in _bands(image, level, starts, steps, lengths):
        strides = tuple(slice(None, None, steps[axis]) for axis in range(len(shape)))
        out[target] = image.read(box, level)[strides]
    return out, level


def _level_for_side(image: Image, max_side: int) -> int:
    """Coarsest level with a side of at least ``max_side`` in the plane, else the finest."""
    shapes = [image.shape(level) for level in range(len(image.levels))]
    large = [level for level, shape in enumerate(shapes) if max(shape[axis] for axis in _plane(image)) >= max_side]
    return max(large, default=0)


def _bands(
    image: Image, level: int, starts: Sequence[int], steps: Sequence[int], lengths: Sequence[int]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield pairs of a region of the result and the box to read for it: bands of rows of single planes."""
    y, x = _plane(image)
    row_bytes = image.shape(level)[x] * image.channels * image.dtype.itemsize
    rows = max(1, _BAND_BYTES // (row_bytes * steps[y]))
    sizes = [rows if axis == y else lengths[x] if axis == x else 1 for axis in range(len(lengths))]
    for corner in itertools.product(*(range(0, n, size) for n, size in zip(lengths, sizes, strict=True))):
        target = tuple(slice(i, min(i + size, n)) for i, size, n in zip(corner, sizes, lengths, strict=True))
        axes = zip(target, starts, steps, strict=True)
        box = tuple(slice(start + part.start * step, start + (part.stop - 1) * step + 1) for part, start, step in axes)
        yield target, box


def downsample(array: np.ndarray, factor: int | Sequence[int], kind: Kind = "raw") -> np.ndarray:
    """Merge blocks of pixels; blocks at the far edges are smaller.

    Parameters
    ----------
    array
        Shape (y, x), (y, x, channels), or with more axes in front if ``factor`` has as many numbers.
    factor
        Pixels merged along each of the first axes; the axes after them (channels) stay. One number stands
        for the first two axes.
    kind
        "labels" takes the commonest label of a block (0 loses a tie, else the smaller label wins); every
        other kind takes the mean.

    Returns
    -------
    array of the same type (whole numbers are rounded), of ceil(n / factor) pixels along each axis
    """
    factors = (factor, factor) if isinstance(factor, int | np.integer) else tuple(factor)
    if len(factors) > array.ndim or min(factors) < 1:
        raise InputError(
            f"The factors {factors} do not fit an array of shape {array.shape}; give whole numbers from 1."
        )
    merge = _mode if kind == "labels" else _mean
    lengths = [math.ceil(n / f) for n, f in zip(array.shape, factors, strict=False)]
    out = np.empty((*lengths, *array.shape[len(factors) :]), array.dtype)
    for target, source, block in _pieces(array.shape, factors):
        piece = array[source]
        offsets = itertools.product(*map(range, block))
        out[target] = merge([piece[tuple(slice(i, None, f) for i, f in zip(o, block, strict=True))] for o in offsets])
    return out


def _pieces(shape: Sequence[int], factors: Sequence[int]) -> Iterator[tuple]:
    """Split into parts that whole blocks fill: (result region, source region, size of a block)."""
    axes = []
    for size, factor in zip(shape, factors, strict=False):
        count, rest = divmod(size, factor)
        whole = [(slice(0, count), slice(0, count * factor), factor)] if count else []
        axes.append(whole + ([(slice(count, count + 1), slice(count * factor, size), rest)] if rest else []))
    for parts in itertools.product(*axes):
        yield tuple(zip(*parts, strict=True))


def _mean(parts: list[np.ndarray]) -> np.ndarray:
    dtype = parts[0].dtype
    small = dtype.itemsize <= 2 or dtype == np.float32
    total = np.zeros(parts[0].shape, np.float32 if small else np.float64)
    for part in parts:
        total += part
    total /= len(parts)
    return total if dtype.kind == "f" else np.rint(total)


def _mode(parts: list[np.ndarray]) -> np.ndarray:
    """Commonest value over ``parts``: sorted, equal values form runs, and the longest run wins."""
    ordered = np.sort(np.stack(parts), axis=0)
    mode = ordered[0].copy()
    run = np.zeros(mode.shape, np.int32)
    best = np.zeros(mode.shape, np.int32)
    for index, value in enumerate(ordered):
        run = np.where(value == ordered[index - 1], run + 1, 1) if index else run + 1
        votes = 2 * run + (value != 0)
        mode = np.where(votes > best, value, mode)
        best = np.maximum(votes, best)
    return mode
