"""How much each of two models should count, judged on pixels that neither has learned from."""

from __future__ import annotations

import numpy as np

SHARES = (0.25, 0.5, 0.75)
"""Neither model is ever left alone: on a few strokes the evidence for that is too thin."""


def best_share(first: np.ndarray, second: np.ndarray, truth: np.ndarray) -> float:
    """Share of ``first`` in the mean of two models that gives the truth the highest likelihood.

    Every class counts the same. A few pixels cannot tell small differences: equal weights stay unless another
    share lowers the loss by a tenth.

    Parameters
    ----------
    first, second
        (pixels, classes) probabilities.
    truth
        (pixels,) positions of the true classes.
    """
    losses = {share: _balanced_log_loss(share * first + (1 - share) * second, truth) for share in SHARES}
    best = min(losses, key=losses.__getitem__)
    return best if losses[best] < 0.9 * losses[0.5] else 0.5


def _balanced_log_loss(probabilities: np.ndarray, truth: np.ndarray) -> float:
    losses = -np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-4))
    return float(np.mean([losses[truth == position].mean() for position in np.unique(truth)]))
