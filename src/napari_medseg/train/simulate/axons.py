"""Pictures of axons with exact subpixel centrelines: five published conditions and a realistic one.

Strategy: an axon is a cubic spline through a random walk whose turns are limited and which keeps off its own earlier
points (Dai et al., MIDL 2019). It is drawn as points 0.25 px apart, each shared out over the four pixels around it,
and blurred with a Gaussian: that keeps the middle of the profile on the spline to a hundredth of a pixel. Background,
noise and what else there is depend on the condition. ``realistic`` follows the statistics measured in two-photon
projections (Bass et al., 2017): dark background with shadows and haze, fibres of uneven brightness 5 to 6 px wide,
boutons, neighbours that cross, branches, and noise that grows with the signal and is shared by adjacent pixels.

Positions are (y, x) in pixels, pixel centres at integers. Values are grey levels of 8 bit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy import ndimage
from scipy.interpolate import CubicSpline

from napari_medseg.core.errors import InputError

Name = Literal["standard", "low_contrast", "wide", "noisy", "structured_noise", "realistic"]
CONDITIONS: tuple[str, ...] = get_args(Name)
PUBLISHED: tuple[str, ...] = CONDITIONS[:5]

SIDE_PX = 128
STEP_PX = 0.25
"""Between two points of a centreline."""
TRUTH_REACH_PX = 1.5
"""The picture of the centreline falls from 1 to 0 over this distance."""
_SPLAT = 1 / 6
"""Variance in px that sharing points out over four pixels adds to a profile."""
_SHORTEST_PX = 60.0
_CORRELATED = (np.array([0.12, 1.0, 0.12]), np.array([0.16, 1.0, 0.16]))
"""Kernels along y and x that give white noise a correlation of 0.23 and 0.30 at one pixel, as beside the fibres."""


@dataclass(frozen=True)
class Condition:
    """How the pictures of a published condition look; grey levels and pixels.

    ``height`` is the axon's above the background, ``sigma`` its Gaussian profile's, ``specks`` the density of
    the points that make up structured noise.
    """

    height: tuple[float, float] = (50.0, 70.0)
    sigma: tuple[float, float] = (1.2, 1.6)
    background: float = 40.0
    noise: float = 10.0
    specks: float = 0.0


_PUBLISHED = {
    "standard": Condition(),
    "low_contrast": Condition(height=(25.0, 35.0)),
    "wide": Condition(sigma=(2.2, 3.2)),
    "noisy": Condition(noise=20.0),
    "structured_noise": Condition(specks=0.012),
}


@dataclass(frozen=True)
class Scene:
    """A picture and the axon to be traced in it.

    Parameters
    ----------
    image
        float32 (H, W), 0 to 255.
    centreline
        float64 (n, 2), 0.25 px apart, from one end to the other.
    others
        Centrelines of what else is drawn: neighbours and branches.
    """

    image: np.ndarray
    centreline: np.ndarray
    others: tuple[np.ndarray, ...] = ()


def simulate(condition: str, seed: int | tuple[int, ...], side: int = SIDE_PX) -> Scene:
    """Draw one picture of ``side`` x ``side``; the same seed gives the same picture."""
    if condition not in CONDITIONS:
        raise InputError(f"There is no condition {condition!r}; choose one of {', '.join(CONDITIONS)}.")
    if side < 64:
        raise InputError(f"A picture of {side} x {side} has no room for an axon; give a side of at least 64.")
    rng = np.random.default_rng(seed)
    if condition == "realistic":
        return _realistic(rng, side)
    centreline = _axon(rng, side, _WITHIN)
    return Scene(_published(_PUBLISHED[condition], centreline, rng, side), centreline)


def truth_picture(centreline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """1 on a centreline (n, 2) of dense points, falling linearly to 0 at 1.5 px; float32 of ``shape``."""
    reach = int(np.ceil(TRUTH_REACH_PX))
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    pixels = np.round(centreline).astype(int)[:, None] + offsets
    values = 1 - np.hypot(*np.moveaxis(pixels - centreline[:, None], 2, 0)) / TRUTH_REACH_PX
    kept = ((pixels >= 0) & (pixels < shape)).all(axis=2) & (values > 0)
    out = np.zeros(shape, np.float32)
    rows, columns = pixels[kept].T
    np.maximum.at(out, (rows, columns), values[kept].astype(np.float32))
    return out


# Shapes ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Course:
    """How a walk goes: length and largest turn of its steps, how far it keeps off itself and from the border.

    With a negative ``margin`` it goes on outside the picture.
    """

    step: tuple[float, float] = (14.0, 26.0)
    turn: float = np.deg2rad(40)
    clearance: float = 20.0
    margin: float = 5.0
    steps: int = 12


_WITHIN = _Course()
_THROUGH = _Course(step=(16.0, 30.0), turn=np.deg2rad(28), margin=-45.0, steps=16)
"""Fibres in a real picture are straighter than the published simulation's, and most run out of it."""


