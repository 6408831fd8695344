import numpy as np
import pytest

from benchmarks.axons import likeness, tiles
from benchmarks.sets import DataMissing
from napari_medseg.core.errors import InputError
from napari_medseg.train.simulate.likeness import LEVELS, PATCH_PX, Statistics, difference, statistics


def test_the_density_of_grey_levels_by_hand():
    image = np.zeros((20, 20))
    image[:5] = 130
    density, _ = statistics([image])
    assert density[0] == 0.75 and density[32] == 0.25 and density.sum() == 1
    assert len(density) == LEVELS


def test_the_spectrum_of_white_noise_is_flat_and_sums_to_the_variance():
    noise = np.random.default_rng(0).normal(100, 5, (300, 300))
    spectrum = statistics([noise], patches=6000).spectrum
    assert spectrum.shape == (PATCH_PX**2,)
    assert spectrum.mean() == pytest.approx(25, rel=0.05)
    assert spectrum[0] / spectrum[-1] < 2.2


def test_smooth_pictures_have_a_steep_spectrum():
    steps = np.random.default_rng(0).normal(0, 1, (40, 300))
    smooth = np.tile(np.cumsum(steps, axis=1), (5, 1))
    spectrum = statistics([smooth]).spectrum
    assert spectrum[0] > 50 * spectrum[20]


def test_differences_by_hand():
    even = np.zeros(LEVELS)
    even[3] = 1
    moved = np.roll(even, 2)
    flat, doubled = np.ones(121), np.full(121, 2.0)
    found = difference(Statistics(even, flat), Statistics(moved, doubled))
    # Two bins of 4 grey levels further on, and a factor of 2 everywhere.
    assert found.density == pytest.approx(8)
    assert found.spectrum == pytest.approx(np.log(2))
    assert difference(Statistics(even, flat), Statistics(even, flat)) == (0, 0)


def test_pictures_that_are_too_small_are_refused():
    with pytest.raises(InputError, match="none smaller than 11 x 11"):
        statistics([np.zeros((10, 40))])
    with pytest.raises(InputError, match="at least one picture"):
        statistics([])


def test_realistic_pictures_are_nearest_to_the_real_tiles():
    try:
        tiles([1])
    except DataMissing:
        pytest.skip("shared/data is not beside this checkout")
    rows = {name: (density, spectrum) for name, density, spectrum in likeness(60)}
    published = [row for name, row in rows.items() if name not in ("real", "realistic")]
    assert rows["realistic"][0] < 4 < min(density for density, _ in published)
    assert rows["realistic"][1] < min(spectrum for _, spectrum in published)
