"""Simulated strokes: inside their class, of every class, repeatable, of a human amount."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from benchmarks.balancing import annotation, dense_patches, uneven_strokes
from benchmarks.latency import growing
from benchmarks.strokes import strokes


def blobs(side: int = 256, objects: int = 3, seed: int = 0) -> np.ndarray:
    noise = ndi.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), side / 16)
    limits = np.quantile(noise, np.linspace(0, 1, objects + 1)[1:-1])
    return (np.digitize(noise, limits) + 1).astype(np.uint8)


@pytest.mark.parametrize("count", [1, 5, 20, 80])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_paint_stays_in_its_class_and_every_class_gets_some(count, classes):
    truth = blobs(objects=classes)
    painted = strokes(truth, count, seed=1)
    inside = painted > 0
    np.testing.assert_array_equal(painted[inside], truth[inside])
    assert set(np.unique(painted[inside])) == set(range(1, classes + 1))


def test_the_seed_decides():
    truth = blobs()
    np.testing.assert_array_equal(strokes(truth, 20, 3), strokes(truth, 20, 3))
    assert (strokes(truth, 20, 3) != strokes(truth, 20, 4)).any()


def test_more_strokes_paint_more_but_never_much_of_a_class():
    truth = blobs(512)
    shares = [np.mean(strokes(truth, count, 0) > 0) for count in (5, 20, 80)]
    assert shares[0] < shares[1] < shares[2]
    assert shares[0] > 0.001
    assert shares[2] < 0.2


def test_strokes_keep_away_from_the_border_of_their_class():
    truth = np.ones((256, 256), np.uint8)
    truth[64:192, 64:192] = 2
    painted = strokes(truth, 10, 0)
    assert ndi.distance_transform_edt(truth == 2)[painted == 2].min() >= 2


def test_one_pixel_structures_are_painted_too():
    truth = np.ones((128, 128), np.uint8)
    truth[60, :] = 2
    painted = strokes(truth, 6, 0)
    assert (painted == 2).sum() >= 5


def test_uneven_strokes_follow_the_area():
    truth = np.ones((512, 512), np.uint8)
    truth[:100, :100] = 2
    painted = uneven_strokes(truth, 0)
    assert 0 < (painted == 2).sum() < 0.1 * (painted == 1).sum()


def test_dense_patches_reach_every_class_and_hold_the_truth():
    truth = np.ones((512, 512), np.uint8)
    truth[20:60, 20:60] = 2
    truth[440:480, 440:480] = 3
    marked = dense_patches(truth, 0)
    assert set(np.unique(truth[marked > 0])) == {1, 2, 3}
    labels, mask = annotation(truth, "combined", 0)
    np.testing.assert_array_equal(labels[mask > 0], truth[mask > 0])
    assert (labels[mask == 0] > 0).any()
    labels, mask = annotation(truth, "dense", 0)
    assert not labels[mask == 0].any()


def test_growing_scribbles_only_grow_and_begin_with_every_class():
    truth = blobs(objects=2)
    pictures = growing(truth, 6, 0)
    assert len(pictures) == 6
    assert set(np.unique(pictures[0])) == {0, 1, 2}
    for before, after in zip(pictures, pictures[1:], strict=False):
        np.testing.assert_array_equal(after[before > 0], before[before > 0])
        assert (after > 0).sum() > (before > 0).sum()