def _axon(rng: np.random.Generator, side: int, course: _Course) -> np.ndarray:
    """Centreline (n, 2) of an axon with at least 60 px inside the picture, the longest stretch if it leaves it."""
    while True:
        line = _inside(_fibre_course(rng, side, course), side)
        if len(line) * STEP_PX >= _SHORTEST_PX:
            return line


def _fibre_course(rng: np.random.Generator, side: int, course: _Course) -> np.ndarray:
    """A line (n, 2) from somewhere, towards the middle at first, give or take; may be empty."""
    start = rng.uniform(course.margin, side - 1 - course.margin, 2)
    to_middle = (side - 1) / 2 - start
    return _spline(_walk(start, float(np.arctan2(*to_middle) + rng.normal(0, 0.6)), rng, side, course))


def _inside(line: np.ndarray, side: int) -> np.ndarray:
    """The longest stretch of a line in the picture."""
    within = np.concatenate([[False], ((line >= 0) & (line <= side - 1)).all(axis=1), [False]])
    changes = np.flatnonzero(within[1:] != within[:-1])
    if not changes.size:
        return line[:0]
    first, last = max(zip(changes[::2], changes[1::2], strict=True), key=lambda span: span[1] - span[0])
    return line[first:last]


def _walk(start: np.ndarray, heading: float, rng: np.random.Generator, side: int, course: _Course) -> np.ndarray:
    """Points (n, 2) of a walk that turns little at a time, ends at the margin, and keeps off its earlier points."""
    points = [start]
    for _ in range(course.steps):
        heading += rng.uniform(-course.turn, course.turn)
        point = points[-1] + rng.uniform(*course.step) * np.array([np.sin(heading), np.cos(heading)])
        earlier = np.array(points[:-1]).reshape(-1, 2)
        near = len(earlier) > 0 and np.hypot(*(earlier - point).T).min() < course.clearance
        if near or (point < course.margin).any() or (point > side - 1 - course.margin).any():
            break
        points.append(point)
    return np.array(points)


def _spline(knots: np.ndarray) -> np.ndarray:
    """Points (n, 2) 0.25 px apart on a cubic spline through the knots; none for fewer than three knots."""
    if len(knots) < 3:
        return np.empty((0, 2))
    reached = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    fine = CubicSpline(reached, knots)(np.linspace(0, reached[-1], int(reached[-1] / STEP_PX) * 2))
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(fine, axis=0).T))])
    even = np.arange(0, length[-1], STEP_PX)
    return np.stack([np.interp(even, length, fine[:, axis]) for axis in (0, 1)], axis=1)


def _drawn(points: np.ndarray, weights: np.ndarray | float, sigma: float, side: int) -> np.ndarray:
    """A line of points 0.25 px apart; where its weight is 1, the ridge of its Gaussian profile is 1 high."""
    mass = _splat(points, np.broadcast_to(weights, len(points)) * STEP_PX, side)
    return ndimage.gaussian_filter(mass, sigma, mode="constant", truncate=3.5) * np.sqrt(
        2 * np.pi * (sigma**2 + _SPLAT)
    )


def _splat(points: np.ndarray, weights: np.ndarray, side: int) -> np.ndarray:
    """Share each point out over the four pixels around it, float64 (side, side)."""
    low = np.floor(points).astype(int)
    part = points - low
    out = np.zeros(side * side)
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - part[:, 0]) * np.abs(1 - right - part[:, 1]) * weights
            row, column = low[:, 0] + down, low[:, 1] + right
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
            out += np.bincount(row[inside] * side + column[inside], share[inside], minlength=side * side)
    return out.reshape(side, side)


# The published conditions ---------------------------------------------------------------------------------------------


def _published(condition: Condition, centreline: np.ndarray, rng: np.random.Generator, side: int) -> np.ndarray:
    """A plain axon on a Gaussian background, with structured Poisson noise if the condition has it."""
    clean = _drawn(centreline, rng.uniform(*condition.height), rng.uniform(*condition.sigma), side)
    if condition.specks:
        clean += _specks(condition, rng, side)
    noisy = condition.background + clean + rng.normal(0, condition.noise, (side, side))
    return np.clip(noisy, 0, 255).astype(np.float32)


def _specks(condition: Condition, rng: np.random.Generator, side: int) -> np.ndarray:
    """Poisson points blurred like the axon: noise that has its width and brightness, but not its length."""
    counts = rng.poisson(condition.specks, (side, side)).astype(float)
    sigma = rng.uniform(*condition.sigma)
    peak = 1 / (2 * np.pi * sigma**2)
    return ndimage.gaussian_filter(counts, sigma) * (0.7 * np.mean(condition.height) / peak)


# The realistic condition ----------------------------------------------------------------------------------------------


