import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medseg.core.balance import pixel_weights
from napari_medseg.core.errors import InputError

LABELS = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 3)
)
CLASSES = (1, 2, 3)


def test_minibatch_by_hand():
    # Six annotated pixels in the batch, two classes: class 1 has 4, class 2 has 2.
    labels = np.array([[[1, 1, 0], [1, 0, 0]], [[1, 2, 2], [0, 0, 0]]])
    weights = pixel_weights(labels, "minibatch", CLASSES)
    np.testing.assert_allclose(weights, [[[0.75, 0.75, 0], [0.75, 0, 0]], [[0.75, 1.5, 1.5], [0, 0, 0]]])


def test_instance_by_hand():
    # The first patch holds one class only: weight 1. The second: L=3, C=2, counts 1 and 2.
    labels = np.array([[[1, 1, 0], [1, 0, 0]], [[1, 2, 2], [0, 0, 0]]])
    weights = pixel_weights(labels, "instance", CLASSES)
    np.testing.assert_allclose(weights, [[[1, 1, 0], [1, 0, 0]], [[1.5, 0.75, 0.75], [0, 0, 0]]])


def test_unknown_balancing_is_named():
    with pytest.raises(InputError, match="'both' is not known; choose none, instance or minibatch"):
        pixel_weights(np.ones((1, 2, 2), int), "both", CLASSES)  # type: ignore[arg-type]


@given(LABELS)
def test_present_classes_share_the_weight_equally(labels):
    weights = pixel_weights(labels, "minibatch", CLASSES)
    total, present = (labels != 0).sum(), [k for k in CLASSES if (labels == k).any()]
    assert weights.sum() == pytest.approx(total)
    for k in present:
        assert weights[labels == k].sum() == pytest.approx(total / len(present))
    assert (weights[labels == 0] == 0).all()


@given(LABELS)
def test_instance_sums_hold_in_every_patch(labels):
    weights = pixel_weights(labels, "instance", CLASSES)
    for patch, weight in zip(labels, weights, strict=True):
        assert weight.sum() == pytest.approx((patch != 0).sum())
        np.testing.assert_allclose(pixel_weights(patch[None], "minibatch", CLASSES)[0], weight)


@given(LABELS, st.sampled_from(["none", "instance", "minibatch"]))
def test_torch_gives_what_numpy_gives(labels, mode):
    expected = pixel_weights(labels, mode, CLASSES)
    np.testing.assert_allclose(pixel_weights(torch.from_numpy(labels), mode, CLASSES).numpy(), expected, rtol=1e-6)


@given(LABELS)
def test_without_balancing_every_annotated_pixel_counts_one(labels):
    np.testing.assert_array_equal(pixel_weights(labels, "none", CLASSES), labels != 0)
