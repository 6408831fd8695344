"""The instant answer: a linear head on cached filters, in the time of a blink."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np

from napari_medseg.core.balance import pixel_weights
from napari_medseg.core.events import Tile
from napari_medseg.core.job import Memory, Span
from napari_medseg.core.scribbles import Points
from napari_medseg.nn.feature_cache import FeatureCache
from napari_medseg.nn.linear_head import LinearHead, fit
from napari_medseg.nn.normalise import Scaling
from napari_medseg.tools.scribbles.lesson import Lesson
from napari_medseg.tools.tiles import tiles_of

MOST_PIXELS = 12_000
"""Pixels that the head is fitted on; more do not help a linear head."""


def cache_for(lesson: Lesson, scaling: Scaling, memory: Memory) -> FeatureCache:
    """The image's feature cache, kept between runs of a warm process."""
    held: tuple[str, FeatureCache] | None = memory.get("scribbles.features")
    if held is None or held[0] != lesson.key:
        held = memory["scribbles.features"] = (lesson.key, FeatureCache(lesson.image, scaling))
    held[1].image = lesson.image
    return held[1]


def fit_head(lesson: Lesson, cache: FeatureCache) -> LinearHead:
    """Fit the head on all strokes, with the balancing of the run."""
    return fit_head_on(lesson.everything, lesson, cache)


def fit_head_on(points: Points, lesson: Lesson, cache: FeatureCache) -> LinearHead:
    """Fit a head on some of the strokes."""
    points = thinned(points, MOST_PIXELS, np.random.default_rng(lesson.params.seed))
    position = np.searchsorted(np.array(lesson.labels), points.label)
    weights = pixel_weights(points.label[None], lesson.params.balancing, lesson.labels)[0]
    return fit(cache.at(points.index), position, weights, len(lesson.labels))


def answer(
    lesson: Lesson, cache: FeatureCache, head: LinearHead, view: tuple[Span, ...] | None
) -> Generator[Tile, None, None]:
    """Prediction and entropy of what is in view, block by block."""
    for where in cache.blocks(view):
        yield from tiles_of(cache.box(where), cache.probabilities(where, head), lesson.labels)


def thinned(points: Points, most: int, rng: np.random.Generator) -> Points:
    """At most about ``most`` points, the same number of each class where there are enough."""
    if len(points) <= most:
        return points
    counts = points.counts()
    fair = most / len(counts)
    keep = np.array([min(1.0, fair / counts[int(label)]) for label in points.label])
    return points.take(rng.random(len(points)) < keep)
