from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medseg.core import metrics
from napari_medseg.core.errors import InputError

TRUTH = np.array([[0, 0, 1], [1, 1, 2]], np.uint8)
PREDICTED = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)


def test_confusion_by_hand() -> None:
    np.testing.assert_array_equal(metrics.confusion(TRUTH, PREDICTED), [[1, 1, 0], [1, 2, 0], [1, 0, 0]])


def test_confusion_ignores_pixels_by_their_truth() -> None:
    np.testing.assert_array_equal(metrics.confusion(TRUTH, PREDICTED, ignore=0), [[0, 0, 0], [1, 2, 0], [1, 0, 0]])


def test_confusion_of_many_pixels_goes_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, (2, 37, 29))
    whole = metrics.confusion(truth, predicted, ignore=2)
    monkeypatch.setattr(metrics, "_CHUNK", 100)
    np.testing.assert_array_equal(metrics.confusion(truth, predicted, ignore=2), whole)


def test_dice_and_iou_by_hand() -> None:
    # class 0: 1 shared, 2 + 3; class 1: 2 shared, 3 + 3; class 2: 0 shared, 1 + 0; class 3 nowhere
    np.testing.assert_allclose(metrics.dice(TRUTH, PREDICTED, 4), [2 / 5, 4 / 6, 0, math.nan])
    np.testing.assert_allclose(metrics.iou(TRUTH, PREDICTED, 4), [1 / 4, 2 / 4, 0, math.nan])


def test_dice_of_scribbles_leaves_out_what_is_not_annotated() -> None:
    # Only the four annotated pixels count: class 1 has 2 of 3, and nothing but them is predicted 1.
    np.testing.assert_allclose(metrics.dice(TRUTH, PREDICTED, ignore=0), [math.nan, 4 / 5, 0])
    np.testing.assert_allclose(metrics.iou(TRUTH, PREDICTED, ignore=0), [math.nan, 2 / 3, 0])


def test_mean_is_over_present_classes() -> None:
    assert metrics.mean_present(np.array([math.nan, 0.5, 1.0])) == 0.75
    assert math.isnan(metrics.mean_present(np.array([math.nan])))


def test_masks_are_labels_too() -> None:
    assert metrics.dice(TRUTH > 0, PREDICTED > 0)[1] == pytest.approx(2 * 2 / (4 + 3))


@pytest.mark.parametrize(
    ("truth", "predicted", "classes", "words"),
    [
        (TRUTH, PREDICTED[:1], None, "shape"),
        (TRUTH, PREDICTED.astype(float), None, "prediction holds float64"),
        (TRUTH.astype(int) - 1, PREDICTED, None, "truth holds int64"),
        (TRUTH, PREDICTED, 2, "label 2 does not fit 2"),
    ],
)
def test_bad_labels_are_refused(truth, predicted, classes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        metrics.dice(truth, predicted, classes)


def brute_hd(a: np.ndarray, b: np.ndarray, spacing, percentile: float) -> float:
    """Distances pixel by pixel, without erosion or distance transform."""

    def surface(mask):
        points = []
        for point in zip(*np.nonzero(mask), strict=True):
            for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
                other = list(point)
                other[axis] += step
                outside = not 0 <= other[axis] < mask.shape[axis]
                if outside or not mask[tuple(other)]:
                    points.append(np.array(point) * spacing)
                    break
        return points

    def directed(start, goal):
        return np.percentile([min(math.dist(p, q) for q in goal) for p in start], percentile)

    surfaces = surface(a), surface(b)
    return max(directed(*surfaces), directed(*surfaces[::-1]))


@given(st.data())
@settings(max_examples=60)
def test_hd95_equals_brute_force(data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, max_side=6))
    a, b = (data.draw(hnp.arrays(bool, shape)) for _ in range(2))
    spacing = np.array(data.draw(st.tuples(*[st.sampled_from([0.25, 1.0, 3.0])] * len(shape))))
    if not a.any() or not b.any():
        expected = math.inf if a.any() or b.any() else math.nan
        np.testing.assert_equal(metrics.hd95(a, b, spacing), expected)
    else:
        assert metrics.hd95(a, b, spacing) == pytest.approx(brute_hd(a, b, spacing, 95))
        assert metrics.hd95(a, b, spacing, 50) == pytest.approx(brute_hd(a, b, spacing, 50))


def test_hd95_by_hand() -> None:
    a, b = np.zeros((2, 5, 9), bool)
    a[1, 1], b[1, 5] = True, True
    assert metrics.hd95(a, b, spacing=(10, 0.5)) == 2.0
    b[1, 5], b[4, 1] = False, True
    assert metrics.hd95(a, b, spacing=(10, 0.5)) == 30.0
    assert metrics.hd95(a, a) == 0


def test_hd95_refuses_other_shapes() -> None:
    with pytest.raises(InputError, match="shapes"):
        metrics.hd95(np.ones((2, 2)), np.ones((2, 3)))


