import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_medseg.nn.filters import PER_CHANNEL, SIGMAS, WINDOWS, feature_count, filter_maps


def filter_bank(image):
    return filter_maps(image).dense()


def of_scale(bank, position):
    """(smooth, gradient, first, second) of the first channel at a scale."""
    return bank[0, 4 * position : 4 * position + 4].numpy()


def test_shape_and_order():
    bank = filter_bank(torch.zeros(2, 3, 40, 50))
    assert bank.shape == (2, feature_count(3), 40, 50)


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


def test_texture_energy_tells_stripes_from_a_flat_area():
    image = torch.zeros(1, 1, 128, 256)
    image[..., 128:] = torch.sin(torch.arange(128.0) * 1.5)
    textures = filter_bank(image)[0, PER_CHANNEL:]
    for position, (grain, _) in enumerate(WINDOWS):
        if grain > 1.5:
            continue
        gradient = textures[3 * position]
        assert gradient[64, 192] > 20 * gradient[64, 64]
        assert gradient[64, 180:204].std() < 0.1 * gradient[64, 192]


def test_textures_see_the_mean_of_the_channels():
    image = torch.rand(1, 3, 64, 64)
    grey = image.mean(dim=1, keepdim=True)
    torch.testing.assert_close(filter_bank(image)[:, 3 * PER_CHANNEL :], filter_bank(grey)[:, PER_CHANNEL:])


@pytest.mark.parametrize("shape", [(64, 64), (37, 51), (1, 1), (17, 5)])
def test_weighting_on_the_shrunken_grids_is_exact(shape):
    maps = filter_maps(torch.rand(2, 3, *shape))
    weight, bias = torch.randn(4, feature_count(3)), torch.randn(4)
    expected = torch.einsum("kf,nfhw->nkhw", weight, maps.dense()) + bias[None, :, None, None]
    torch.testing.assert_close(maps.weighted(weight, bias), expected, rtol=1e-4, atol=1e-4)


def test_single_pixels_are_those_of_the_whole():
    maps = filter_maps(torch.rand(1, 2, 45, 70))
    y, x = torch.tensor([0, 44, 10, 30]), torch.tensor([0, 69, 33, 5])
    torch.testing.assert_close(maps.at(y, x), maps.dense()[0][:, y, x].T, rtol=1e-4, atol=1e-4)


def test_half_takes_half_the_memory_and_far_less_than_full_size():
    maps = filter_maps(torch.rand(1, 3, 256, 256))
    assert maps.half().nbytes * 2 == maps.nbytes < 0.5 * maps.dense().nbytes
