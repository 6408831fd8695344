import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_medseg.nn.filters import PER_CHANNEL, SIGMAS, filter_bank


def of_scale(bank, position):
    """(smooth, gradient, first, second) of the first channel at a scale."""
    return bank[0, 4 * position : 4 * position + 4].numpy()


def test_shape_and_order():
    bank = filter_bank(torch.zeros(2, 3, 40, 50))
    assert bank.shape == (2, 3 * PER_CHANNEL, 40, 50)


@pytest.mark.parametrize("position", [1, 2, 3, 4])
def test_smoothing_agrees_with_scipy(position):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=(128, 128)), 1.0).astype(np.float32)
    smooth = of_scale(filter_bank(torch.from_numpy(image)[None, None]), position)[0]
    expected = ndimage.gaussian_filter(image, SIGMAS[position], mode="nearest")
    inside = (slice(40, -40),) * 2
    assert np.corrcoef(smooth[inside].ravel(), expected[inside].ravel())[0, 1] > 0.97


def test_gradient_of_a_ramp():
    ramp = torch.arange(64.0).expand(1, 1, 64, 64) / 10
    bank = filter_bank(ramp)
    for position, sigma in enumerate(SIGMAS[:2]):
        assert of_scale(bank, position)[1][32, 32] == pytest.approx(sigma * 0.1, rel=1e-3)


def test_hessian_of_a_parabola():
    y, x = np.mgrid[-32:32, -32:32]
    parabola = torch.tensor(0.01 * x**2 - 0.02 * y**2, dtype=torch.float32)[None, None]
    found = of_scale(filter_bank(parabola), 0)
    # Second derivatives 0.02 along x and -0.04 along y, times sigma squared.
    assert found[2][32, 32] == pytest.approx(0.02 * SIGMAS[0] ** 2, rel=1e-2)
    assert found[3][32, 32] == pytest.approx(-0.04 * SIGMAS[0] ** 2, rel=1e-2)


def test_a_constant_has_no_structure():
    bank = filter_bank(torch.full((1, 1, 33, 47), 1.5))
    for position in range(len(SIGMAS)):
        smooth, *rest = of_scale(bank, position)
        np.testing.assert_allclose(smooth, 1.5, rtol=1e-5)
        np.testing.assert_allclose(rest, 0, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (5, 300)])
def test_odd_sizes(shape):
    assert torch.isfinite(filter_bank(torch.rand(1, 2, *shape))).all()
