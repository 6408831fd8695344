from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.core.errors import InputError
from napari_medseg.train.simulate import CLASSES, six_class_tissue


@pytest.mark.parametrize("seed", range(3))
def test_every_class_has_its_share(seed):
    rgb, labels = six_class_tissue(384, seed)
    assert rgb.shape == (384, 384, 3) and rgb.dtype == np.uint8
    assert labels.shape == (384, 384) and labels.dtype == np.uint8
    shares = {number: float((labels == number).mean()) for number in CLASSES}
    assert sum(shares.values()) == pytest.approx(1)
    bounds = {1: (0.4, 0.6), 2: (0.18, 0.32), 3: (0.08, 0.16), 4: (0.04, 0.1), 5: (0.02, 0.06), 6: (0.01, 0.035)}
    for number, (low, high) in bounds.items():
        assert low <= shares[number] <= high, CLASSES[number]


def test_same_seed_same_image_and_other_seed_another():
    first, again, other = (six_class_tissue(128, seed) for seed in (4, 4, 5))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert (first[1] != other[1]).mean() > 0.1
    assert np.abs(first[0].astype(int) - other[0]).mean() > 5


def test_the_stain_varies_with_the_seed():
    means = np.array([six_class_tissue(128, seed)[0].mean(axis=(0, 1)) for seed in range(6)])
    assert means.std(axis=0).max() > 3


def test_classes_differ_in_colour_on_the_mean_but_overlap_by_pixel():
    """The nearest class mean in colour does better than chance, and not well."""
    rgb, labels = six_class_tissue(256, 1)
    means = np.stack([rgb[labels == number].mean(axis=0) for number in CLASSES])
    nearest = np.linalg.norm(rgb[..., None, :] - means, axis=-1).argmin(axis=-1) + 1
    dice = [
        2 * ((nearest == number) & (labels == number)).sum() / ((nearest == number).sum() + (labels == number).sum())
        for number in CLASSES
    ]
    assert 0.25 < np.mean(dice) < 0.65


def test_fat_is_bright_and_lymphocytes_are_dark():
    rgb, labels = six_class_tissue(256, 2)
    brightness = {number: rgb[labels == number].mean() for number in CLASSES}
    assert brightness[3] == max(brightness.values())
    assert brightness[4] < brightness[1]


def test_smallest_size_and_below():
    assert six_class_tissue(64, 0)[0].shape == (64, 64, 3)
    assert six_class_tissue(97, 0)[1].shape == (97, 97)
    with pytest.raises(InputError, match="63 pixels is too small; ask for at least 64"):
        six_class_tissue(63)
