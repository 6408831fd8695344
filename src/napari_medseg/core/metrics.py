"""How good a segmentation is: overlap, surface distance, objects, calibration, uncertainty.

A class that occurs in neither the truth nor the prediction scores nan, and means leave it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_medseg.core.errors import InputError

_CHUNK = 1 << 22
"""Pixels counted at once, so that a large image needs little memory."""

_TINY = np.finfo(np.float32).tiny
"""Stands for a probability of 0, which has no logarithm."""


class ObjectScores(NamedTuple):
    """How well predicted objects match true ones; nan where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float
    matches: int


def confusion(
    truth: np.ndarray, predicted: np.ndarray, classes: int | None = None, ignore: int | None = None
) -> np.ndarray:
    """Count the pixels of each pair of classes.

    Parameters
    ----------
    truth, predicted
        Labels from 0, of one shape.
    classes
        Number of classes, 0 included; None takes the largest label + 1.
    ignore
        Pixels with this true label are not counted: 0 for scribbles, where it means "not annotated".

    Returns
    -------
    int64 array of shape (classes, classes): rows are the truth, columns the prediction
    """
    flat_truth, flat_predicted = _flat_labels(truth, predicted)
    largest = max((int(part.max()) for part in (flat_truth, flat_predicted) if part.size), default=0)
    count = largest + 1 if classes is None else classes
    if largest >= count:
        raise InputError(f"The label {largest} does not fit {count} classes (0 to {count - 1}).")
    table = np.zeros(count * count, np.int64)
    for start in range(0, flat_truth.size, _CHUNK):
        true_part = flat_truth[start : start + _CHUNK].astype(np.int64)
        pairs = true_part * count + flat_predicted[start : start + _CHUNK]
        table += np.bincount(pairs if ignore is None else pairs[true_part != ignore], minlength=count * count)
    return table.reshape(count, count)


