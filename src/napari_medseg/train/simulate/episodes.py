"""Batches of axons to trace: pictures, where each tracer comes from, and which end it is to reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.nn.brightness import measure
from napari_medseg.train.simulate.axons import CONDITIONS, PUBLISHED, SIDE_PX, STEP_PX, Scene, simulate, truth_picture

PAST = 4
"""Positions that a tracer has been at, the present one included."""
_PAST_STEP_PX = (1.5, 4.0)
_PAST_OFF_PX = 0.4
MIXTURES: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in CONDITIONS},
    "published": PUBLISHED,
    "all": (*PUBLISHED, *["realistic"] * 5),
}
"""What a training may draw from: one condition, the five published ones, or these and as many realistic ones."""


@dataclass(frozen=True)
class Episodes:
    """Pictures with one axon to be traced in each.

    Parameters
    ----------
    images
        float32 (N, H, W), brightness as ``nn.brightness`` gives it.
    truth
        float32 (N, H, W), pictures of the centrelines.
    history
        float32 (N, 4, 2): the last four positions, the start last; all the same without a past.
    ends
        float32 (N, 2).
    lines
        The centrelines from the start to the end.
    """

    images: np.ndarray
    truth: np.ndarray
    history: np.ndarray
    ends: np.ndarray
    lines: tuple[np.ndarray, ...]


def draw(mixture: str, seed: Sequence[int], count: int, *, midway: float = 0.0, side: int = SIDE_PX) -> Episodes:
    """Simulate ``count`` pictures; the same seed gives the same ones.

    Parameters
    ----------
    mixture
        A name in ``MIXTURES``; its conditions take turns.
    midway
        Share of the episodes that start on the axon with a past; the others start at an end without one.
    """
    if mixture not in MIXTURES:
        raise InputError(f"There is no condition {mixture!r}; choose one of {', '.join(MIXTURES)}.")
    names = MIXTURES[mixture]
    scenes = [simulate(names[i % len(names)], (*seed, i), side) for i in range(count)]
    return episodes(scenes, np.random.default_rng([*seed, count]), midway=midway)


def episodes(scenes: Sequence[Scene], rng: np.random.Generator, *, midway: float = 0.0) -> Episodes:
    """Choose a start and a direction in each scene."""
    starts = [_start(scene.centreline[:: rng.choice([-1, 1])], rng, midway) for scene in scenes]
    pictures = [measure(scene.image).apply(scene.image) for scene in scenes]
    truth = [truth_picture(scene.centreline, _shape(scene)) for scene in scenes]
    return Episodes(
        np.stack(pictures),
        np.stack(truth),
        np.stack([history for history, _ in starts]).astype(np.float32),
        np.stack([line[-1] for _, line in starts]).astype(np.float32),
        tuple(line for _, line in starts),
    )


def _start(line: np.ndarray, rng: np.random.Generator, midway: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a tracer comes from, (4, 2), and the line that is left for it."""
    if rng.random() >= midway:
        return np.repeat(line[:1], PAST, axis=0), line
    steps = rng.uniform(*_PAST_STEP_PX) / STEP_PX * np.arange(PAST)
    first = int(rng.integers(0, len(line) // 2))
    numbers = np.minimum(first + steps.astype(int), len(line) - 2)
    return line[numbers] + rng.normal(0, _PAST_OFF_PX, (PAST, 2)), line[numbers[-1] :]


def _shape(scene: Scene) -> tuple[int, int]:
    height, width = scene.image.shape
    return int(height), int(width)
