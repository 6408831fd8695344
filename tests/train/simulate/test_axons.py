"""Simulated axons: where the truth says they are, as they are said to look."""

import numpy as np
import pytest
from scipy import ndimage

from napari_medseg.core.errors import InputError
from napari_medseg.train.simulate.axons import (
    _CORRELATED,
    CONDITIONS,
    PUBLISHED,
    STEP_PX,
    _drawn,
    _noisy,
    _spline,
    simulate,
    truth_picture,
)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_pictures_are_grey_levels_and_the_line_is_even_and_inside(condition):
    scene = simulate(condition, 3, side=96)
    assert scene.image.shape == (96, 96)
    assert scene.image.dtype == np.float32
    assert scene.image.min() >= 0 and scene.image.max() <= 255
    gaps = np.hypot(*np.diff(scene.centreline, axis=0).T)
    np.testing.assert_allclose(gaps, STEP_PX, rtol=0.02)
    assert len(scene.centreline) * STEP_PX >= 60
    assert (scene.centreline >= 0).all() and (scene.centreline <= 95).all()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_seed_decides(condition):
    first, again, other = (simulate(condition, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.centreline, again.centreline)
    assert not np.array_equal(first.image, other.image)


def profile(image, y, x, reach=8):
    """Brightness across a horizontal line at (y, x), and its offsets."""
    offsets = np.arange(-reach, reach + 0.01, 0.25)
    return offsets, ndimage.map_coordinates(image, [y + offsets, np.full(len(offsets), x)], order=3)


def test_a_drawn_line_peaks_at_its_subpixel_place_and_is_one_high():
    x = np.arange(5, 60, STEP_PX)
    image = _drawn(np.stack([np.full(len(x), 30.2), x], axis=1), 1.0, 1.5, 64)
    offsets, values = profile(image, 30.2, 32.6)
    assert (offsets * values).sum() / values.sum() == pytest.approx(0, abs=0.01)
    assert values.max() == pytest.approx(1, abs=0.05)
    width = STEP_PX * (values > values.max() / 2).sum()
    assert width == pytest.approx(2.355 * np.sqrt(1.5**2 + 1 / 6), abs=0.3)


def test_the_axon_is_where_the_centreline_is():
    """Across the line, the mean profile of many pictures has its middle within a tenth of a pixel of it."""
    middles = []
    for seed in range(8):
        scene = simulate("standard", seed)
        line = scene.centreline[20:-20:4]
        along = np.gradient(line, axis=0)
        across = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1, keepdims=True)
        offsets = np.arange(-4, 4.01, 0.25)
        places = line + offsets[:, None, None] * across
        values = ndimage.map_coordinates(scene.image, np.moveaxis(places, 2, 0), order=1).mean(axis=1) - 40
        middles.append((offsets * values).sum() / values.sum())
    assert np.mean(middles) == pytest.approx(0, abs=0.1)
    assert np.abs(middles).max() < 0.4


def measured(condition):
    """Height of the line above the background, the background's deviation, and the width of the profile's top half."""
    heights, noises = [], []
    for seed in range(6):
        scene = simulate(condition, seed)
        far = truth_far(scene, 14)
        on = ndimage.map_coordinates(scene.image, scene.centreline.T, order=1)
        heights.append(on.mean() - scene.image[far].mean())
        noises.append(scene.image[far].std())
    return float(np.mean(heights)), float(np.mean(noises))


def truth_far(scene, distance):
    picture = truth_picture(scene.centreline, scene.image.shape)
    return ndimage.distance_transform_edt(picture == 0) > distance


def test_the_published_conditions_differ_as_they_are_called():
    table = {condition: measured(condition) for condition in PUBLISHED}
    height, noise = table["standard"]
    assert height == pytest.approx(57, abs=9) and noise == pytest.approx(10, abs=1)
    assert table["low_contrast"][0] == pytest.approx(height / 2, rel=0.15)
    assert table["noisy"][1] > 1.7 * noise
    assert table["structured_noise"][1] > 1.3 * noise
    standard, wide = (np.mean(simulate(name, 1).image > 65) for name in ("standard", "wide"))
    assert wide > 1.4 * standard


def test_realistic_pictures_have_the_measured_levels():
    scenes = [simulate("realistic", seed) for seed in range(60)]
    on = [ndimage.map_coordinates(scene.image, scene.centreline.T, order=1).mean() for scene in scenes]
    far = [scene.image[truth_far(scene, 12)] for scene in scenes]
    assert 4 <= np.median([np.median(scene.image) for scene in scenes]) <= 15
    assert np.mean([part.mean() for part in far]) == pytest.approx(9.8, abs=3)
    assert 25 <= np.mean(on) <= 42
    assert sum(len(scene.others) > 0 for scene in scenes) > 30


def test_noise_grows_with_the_signal_and_adjacent_pixels_share_it():
    rng = np.random.default_rng(0)
    dark, bright = (_noisy(np.full((200, 200), level), np.random.default_rng(1)) for level in (20.0, 80.0))
    assert bright.var() / dark.var() == pytest.approx(4, rel=0.1)
    noise = _noisy(np.full((300, 300), 90.0), rng) - 90
    for axis, kernel in enumerate(_CORRELATED):
        first, second = np.delete(noise, 0, axis), np.delete(noise, -1, axis)
        expected = 2 * kernel[0] / (kernel**2).sum()
        assert (first * second).mean() / noise.var() == pytest.approx(expected, abs=0.02)


def test_the_picture_of_the_centreline_is_a_tent():
    x = np.arange(2, 18, STEP_PX)
    picture = truth_picture(np.stack([np.full(len(x), 8.5), x], axis=1), (20, 20))
    np.testing.assert_allclose(picture[6:12, 10], [0, 0, 2 / 3, 2 / 3, 0, 0], atol=1e-6)
    assert picture[:, 0].max() == 0
    clipped = truth_picture(np.array([[0.0, 19.0], [-3, 25]]), (20, 20))
    assert clipped[0, 19] == 1 and clipped.sum() == pytest.approx(1 + 2 / 3 + 1 - np.sqrt(2) / 1.5, abs=1e-5)


def test_a_spline_goes_through_its_knots_and_needs_three():
    knots = np.array([[0.0, 0], [10, 20], [30, 25], [40, 50]])
    line = _spline(knots)
    for knot in knots[:-1]:
        assert np.hypot(*(line - knot).T).min() < 0.2
    assert len(_spline(knots[:2])) == 0


def test_bad_requests_are_named():
    with pytest.raises(InputError, match="no condition 'foggy'; choose one of standard, low_contrast"):
        simulate("foggy", 0)
    with pytest.raises(InputError, match="no room for an axon"):
        simulate("standard", 0, side=40)
