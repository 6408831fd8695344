"""Scores against cases worked out by hand."""

import numpy as np
import pytest

from benchmarks.score import dice


def test_binary_sets_score_the_object_alone():
    truth = np.array([[1, 1, 2, 2]], np.uint8)
    found = np.array([[1, 2, 2, 1]], np.uint8)
    assert dice(found, truth) == pytest.approx(2 * 1 / (2 + 2))


def test_more_classes_are_averaged():
    truth = np.array([[1, 1, 2, 3]], np.uint8)
    found = np.array([[1, 2, 2, 1]], np.uint8)
    assert dice(found, truth) == pytest.approx((2 / 4 + 2 / 3 + 0) / 3)


def test_painted_pixels_do_not_count():
    truth = np.array([[1, 1, 2, 2]], np.uint8)
    found = np.array([[1, 1, 2, 1]], np.uint8)
    painted = np.array([[0, 0, 0, 2]], np.uint8)
    assert dice(found, truth, painted) == 1
    assert dice(found, truth) < 1
