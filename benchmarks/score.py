"""Scores of a prediction against the truth."""

from __future__ import annotations

import numpy as np


def dice(prediction: np.ndarray, truth: np.ndarray, painted: np.ndarray | None = None) -> float:
    """Dice of the object (class 2) in binary sets, mean over the classes of the truth where there are more.

    Parameters
    ----------
    painted
        Strokes on this image; painted pixels are left out. None counts every pixel.
    """
    counted = np.ones(truth.shape, bool) if painted is None else painted == 0
    found, true = prediction[counted], truth[counted]
    classes = np.unique(truth)
    wanted = [2] if len(classes) <= 2 else classes.tolist()
    return float(np.mean([_dice(found == value, true == value) for value in wanted]))


def _dice(found: np.ndarray, true: np.ndarray) -> float:
    """Sørensen-Dice; 1 where both are empty."""
    total = int(found.sum()) + int(true.sum())
    return 2 * int((found & true).sum()) / total if total else 1.0