def _flat_labels(truth: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.shape != predicted.shape:
        raise InputError(f"The truth has shape {truth.shape} and the prediction {predicted.shape}; they must be equal.")
    flat = []
    for name, labels in (("truth", truth), ("prediction", predicted)):
        if labels.dtype.kind not in "bui" or (labels.dtype.kind == "i" and labels.size and labels.min() < 0):
            raise InputError(f"The {name} holds {labels.dtype} values that are no labels; give whole numbers from 0.")
        flat.append((labels.view(np.uint8) if labels.dtype.kind == "b" else labels).ravel())
    return flat[0], flat[1]


def dice(truth: np.ndarray, predicted: np.ndarray, classes: int | None = None, ignore: int | None = None) -> np.ndarray:
    """Dice coefficient 2|A & B| / (|A| + |B|) of each class; arguments as in `confusion`.

    Returns
    -------
    float64 array indexed by label; nan for classes found in neither image and for ``ignore``
    """
    table = confusion(truth, predicted, classes, ignore)
    return _ratio(2 * np.diag(table), table.sum(0) + table.sum(1), ignore)


def iou(truth: np.ndarray, predicted: np.ndarray, classes: int | None = None, ignore: int | None = None) -> np.ndarray:
    """Intersection over union |A & B| / |A or B| of each class; as `dice`."""
    table = confusion(truth, predicted, classes, ignore)
    hits = np.diag(table)
    return _ratio(hits, table.sum(0) + table.sum(1) - hits, ignore)


def _ratio(above: np.ndarray, below: np.ndarray, ignore: int | None) -> np.ndarray:
    scores = np.full(len(above), np.nan)
    np.divide(above, below, out=scores, where=below > 0)
    if ignore is not None and 0 <= ignore < len(scores):
        scores[ignore] = np.nan
    return scores


def mean_present(scores: np.ndarray) -> float:
    """Mean over the classes that are present (not nan); nan where there is none."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else math.nan


def hd95(a: np.ndarray, b: np.ndarray, spacing: float | Sequence[float] = 1.0, percentile: float = 95.0) -> float:
    """Symmetric 95th percentile of the distances between two surfaces, in the unit of ``spacing``.

    The surface is the pixels of a mask with a face neighbour outside it (or at the edge of the image); the
    result is the larger of the percentiles a to b and b to a.

    Parameters
    ----------
    a, b
        Masks of one shape; anything but 0 is inside.
    spacing
        Pixel size along each axis.

    Returns
    -------
    the distance; nan where both masks are empty, inf where one is
    """
    a, b = np.asarray(a) != 0, np.asarray(b) != 0
    if a.shape != b.shape:
        raise InputError(f"The masks have shapes {a.shape} and {b.shape}; they must be equal.")
    if not a.any() or not b.any():
        return math.inf if a.any() or b.any() else math.nan
    box = _bounds(a | b)
    surface_a, surface_b = _surface(a[box]), _surface(b[box])
    sampling = np.broadcast_to(np.asarray(spacing, float), a.ndim)
    directions = (_distances(surface_a, surface_b, sampling), _distances(surface_b, surface_a, sampling))
    return float(max(np.percentile(distances, percentile) for distances in directions))


def _distances(start: np.ndarray, goal: np.ndarray, sampling: np.ndarray) -> np.ndarray:
    """Distance from each pixel of ``start`` to the nearest of ``goal``."""
    return np.asarray(ndimage.distance_transform_edt(~goal, sampling))[start]


def _bounds(mask: np.ndarray) -> tuple[slice, ...]:
    """Return the smallest box that holds a mask with any pixel."""
    spans = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(tuple(other for other in range(mask.ndim) if other != axis)))
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(spans)


def _surface(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask)


def object_f1(truth_labels: np.ndarray, predicted_labels: np.ndarray, iou: float = 0.5) -> ObjectScores:
    """Match objects one to one where they overlap well, as many as possible.

    Parameters
    ----------
    truth_labels, predicted_labels
        Each object has its own number; 0 is background.
    iou
        Least intersection over union of a match, above 0.
    """
    if not 0 < iou <= 1:
        raise InputError(f"The least overlap iou = {iou} must be above 0 and at most 1.")
    truth, predicted = _flat_labels(truth_labels, predicted_labels)
    true_objects, rows = _numbered(truth)
    predicted_objects, columns = _numbered(predicted)
    shape = (true_objects + 1, predicted_objects + 1)
    counts = sparse.coo_array((np.ones(truth.size, np.int64), (rows, columns)), shape).tocsr().tocoo()
    matches = _matches(counts, iou, shape)
    return ObjectScores(
        _share(matches, predicted_objects),
        _share(matches, true_objects),
        _share(2 * matches, true_objects + predicted_objects),
        matches,
    )


def _numbered(labels: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the number of objects, and labels renumbered without gaps; 0 stays background."""
    found, numbers = np.unique(np.append(labels, labels.dtype.type(0)), return_inverse=True)
    return len(found) - 1, numbers[:-1]


def _matches(counts: sparse.coo_array, iou: float, shape: tuple[int, int]) -> int:
    """Count the one-to-one pairs with enough overlap, as many as possible; row and column 0 are background."""
    row, column = counts.coords
    true_areas = np.bincount(row, counts.data, shape[0])
    predicted_areas = np.bincount(column, counts.data, shape[1])
    union = true_areas[row] + predicted_areas[column] - counts.data
    good = (row > 0) & (column > 0) & (counts.data >= iou * union)
    graph = sparse.csr_array((np.ones(good.sum(), np.uint8), (row[good], column[good])), shape=shape)
    return int((csgraph.maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def expected_calibration_error(
    probabilities: np.ndarray, truth: np.ndarray, bins: int = 15, ignore: int | None = None
) -> float:
    """Mean gap between confidence and accuracy over bins of confidence, weighted by their pixels.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, equation 3.

    Parameters
    ----------
    probabilities
        Shape (..., classes), 0 to 1.
    truth
        Shape (...): index of the true class along the last axis of ``probabilities``.
    bins
        Number of bins of equal width; each holds its upper edge.
    ignore
        Pixels with this true label are left out.
    """
    probabilities, truth = np.asarray(probabilities), np.asarray(truth)
    if probabilities.shape[:-1] != truth.shape:
        raise InputError(
            f"The probabilities have shape {probabilities.shape} and the truth {truth.shape}; "
            "all but the last axis must be equal."
        )
    kept = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    confidence = probabilities.max(-1)[kept].astype(np.float64)
    correct = (probabilities.argmax(-1) == truth)[kept]
    if not confidence.size:
        return math.nan
    bin_of = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    gaps = np.bincount(bin_of, correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / confidence.size)


def entropy(probabilities: np.ndarray, axis: int = -1) -> np.ndarray:
    """Shannon entropy along ``axis``, divided by the logarithm of the number of classes.

    Returns
    -------
    float32 array without ``axis``: 0 is certain, 1 is evenly spread; 0 where there is one class only
    """
    classes = probabilities.shape[axis]
    values = np.asarray(probabilities, np.float32)
    total = (values * np.log(np.maximum(values, _TINY))).sum(axis)
    return np.clip(total / np.float32(-math.log(max(classes, 2))), 0, 1)
