"""Strokes as a person would paint them, drawn from the truth with a seed.

Strategy: a class gets its share of the strokes. A stroke begins well inside an object, in large ones and in ones not
yet painted rather than others, away from earlier strokes; it walks with slowly turning direction, shies away from the
border, and ends after a human-like length (shorter in small pictures and rare classes) or where it is cornered.
What is painted never leaves its class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage as ndi

LENGTH_PX = (30, 120)
WIDE, NARROW, THIN = 5, 3, 1
"""Brush widths in px: for regions, for small objects, and for structures thinner than four pixels."""
MOST_PAINTED = 0.15
"""About the largest share of a class that gets painted, however many strokes are asked for."""
_TURNS = np.deg2rad([0, -15, 15, -30, 30, -50, 50, -75, 75, -100, 100])


def strokes(truth: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Paint ``count`` strokes, spread evenly over the classes; each class gets at least one.

    Parameters
    ----------
    truth
        uint8 (H, W), classes 1..K.

    Returns
    -------
    uint8 (H, W), 0 = not painted
    """
    painted = np.zeros(truth.shape, np.uint8)
    classes = [int(value) for value in np.unique(truth) if value > 0]
    for value, share in zip(classes, _shares(len(classes), count, seed), strict=True):
        _paint_class(painted, truth == value, value, share, np.random.default_rng([seed, value]))
    return painted


def _shares(classes: int, count: int, seed: int) -> list[int]:
    """Split ``count`` strokes over the classes; who gets one more where it does not divide is drawn."""
    each, more = divmod(max(count, classes), classes)
    lucky = set(np.random.default_rng([seed, 99]).permutation(classes)[:more].tolist())
    return [each + (index in lucky) for index in range(classes)]


def _paint_class(painted: np.ndarray, mask: np.ndarray, value: int, count: int, rng: np.random.Generator) -> None:
    """Draw ``count`` strokes of one class into ``painted``."""
    depth = ndi.distance_transform_edt(np.pad(mask, 1, mode="edge"))[1:-1, 1:-1]
    objects, found = ndi.label(mask)
    sizes = np.bincount(objects.ravel(), minlength=found + 1)[1:]
    sizes[sizes < min(40, sizes.max())] = 0
    used = np.zeros(found)
    far = np.full(mask.shape, np.inf)
    longest = MOST_PAINTED * mask.sum() / count
    for _ in range(count):
        chance = np.sqrt(sizes) / (1 + used)
        chosen = rng.choice(found, p=chance / chance.sum())
        used[chosen] += 1
        free = (objects == chosen + 1) & (painted == 0)
        start = _start(np.where(free if free.any() else mask, depth, 0), far, rng)
        far = np.minimum(far, _distance_to(start, mask.shape))
        _paint_stroke(painted, depth, start, longest, value, rng)


def _paint_stroke(
    painted: np.ndarray, depth: np.ndarray, start: tuple[int, int], area: float, value: int, rng: np.random.Generator
) -> None:
    """One stroke that covers about ``area`` px at most; ``depth`` is the distance to the class's border."""
    scale = min(1.0, float(np.sqrt(depth.size)) / 512)
    width = _width(depth[start] * scale)
    length = min(scale * rng.uniform(*LENGTH_PX), 6 * depth[start] + 12, max(area / width, 6))
    path = _walk(depth, start, length, width, rng)
    rows, columns = _brushed(path, width, painted.shape)
    keep = (depth[rows, columns] > 0) & (painted[rows, columns] == 0)
    painted[rows[keep], columns[keep]] = value


def _distance_to(point: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - point[0], columns - point[1])


def _start(depth: np.ndarray, far: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """A pixel well inside (``depth`` to the border) and away from the strokes before (``far`` from their starts)."""
    weight = np.clip(depth, 0, 12) ** 2 * np.clip(far, 1, 80)
    rim = min(3.0, 0.6 * float(depth.max()))
    weight[depth < rim] = 0
    flat = rng.choice(weight.size, p=(weight / weight.sum()).ravel())
    row, column = np.unravel_index(flat, depth.shape)
    return int(row), int(column)


def _width(depth: float) -> int:
    if depth >= 8:
        return WIDE
    return NARROW if depth >= 2 else THIN


def _walk(depth: np.ndarray, start: tuple[int, int], length: float, width: int, rng: np.random.Generator) -> np.ndarray:
    """Points (n, 2) one pixel apart; turns away where the next step would come too near to the border."""
    margin = min(width / 2 + 2, 0.7 * depth[start])
    points = [np.array(start, float)]
    heading = rng.uniform(0, 2 * np.pi)
    bend = 0.0
    while len(points) < length:
        bend = 0.85 * bend + rng.normal(0, 0.045)
        step = _next(depth, points[-1], heading + bend, margin)
        if step is None:
            break
        heading, point = step
        points.append(point)
    return np.array(points)


def _next(depth: np.ndarray, here: np.ndarray, heading: float, margin: float) -> tuple[float, np.ndarray] | None:
    """The first direction, straight on first, in which the next pixel is deep enough inside."""
    for turn in _TURNS:
        angle = heading + turn
        point = here + (np.sin(angle), np.cos(angle))
        row, column = np.round(point).astype(int)
        inside = 0 <= row < depth.shape[0] and 0 <= column < depth.shape[1]
        if inside and depth[row, column] >= margin:
            return angle, point
    return None


def _brushed(path: np.ndarray, width: int, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels under a round brush of ``width`` px that follows the path."""
    reach = width // 2
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    disc = offsets[(offsets**2).sum(axis=1) <= (width / 2) ** 2]
    pixels = (np.round(path).astype(int)[:, None] + disc).reshape(-1, 2)
    inside = ((pixels >= 0) & (pixels < np.array(shape))).all(axis=1)
    unique = np.unique(pixels[inside], axis=0)
    return unique[:, 0], unique[:, 1]
