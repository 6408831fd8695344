"""The peer from scikit-image: multiscale features and a random forest, as in its gallery's trainable segmentation.

https://scikit-image.org/docs/stable/auto_examples/segmentation/plot_trainable_segmentation.html
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier


@dataclass(frozen=True)
class Outcome:
    """What a method made of the strokes: labels of both images and the time it took."""

    same: np.ndarray
    other: np.ndarray
    seconds_train: float
    seconds_predict: float


def run(image: np.ndarray, strokes: np.ndarray, other: np.ndarray, seed: int = 0, threads: int = -1) -> Outcome:
    """Learn from ``strokes`` (0 = not painted) on ``image``; label ``image`` and ``other``.

    The features of the painted image count as training time: they are computed once.
    """
    start = time.perf_counter()
    seen = features(image)
    forest = RandomForestClassifier(n_estimators=50, n_jobs=threads, max_depth=10, max_samples=0.05, random_state=seed)
    forest.fit(seen[strokes > 0], strokes[strokes > 0])
    trained = time.perf_counter()
    same = _predict(forest, seen)
    predicted = time.perf_counter()
    return Outcome(same, _predict(forest, features(other)), trained - start, predicted - trained)


def features(image: np.ndarray) -> np.ndarray:
    """Intensity, edges and texture at sigma 1 to 16, float32 (H, W, F)."""
    channel_axis = -1 if image.ndim == 3 else None
    return multiscale_basic_features(image, sigma_min=1, sigma_max=16, channel_axis=channel_axis)


def _predict(forest: RandomForestClassifier, pixels: np.ndarray) -> np.ndarray:
    labels = forest.predict(pixels.reshape(-1, pixels.shape[-1]))
    return labels.reshape(pixels.shape[:-1]).astype(np.uint8)
