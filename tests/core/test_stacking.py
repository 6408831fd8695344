import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_medseg.core.stacking import SHARES, best_share

TRUTH = np.array([0] * 50 + [1] * 10)


def sure(truth, right):
    """Probabilities that put ``right`` on the true class."""
    out = np.full((len(truth), 2), 1 - right)
    out[np.arange(len(truth)), truth] = right
    return out


def test_the_better_model_gets_more():
    assert best_share(sure(TRUTH, 0.95), sure(1 - TRUTH, 0.9), TRUTH) == 0.75
    assert best_share(sure(1 - TRUTH, 0.9), sure(TRUTH, 0.95), TRUTH) == 0.25


def test_equals_share_equally():
    assert best_share(sure(TRUTH, 0.8), sure(TRUTH, 0.8), TRUTH) == 0.5


def test_models_that_err_in_different_places_are_averaged():
    even = np.arange(len(TRUTH)) % 2 == 0
    first, second = sure(np.where(even, TRUTH, 1 - TRUTH), 0.99), sure(np.where(even, 1 - TRUTH, TRUTH), 0.99)
    assert best_share(first, second, TRUTH) == 0.5


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    # The first model is right on the 10 pixels of class 1 only, the second on the 50 of class 0, less surely.
    first, second = sure(np.ones_like(TRUTH), 0.999), sure(np.zeros_like(TRUTH), 0.9)
    assert best_share(first, second, TRUTH) == pytest.approx(0.5)


@given(st.integers(0, 2**16))
def test_always_one_of_the_shares(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.dirichlet([1, 1, 1], 20), rng.dirichlet([1, 1, 1], 20)
    assert best_share(first, second, rng.integers(0, 3, 20)) in SHARES
