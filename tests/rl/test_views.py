"""What an agent sees, on pictures small enough to be read off by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_medseg.rl.views import SIZE, Stack, Walkers, fine_and_coarse, path_view


def ramp(height=40, width=50):
    """Value 100 y + x, which bilinear sampling must give at subpixel positions too."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (100 * y + x).float()


def test_sampling_is_bilinear_and_each_agent_has_its_own_picture():
    stack = Stack(torch.stack([ramp(), -ramp()]))
    points = torch.tensor([[[3.25, 7.5], [0.0, 0.0]], [[3.25, 7.5], [39.0, 49.0]]])
    values = stack.at(torch.tensor([0, 1]), points)
    torch.testing.assert_close(values, torch.tensor([[332.5, 0.0], [-332.5, -3949.0]]))


def test_outside_is_zero_and_half_a_pixel_outside_is_half_the_border():
    stack = Stack(torch.full((1, 5, 6), 8.0))
    points = torch.tensor([[[-0.5, 2], [-1, 2], [-7, 2], [4.5, 2], [5, 2], [90, 2], [2, 5.75], [2, 6], [2, -0.25]]])
    expected = torch.tensor([[4.0, 0, 0, 4, 0, 0, 2, 0, 6]])
    torch.testing.assert_close(stack.at(torch.tensor([0]), points), expected)


def test_sampling_equals_scipy():
    rng = np.random.default_rng(0)
    image = rng.random((20, 30)).astype(np.float32)
    points = rng.uniform(-3, 33, (200, 2)).astype(np.float32)
    expected = ndimage.map_coordinates(np.pad(image, 1), points.T + 1, order=1, mode="grid-constant")
    values = Stack(torch.from_numpy(image)[None]).at(torch.tensor([0]), torch.from_numpy(points)[None])
    np.testing.assert_allclose(values[0], expected, atol=1e-5)


def test_fine_and_coarse_views_are_centred_on_the_subpixel_position():
    fine, coarse = fine_and_coarse(Stack(ramp()[None]), torch.tensor([0]), torch.tensor([[20.25, 25.5]]), 1.0)
    assert fine.shape == coarse.shape == (1, SIZE, SIZE)
    assert fine[0, 5, 5] == pytest.approx(2050.5)
    assert fine[0, 0, 0] == pytest.approx(100 * 15.25 + 20.5)
    assert fine[0, 10, 5] == pytest.approx(100 * 25.25 + 25.5)
    assert coarse[0, 5, 5] == pytest.approx(2050.5)
    assert coarse[0, 4, 7] == pytest.approx(100 * 18.25 + 29.5)
    # The outermost coarse pixel averages the two rows and columns of the window that there are.
    assert coarse[0, 0, 0] == pytest.approx(100 * 10.75 + 16.0)


def test_a_wider_spacing_sees_further():
    fine, _ = fine_and_coarse(Stack(ramp()[None]), torch.tensor([0]), torch.tensor([[20.0, 25.0]]), 1.5)
    assert fine[0, 0, 10] == pytest.approx(100 * 12.5 + 32.5)


def test_the_path_is_its_length_on_each_pixel():
    # Three px along y to the present place: the cells above it hold one px each, half of it at the ends.
    view = path_view(torch.tensor([[[2.0, 9.0], [5.0, 9.0]]]), 1.0)[0]
    expected = torch.zeros(SIZE)
    expected[2:6] = torch.tensor([0.5, 1, 1, 0.5])
    torch.testing.assert_close(view[:, 5], expected, atol=0.1, rtol=0)
    assert view.sum() == pytest.approx(3, abs=0.1)
    assert view[:, :5].sum() == view[:, 6:].sum() == 0


def test_a_path_between_columns_is_shared_and_a_long_stay_saturates():
    view = path_view(torch.tensor([[[0.0, 9.0], [3.0, 9.0], [3.0, 8.5]]]), 1.0)[0]
    assert view[3, 5] == pytest.approx(view[3, 6].item(), rel=0.2)
    to_and_fro = torch.tensor([[[0.0, 0], [2, 0]] * 5])
    assert path_view(to_and_fro, 1.0).max() == 1


def test_with_a_wider_spacing_the_path_is_as_much_shorter():
    view = path_view(torch.tensor([[[0.0, 9.0], [8.0, 9.0]]]), 2.0)[0]
    torch.testing.assert_close(view[:6, 5], torch.tensor([0.0, 0.5, 1, 1, 1, 0.5]), atol=0.1, rtol=0)


def test_standing_still_leaves_no_path():
    assert path_view(torch.ones(3, 6, 2), 1.0).sum() == 0


def test_channels_are_views_newest_first():
    image, truth = ramp(), ramp() * 10
    history = torch.tensor([[[10.0, 20], [11, 20], [12, 20], [13, 20]]])
    walkers = Walkers(Stack(image[None]), torch.tensor([0]), history, truth=Stack(truth[None]))
    assert walkers.state.shape == (1, 16, SIZE, SIZE)
    middle = walkers.state[0, :, 5, 5]
    torch.testing.assert_close(middle[:4], torch.tensor([1320.0, 1220, 1120, 1020]))
    torch.testing.assert_close(middle[4:8], middle[:4])
    torch.testing.assert_close(middle[12:], middle[:4] * 10)
    paths = walkers.state[0, 8:12].sum(dim=(1, 2))
    torch.testing.assert_close(paths, torch.tensor([3.0, 2, 1, 0]))
    walkers.move(torch.tensor([[0.5, -1.0]]))
    torch.testing.assert_close(walkers.positions, torch.tensor([[13.5, 19.0]]))
    torch.testing.assert_close(walkers.state[0, :4, 5, 5], torch.tensor([1369.0, 1320, 1220, 1120]))


def test_steps_grow_with_the_spacing():
    walkers = Walkers(Stack(ramp()[None]), torch.tensor([0]), torch.full((1, 4, 2), 20.0), spacing=1.5)
    walkers.move(torch.tensor([[2.0, -1.0]]))
    torch.testing.assert_close(walkers.positions, torch.tensor([[23.0, 18.5]]))
    assert walkers.state.shape[1] == 12


def test_kept_agents_keep_their_picture_and_past():
    stack = Stack(torch.stack([ramp(), ramp() + 5]))
    walkers = Walkers(stack, torch.arange(2), torch.full((2, 4, 2), 10.0))
    walkers.keep(torch.tensor([False, True]))
    walkers.move(torch.zeros(1, 2))
    assert len(walkers) == 1
    assert walkers.state[0, 0, 5, 5] == 1015
