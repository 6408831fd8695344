import pytest
import torch

from napari_medseg.train.augment import Strengths, reach, recolour, sample_grid, warp

NONE = Strengths(rotate=0, zoom=0, elastic=0, blur=0, gamma=0, colour=0, contrast=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_without_strengths_the_middle_is_cut_out_or_flipped():
    images = torch.arange(64.0).reshape(1, 1, 8, 8)
    labels = images[:, 0].long()
    grid = sample_grid(1, 8, 4, NONE, generator())
    crops, drawn = warp(images, labels, grid)
    middle = images[0, 0, 2:6, 2:6]
    flips = [middle, middle.flip(0), middle.flip(1), middle.flip(0, 1)]
    assert any(torch.allclose(crops[0, 0], flip) for flip in flips)
    assert torch.equal(drawn[0], crops[0, 0].round().long())


def test_labels_follow_the_image():
    rng = generator(1)
    labels = (torch.rand(4, 40, 40, generator=rng) > 0.5).long() * 3
    labels = labels.repeat_interleave(4, 1).repeat_interleave(4, 2)
    images = labels[:, None].float()
    grid = sample_grid(4, 160, 96, Strengths(elastic=1.0), rng)
    crops, drawn = warp(images, labels, grid)
    clear = (crops[:, 0] < 0.2) | (crops[:, 0] > 2.8)
    assert clear.float().mean() > 0.5
    assert ((crops[:, 0] - drawn).abs()[clear] < 0.3).float().mean() > 0.99


def test_outside_the_source_nothing_is_annotated():
    images, labels = torch.ones(1, 1, 16, 16), torch.ones(1, 16, 16, dtype=torch.long)
    grid = torch.full((1, 4, 4, 2), 1.5)
    _, drawn = warp(images, labels, grid)
    assert not drawn.any()


def test_reach_covers_every_turn():
    strengths = Strengths(zoom=0.1, elastic=0)
    source = reach(64, strengths)
    for seed in range(20):
        grid = sample_grid(8, source, 64, strengths, generator(seed))
        assert grid.abs().max() <= 1.0


def test_zoom_keeps_shapes_and_rotation_keeps_lengths():
    grid = sample_grid(16, 100, 50, Strengths(zoom=0, elastic=0), generator(3))
    step = (grid[:, 0, 1] - grid[:, 0, 0]).norm(dim=-1)
    torch.testing.assert_close(step, torch.full((16,), 2 / 100))


def test_recolour_changes_values_not_places():
    images = torch.zeros(2, 3, 16, 16)
    images[:, :, 8:] = 1.0
    out = recolour(images, Strengths(blur=0), generator())
    flat = out.reshape(2, 3, 16, 16)
    assert (flat[:, :, 0, 0, None] == flat[:, :, 0]).all()
    assert not torch.allclose(out, images)


@pytest.mark.parametrize("name", ["gamma", "colour", "contrast", "blur"])
def test_each_strength_acts_alone(name):
    images = torch.rand(8, 3, 16, 16, generator=generator()) * 2 - 1
    only = Strengths(**{**NONE.__dict__, name: 0.5})
    assert not torch.allclose(recolour(images, only, generator()), images)
    torch.testing.assert_close(recolour(images, NONE, generator()), images)


def test_same_seed_same_crops():
    first = sample_grid(4, 100, 50, Strengths(), generator(7))
    assert torch.equal(first, sample_grid(4, 100, 50, Strengths(), generator(7)))
    assert not torch.equal(first, sample_grid(4, 100, 50, Strengths(), generator(8)))
