"""A synthetic H&E section of six unbalanced tissue classes with exact truth.

Strategy: smooth random fields lay out the regions (cut at the rank that gives each class its share); each class
gets a background of haematoxylin and eosin, a texture (wavy fibres, fat cells, debris, lumens) and nuclei of its
own size, shape and density; two-stain absorption (Beer-Lambert, as in Ruifrok & Johnston 2001) makes the colours.
Class means of colour overlap on purpose: texture has to be learned, and stain and light vary with the seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree

from napari_medseg.core.errors import InputError

CLASSES = {1: "stroma", 2: "epithelium", 3: "fat", 4: "lymphocytes", 5: "necrosis", 6: "vessel"}
SHARES = {2: 0.25, 3: 0.12, 4: 0.07, 5: 0.04, 6: 0.02}
"""Mean share of the area; stroma takes the rest."""
SMALLEST = 64

# Optical density of red, green, blue per unit of haematoxylin and eosin (Macenko et al. 2009).
_STAINS = np.array([[0.563, 0.720, 0.406], [0.216, 0.801, 0.558]])

Field = np.ndarray
"""A float32 array of shape (size, size)."""


@dataclass(frozen=True)
class Nuclei:
    """How the nuclei of a class look.

    ``spacing``, ``long`` and ``short`` (half axes) are in pixels, ``dark`` is haematoxylin; ``pale`` is how much
    lighter the middle is, ``aligned`` whether they follow the fibres.
    """

    spacing: float
    long: float
    short: float
    dark: float
    pale: float = 0.0
    aligned: bool = False


_NUCLEI = {
    1: (Nuclei(21, 6.5, 2.0, 1.05, aligned=True), Nuclei(46, 3.2, 3.0, 1.25)),
    2: (Nuclei(12.5, 5.0, 3.9, 0.95, pale=0.5),),
    4: (Nuclei(6.6, 3.1, 2.9, 1.35, pale=0.1),),
    5: (Nuclei(8.5, 1.7, 1.2, 1.0), Nuclei(17, 4.2, 3.4, 0.4, pale=0.3)),
    6: (Nuclei(8, 4.6, 1.6, 1.15, aligned=True),),
}
# Background haematoxylin and eosin of each class.
_GROUND = {1: (0.10, 0.52), 2: (0.24, 0.50), 3: (0.01, 0.03), 4: (0.22, 0.36), 5: (0.15, 0.68), 6: (0.12, 0.74)}


def six_class_tissue(size: int = 512, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make one image and its truth.

    Parameters
    ----------
    size
        Side in pixels (about 0.5 um each), at least 64.
    seed
        Same seed, same image.

    Returns
    -------
    rgb : uint8 array of shape (size, size, 3)
    labels : uint8 array of shape (size, size), values 1 to 6 as in `CLASSES`
    """
    if size < SMALLEST:
        raise InputError(f"A tissue of {size} pixels is too small; ask for at least {SMALLEST}.")
    rng = np.random.default_rng(seed)
    flow = _flow(size, rng)
    labels, wall = _layout(size, rng)
    haematoxylin, eosin = _ground(labels, wall, flow, rng)
    nuclei = _all_nuclei(labels, wall, flow, rng)
    chromatin = 1 + 0.18 * _noise(size, 1.0, rng)
    haematoxylin = np.maximum(haematoxylin, nuclei * chromatin)
    return _colours(haematoxylin, eosin * (1 - 0.35 * np.minimum(nuclei, 1)), rng), labels