def _realistic(rng: np.random.Generator, side: int) -> Scene:
    """An axon as in a two-photon projection, with neighbours, branches, haze, shadows and noise."""
    centreline = _axon(rng, side, _THROUGH)
    height = float(np.clip(rng.lognormal(np.log(18), 0.5), 7, 90))
    light = _fibre(_extended(centreline), height, rng.uniform(2.0, 2.8), rng, side)
    others = _neighbours(rng, side) + _branches(centreline, rng, side)
    for line in others:
        light += _fibre(line, height * rng.lognormal(-0.2, 0.6), rng.uniform(1.8, 2.8), rng, side)
    light += _haze(rng, side) + _background(rng, side)
    return Scene(_noisy(light, rng), centreline, tuple(others))


def _extended(line: np.ndarray) -> np.ndarray:
    """A line that was cut at the border, drawn straight on for 10 px, so that its brightness does not fall there."""
    further = np.arange(1, 10 / STEP_PX)[:, None]
    return np.concatenate(
        [line[0] - further[::-1] * (line[1] - line[0]), line, line[-1] + further * (line[-1] - line[-2])]
    )


def _fibre(line: np.ndarray, height: float, sigma: float, rng: np.random.Generator, side: int) -> np.ndarray:
    """A fibre of uneven brightness, with about one bouton in 100 px."""
    return _drawn(line, height * _unevenness(len(line), rng), sigma, side) + _boutons(line, height, sigma, rng, side)


def _unevenness(count: int, rng: np.random.Generator) -> np.ndarray:
    """Factors around 1 along a line: slow changes and quick ones, never below 0.2."""
    slow = ndimage.gaussian_filter1d(rng.standard_normal(count), 12 / STEP_PX, mode="reflect")
    quick = ndimage.gaussian_filter1d(rng.standard_normal(count), 2.5 / STEP_PX, mode="reflect")
    both = 0.35 * slow / (slow.std() + 1e-9) + 0.3 * quick / (quick.std() + 1e-9)
    return np.maximum(np.exp(both - 0.1), 0.2)


def _boutons(line: np.ndarray, height: float, sigma: float, rng: np.random.Generator, side: int) -> np.ndarray:
    """Bright round swellings on a line."""
    count = rng.poisson(len(line) * STEP_PX / 100)
    if not count:
        return np.zeros((side, side))
    wide = sigma * rng.uniform(1.0, 1.4)
    masses = height * rng.uniform(0.8, 2.5, count) * 2 * np.pi * wide**2
    places = line[rng.integers(0, len(line), count)] + rng.normal(0, 0.4, (count, 2))
    return ndimage.gaussian_filter(_splat(places, masses, side), wide, mode="constant")


def _neighbours(rng: np.random.Generator, side: int) -> list[np.ndarray]:
    """Other fibres, that cross what is in their way."""
    count = rng.poisson(1.6 * (side / SIDE_PX) ** 2)
    return [line for line in (_fibre_course(rng, side, _THROUGH) for _ in range(count)) if len(line)]


def _branches(centreline: np.ndarray, rng: np.random.Generator, side: int) -> list[np.ndarray]:
    """Fibres that leave the axon at 40 to 100 degrees, about one in three pictures."""
    lines = []
    for _ in range(rng.poisson(0.35)):
        at = rng.integers(len(centreline) // 5, 4 * len(centreline) // 5)
        along = centreline[at + 1] - centreline[at]
        turn = rng.choice([-1, 1]) * np.deg2rad(rng.uniform(40, 100))
        course = replace(_THROUGH, steps=int(rng.integers(2, 6)))
        lines.append(_spline(_walk(centreline[at], float(np.arctan2(*along) + turn), rng, side, course)))
    return [line for line in lines if len(line)]


def _haze(rng: np.random.Generator, side: int) -> np.ndarray:
    """Blobs out of focus."""
    out = np.zeros((side, side))
    for _ in range(rng.poisson(1.5 * (side / SIDE_PX) ** 2)):
        away = (np.arange(side) - rng.uniform(0, side, (2, 1))) / rng.uniform(4, 12)
        rows, columns = np.exp(-0.5 * away**2)
        out += rng.uniform(4, 18) * np.outer(rows, columns)
    return out


def _background(rng: np.random.Generator, side: int) -> np.ndarray:
    """An uneven dark level, with the shadow of a vessel in one picture of four."""
    cells = max(4, side // 24)
    coarse = ndimage.zoom(rng.standard_normal((cells, cells)), side / cells, order=1, grid_mode=True, mode="nearest")
    level = rng.lognormal(np.log(7.5), 0.45) * np.exp(0.25 * coarse)
    if rng.random() < 0.25:
        vessel = _fibre_course(rng, side, _THROUGH)
        level *= 1 - 0.7 * np.clip(_drawn(vessel, 1.0, rng.uniform(5, 10), side), 0, 1)
    return level


def _noisy(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise whose variance grows with the light (gain 1.5 to 4), shared by adjacent pixels; whole grey levels."""
    white = rng.standard_normal(light.shape)
    for axis, kernel in enumerate(_CORRELATED):
        white = ndimage.correlate1d(white, kernel / np.linalg.norm(kernel), axis=axis)
    noise = white * np.sqrt(rng.uniform(1.5, 4.0) * light + 0.5)
    return np.clip(np.round(light + noise), 0, 255).astype(np.float32)
