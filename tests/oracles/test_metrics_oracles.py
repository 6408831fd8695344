"""Our metrics beside those of scikit-image, scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, stats
from skimage.metrics import contingency_table, hausdorff_distance

from napari_medseg.core import metrics


@pytest.fixture(params=range(3))
def pair(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    """Two similar label images of five classes."""
    rng = np.random.default_rng(request.param)
    smooth = ndimage.gaussian_filter(rng.standard_normal((5, 60, 47)), (0, 4, 4))
    return smooth.argmax(0), (smooth + 0.03 * rng.standard_normal(smooth.shape)).argmax(0)


def test_overlap_equals_scikit_learn(pair) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    flat = [labels.ravel() for labels in pair]
    np.testing.assert_array_equal(metrics.confusion(*pair), sklearn.confusion_matrix(*flat))
    np.testing.assert_allclose(metrics.dice(*pair), sklearn.f1_score(*flat, average=None))
    np.testing.assert_allclose(metrics.iou(*pair), sklearn.jaccard_score(*flat, average=None))


def test_ignored_pixels_equal_scikit_learn(pair) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    truth, predicted = pair
    kept = truth != 0
    ours = metrics.dice(truth, predicted, ignore=0)[1:]
    theirs = sklearn.f1_score(truth[kept], predicted[kept], average=None, labels=range(1, 5))
    np.testing.assert_allclose(ours, theirs)


def test_confusion_equals_scikit_image(pair) -> None:
    np.testing.assert_array_equal(metrics.confusion(*pair), contingency_table(*pair).toarray())


def test_largest_distance_equals_scikit_image(pair) -> None:
    masks = [labels == 1 for labels in pair]
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
    assert metrics.hd95(*masks, percentile=100) == pytest.approx(hausdorff_distance(*edges))


def test_entropy_equals_scipy() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.full(6, 0.3), (20, 30))
    expected = stats.entropy(probabilities, base=6, axis=-1)
    np.testing.assert_allclose(metrics.entropy(probabilities), expected, atol=1e-6)


def test_binary_calibration_equals_scikit_learn() -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(1)
    right = rng.uniform(0.5, 1, 5000)
    truth = rng.random(5000) < right**2
    share, confidence = calibration.calibration_curve(truth, right, n_bins=10, strategy="uniform")
    sizes = np.histogram(right, np.linspace(0, 1, 11))[0][5:]
    expected = (np.abs(share - confidence) * sizes).sum() / 5000
    probabilities = np.stack([1 - right, right], -1)
    assert metrics.expected_calibration_error(probabilities, truth.astype(int), bins=10) == pytest.approx(expected)