def test_object_f1_by_hand() -> None:
    truth = np.array([1, 1, 1, 1, 0, 2, 2, 0, 3, 3])
    predicted = np.array([7, 7, 7, 0, 0, 0, 9, 9, 9, 0])
    # 1 and 7: 3 of 4; 2 and 9: 1 of 4; 3 and 9: 1 of 4
    assert metrics.object_f1(truth, predicted) == (1 / 2, 1 / 3, 2 / 5, 1)
    assert metrics.object_f1(truth, predicted, iou=0.25) == (1, 2 / 3, 4 / 5, 2)
    assert metrics.object_f1(truth, predicted, iou=0.8) == (0, 0, 0, 0)


def test_object_f1_matches_one_to_one() -> None:
    truth = np.array([5, 5, 5, 5])
    predicted = np.array([1, 1, 2, 2])  # both halves reach the limit, only one may count
    assert metrics.object_f1(truth, predicted) == (1 / 2, 1, 2 / 3, 1)


def test_object_f1_finds_the_most_pairs() -> None:
    truth = np.array([1, 1, 1, 2, 2, 2])
    predicted = np.array([3, 3, 4, 4, 4, 3])
    # At a low limit every pair is allowed; greedy in the wrong order would leave one out.
    assert metrics.object_f1(truth, predicted, iou=0.2).matches == 2


def test_object_f1_without_objects() -> None:
    nothing, something = np.zeros((3, 3), int), np.eye(3, dtype=int)
    assert np.isnan(metrics.object_f1(nothing, nothing)[:3]).all()
    assert metrics.object_f1(something, nothing)[1:] == (0, 0, 0)
    assert math.isnan(metrics.object_f1(something, nothing).precision)
    assert metrics.object_f1(something, something) == (1, 1, 1, 1)


def test_object_f1_with_large_labels() -> None:
    labels = np.array([0, 2**32 - 1, 2**32 - 1, 7], np.uint32)
    assert metrics.object_f1(labels, labels) == (1, 1, 1, 2)


def test_object_f1_refuses_a_limit_of_zero() -> None:
    with pytest.raises(InputError, match="iou = 0"):
        metrics.object_f1(np.ones(3, int), np.ones(3, int), iou=0)


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.3, 0.7], [0.4, 0.6]])
    truth = np.array([0, 1, 1, 1])
    # Bins of 0.1: (0.8, 0.9] two pixels, half right, gap 0.4; 0.7 gap 0.3; 0.6 gap 0.4
    expected = (2 * 0.4 + 0.3 + 0.4) / 4
    assert metrics.expected_calibration_error(probabilities, truth, bins=10) == pytest.approx(expected)


def test_a_bin_holds_its_upper_edge() -> None:
    probabilities = np.array([[0.5, 0.5], [0.25, 0.75]])
    # Gaps of +0.5 and -0.75 in bins of their own; in one bin they would cancel to 0.25.
    assert metrics.expected_calibration_error(probabilities, np.array([0, 0]), bins=2) == pytest.approx(1.25 / 2)


def test_calibration_error_ignores_and_may_be_empty() -> None:
    probabilities = np.array([[[1.0, 0.0], [0.25, 0.75]]])
    truth = np.array([[0, 1]])
    assert metrics.expected_calibration_error(probabilities, truth) == pytest.approx(0.125)
    assert metrics.expected_calibration_error(probabilities, truth, ignore=0) == pytest.approx(0.25)
    assert math.isnan(metrics.expected_calibration_error(probabilities[:, :1], truth[:, :1], ignore=0))


def test_calibration_error_of_a_calibrated_model_is_small() -> None:
    rng = np.random.default_rng(0)
    right = rng.uniform(0.5, 1, 200_000)
    probabilities = np.stack([1 - right, right], -1)
    truth = (rng.random(len(right)) < right).astype(int)
    assert metrics.expected_calibration_error(probabilities, truth) < 0.01
    assert metrics.expected_calibration_error(probabilities, 1 - truth) > 0.4


def test_calibration_error_refuses_other_shapes() -> None:
    with pytest.raises(InputError, match="last axis"):
        metrics.expected_calibration_error(np.ones((3, 2)), np.ones(2, int))


def test_entropy_by_hand() -> None:
    probabilities = np.array([[1, 0, 0, 0], [0.25] * 4, [0.5, 0.5, 0, 0]])
    result = metrics.entropy(probabilities)
    np.testing.assert_allclose(result, [0, 1, 0.5], atol=1e-7)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(metrics.entropy(probabilities.T, axis=0), result)


def test_entropy_keeps_nan_and_takes_one_class() -> None:
    assert np.isnan(metrics.entropy(np.array([[math.nan, 0.5]]))).all()
    assert (metrics.entropy(np.ones((3, 1))) == 0).all()


@given(hnp.arrays(np.float32, (5, 3), elements=st.floats(0.0009765625, 1, width=32)))
def test_entropy_lies_between_0_and_1(weights: np.ndarray) -> None:
    result = metrics.entropy(weights / weights.sum(1, keepdims=True))
    assert ((result >= 0) & (result <= 1)).all()