def _noise(size: int, sigma: float, rng: np.random.Generator) -> Field:
    """Smooth noise of mean 0 and deviation 1; coarse noise is made small and enlarged."""
    step = max(1, int(sigma / 4))
    small = rng.standard_normal((-(-size // step) + 4,) * 2, dtype=np.float32)
    smooth = ndimage.gaussian_filter(small, sigma / step, mode="wrap")
    if step > 1:
        at = np.arange(size, dtype=np.float32) / step + 1.5
        smooth = ndimage.map_coordinates(smooth, np.meshgrid(at, at, indexing="ij"), order=1)
    smooth = smooth[:size, :size]
    return (smooth - smooth.mean()) / (smooth.std() + 1e-6)


# --- layout -----------------------------------------------------------------------------------------------------


def _layout(size: int, rng: np.random.Generator) -> tuple[np.ndarray, Field]:
    """Labels, and the relative radius inside vessels (1 at their outer edge, infinite elsewhere)."""
    labels = np.ones((size, size), np.uint8)
    share = {number: mean * rng.uniform(0.8, 1.2) for number, mean in SHARES.items()}
    rough = 0.12 * _noise(size, 5, rng)
    glands = _noise(size, 26, rng) + rough
    _claim(labels, 2, share[2] + share[5], glands, labels == 1)
    _claim(labels, 5, share[5], glands + 1.2 * _noise(size, 30, rng), labels == 2)
    away = np.asarray(ndimage.distance_transform_edt(labels == 1), dtype=np.float32)
    _claim(labels, 3, share[3], _noise(size, 34, rng) + rough + np.minimum(away, 60) / 40, labels == 1)
    near = np.exp(-away / 25)
    _claim(labels, 4, share[4], _noise(size, 11, rng) + 1.5 * near + rough, labels == 1)
    wall = _vessels(labels, share[6], rng)
    labels[wall <= 1] = 6
    return labels, wall


def _claim(labels: np.ndarray, number: int, share: float, field: Field, allowed: np.ndarray) -> None:
    """Give class ``number`` the allowed pixels where the field is highest, up to its share of the area."""
    count = min(round(share * labels.size), int(allowed.sum()))
    if count:
        inside = field[allowed]
        limit = np.partition(inside, inside.size - count)[inside.size - count]
        labels[allowed & (field >= limit)] = number


def _vessels(labels: np.ndarray, share: float, rng: np.random.Generator) -> Field:
    """Place ellipses in the stroma until they cover the share."""
    size = labels.shape[0]
    y, x = np.indices(labels.shape, dtype=np.float32)
    radius = np.full(labels.shape, np.inf, np.float32)
    free = np.argwhere(labels == 1)
    while (radius <= 1).sum() < share * labels.size - 60:
        middle = free[rng.integers(len(free))]
        long, short = rng.uniform(9, max(10, min(26, size / 12))), rng.uniform(7.5, 12)
        u, v = _turned(y - middle[0], x - middle[1], rng.uniform(0, np.pi))
        radius = np.minimum(radius, np.hypot(u / long, v / short))
    return radius


def _turned(y: np.ndarray, x: np.ndarray, angle: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along and across a direction; the angle is measured from x towards y."""
    return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)


# --- texture ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Flow:
    """Wavy collagen: its density (mean 0) and its direction in radians, from x towards y."""

    fibres: Field
    angle: Field


def _flow(size: int, rng: np.random.Generator) -> Flow:
    """Stripes of noise, bent by a smooth warp."""
    y, x = np.indices((size, size), dtype=np.float32)
    along, across = _turned(y, x, rng.uniform(0, np.pi))
    across = across + 26 * _noise(size, 34, rng) + 2.5 * _noise(size, 9, rng)
    noise = rng.standard_normal((256, 256), dtype=np.float32)
    fine, coarse = (
        ndimage.map_coordinates(noise, (across / width, along / length), order=1, mode="grid-wrap")
        for width, length in ((2.0, 26.0), (6.5, 60.0))
    )
    steep_y, steep_x = np.gradient(across)
    return Flow(0.5 * fine + 0.5 * coarse, np.arctan2(steep_x, -steep_y))


def _ground(labels: np.ndarray, wall: Field, flow: Flow, rng: np.random.Generator) -> tuple[Field, Field]:
    """Haematoxylin and eosin without the nuclei, with soft borders between classes."""
    size = labels.shape[0]
    table = np.zeros((7, 2), np.float32)
    for number, stains in _GROUND.items():
        table[number] = stains
    ground = table[labels]
    haematoxylin, eosin = (ndimage.gaussian_filter(ground[..., stain], 1.6) for stain in (0, 1))
    fine, middle, patches = _noise(size, 0.8, rng), _noise(size, 3, rng), _noise(size, 14, rng)
    fibrous, fat, dead = labels == 1, labels == 3, labels == 5
    eosin += np.where(fibrous, 0.15 * flow.fibres + 0.07 * patches, 0.05 * middle + 0.05 * patches) * ~fat
    eosin += np.where(dead, 0.13 * fine + 0.12 * middle, 0)
    haematoxylin += np.where(dead, 0.07 * _noise(size, 1.6, rng), 0.02 * middle) * ~fat
    gaps = (fibrous & (flow.fibres < -0.95)) | ((labels == 2) & (_noise(size, 5, rng) > 2.1))
    gaps |= (labels == 4) & (middle > 1.9)
    open_ = ndimage.gaussian_filter(gaps.astype(np.float32), 0.9)
    eosin, haematoxylin = eosin * (1 - 0.95 * open_), haematoxylin * (1 - 0.95 * open_)
    eosin = np.where(fat, eosin + 0.42 * _membranes(labels, rng), eosin)
    lumen, blood = wall < 0.55, _noise(size, 2.2, rng) > 0.2
    eosin = np.where(lumen, np.where(blood, 0.85, 0.04), eosin)
    haematoxylin = np.where(lumen, 0.02, haematoxylin)
    return np.maximum(haematoxylin, 0), np.maximum(eosin, 0)


def _membranes(labels: np.ndarray, rng: np.random.Generator) -> Field:
    """Thin walls between fat cells: where the two nearest cell centres are equally far."""
    walls = np.zeros(labels.shape, np.float32)
    inside = np.argwhere(labels == 3)
    if len(inside):
        near, next_ = KDTree(_grid(labels.shape[0], 34, rng)).query(inside, k=2)[0].T
        walls[tuple(inside.T)] = np.exp(-(((next_ - near) / 2.6) ** 2))
    return walls


# --- nuclei -----------------------------------------------------------------------------------------------------


def _grid(size: int, spacing: float, rng: np.random.Generator) -> np.ndarray:
    """Points (y, x) on a jittered lattice that covers the image and a margin."""
    ticks = np.arange(-spacing, size + spacing, spacing, dtype=float)
    points = np.stack(np.meshgrid(ticks, ticks, indexing="ij"), axis=-1)
    points[::2, :, 1] += spacing / 2
    return points.reshape(-1, 2) + rng.normal(0, 0.24 * spacing, (points.size // 2, 2))


def _all_nuclei(labels: np.ndarray, wall: Field, flow: Flow, rng: np.random.Generator) -> Field:
    canvas = np.zeros(labels.shape, np.float32)
    around = np.arctan2(*np.gradient(np.minimum(wall, 3))) + np.pi / 2
    angles = np.where(labels == 6, around, flow.angle)
    for number, kinds in _NUCLEI.items():
        place = (labels == number) & ~(wall < 0.72)
        for kind in kinds:
            points = _grid(labels.shape[0], kind.spacing, rng)
            inside = np.rint(points).astype(int)
            ok = ((inside >= 0) & (inside < labels.shape[0])).all(axis=1)
            points, inside = points[ok], inside[ok]
            here = place[tuple(inside.T)] & (rng.random(len(points)) < 0.9)
            _stamp(canvas, points[here], angles[tuple(inside[here].T)], kind, rng)
    return canvas


def _stamp(canvas: Field, points: np.ndarray, along: np.ndarray, kind: Nuclei, rng: np.random.Generator) -> None:
    """Draw soft ellipses, all at once; where two overlap the darker wins."""
    count = len(points)
    reach = int(kind.long * 1.5) + 2
    offsets = np.arange(-reach, reach + 1)
    cell = np.rint(points).astype(int)
    rows, columns = cell[:, :1] + offsets, cell[:, 1:] + offsets
    y = (rows - points[:, :1]).astype(np.float32)[:, :, None]
    x = (columns - points[:, 1:]).astype(np.float32)[:, None, :]
    angle = along + rng.normal(0, 0.25, count) if kind.aligned else rng.uniform(0, np.pi, count)
    size = np.clip(rng.lognormal(0, 0.16, (2, count)), 0.65, 1.45).astype(np.float32)
    long, short = (kind.long * size[0])[:, None, None], (kind.short * size[1])[:, None, None]
    u, v = _turned(y, x, angle.astype(np.float32)[:, None, None])
    radius = np.hypot(u / long, v / short)
    body = np.clip((1 - radius) * short / 1.3 + 0.5, 0, 1) * (1 - kind.pale * np.exp(-((radius / 0.62) ** 2)))
    body *= (kind.dark * rng.uniform(0.72, 1.18, count)).astype(np.float32)[:, None, None]
    index = np.broadcast_arrays(rows[:, :, None], columns[:, None, :])
    inside = (index[0] >= 0) & (index[0] < canvas.shape[0]) & (index[1] >= 0) & (index[1] < canvas.shape[1])
    np.maximum.at(canvas, (index[0][inside], index[1][inside]), body[inside])


# --- colour -----------------------------------------------------------------------------------------------------


def _colours(haematoxylin: Field, eosin: Field, rng: np.random.Generator) -> np.ndarray:
    """Absorb light in both stains, with the seed's own dyes, section thickness, lamp, focus and camera noise."""
    size = haematoxylin.shape[0]
    dyes = (_STAINS + rng.normal(0, 0.03, (2, 3))) * rng.uniform(0.8, 1.25, (2, 1))
    thick = 1 + 0.10 * _noise(size, 70, rng)
    uneven = 1 + 0.10 * _noise(size, 50, rng)
    densities = np.stack([haematoxylin * thick, eosin * thick * uneven], axis=-1).astype(np.float32)
    lamp = rng.uniform(236, 250) + rng.normal(0, 2, 3)
    light = lamp.astype(np.float32) * np.exp(-densities @ dyes.astype(np.float32))
    sharp = ndimage.gaussian_filter(light, (rng.uniform(0.5, 0.8),) * 2 + (0,))
    return np.clip(sharp + rng.normal(0, 2.5, sharp.shape), 0, 255).astype(np.uint8)
