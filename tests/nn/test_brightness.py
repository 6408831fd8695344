import numpy as np
import pytest

from napari_medseg.nn.brightness import KNEE, Brightness, measure


def test_background_and_noise_of_a_gaussian_with_a_few_bright_fibres():
    image = np.random.default_rng(0).normal(40, 10, (200, 200))
    image[:4] = 250
    brightness = measure(image)
    assert brightness.background == pytest.approx(40, abs=1)
    assert brightness.noise == pytest.approx(10, rel=0.05)


def test_values_are_background_0_and_noise_over_the_knee():
    values = Brightness(10, 2).apply(np.array([10, 12, 10 + 2 * KNEE * np.sinh(3), np.nan]))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [0, np.arcsinh(1 / KNEE), 3, 0], rtol=1e-5)


def test_scale_and_offset_of_the_image_do_not_matter():
    image = np.random.default_rng(0).gamma(2, 3, (80, 80))
    changed = image * 37 - 500
    np.testing.assert_allclose(measure(image).apply(image), measure(changed).apply(changed), atol=1e-4)


@pytest.mark.parametrize("image", [np.full((9, 9), 5.0), np.full((9, 9), np.nan), np.zeros((0, 3))])
def test_an_image_without_contrast_is_all_background(image):
    assert not measure(image).apply(image).any()


def test_a_few_fibres_on_a_background_without_any_noise_keep_a_scale():
    image = np.zeros((100, 100))
    image[50] = 100
    assert 1 < measure(image).apply(image).max() < 10


def test_infinite_values_do_not_spoil_the_measure():
    image = np.random.default_rng(0).normal(0, 1, (50, 50))
    image[0, 0] = np.inf
    assert measure(image).noise == pytest.approx(1, rel=0.1)
    assert np.isfinite(measure(image).apply(image)[1:]).all()
