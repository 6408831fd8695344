"""Large images are sampled as small ones are, and only read where a trace is."""

import numpy as np
import pytest
import torch

from napari_medseg.core.errors import InputError
from napari_medseg.nn.brightness import Brightness
from napari_medseg.nn.device import Device
from napari_medseg.rl import tiles
from napari_medseg.rl.tiles import TILE_PX, TiledImage
from napari_medseg.rl.views import Stack, Walkers

CPU = Device("cpu", bf16=False)
AS_IT_IS = Brightness(0.0, 0.25)
"""With a knee of 4 this divides by 1, and values near 0 stay as they are."""


def noise(height=600, width=530):
    return (np.random.default_rng(0).random((height, width)) * 1e-3).astype(np.float32)


def walkers(field, places, spacing=1.0):
    history = torch.tensor(places, dtype=torch.float32)[:, None].expand(-1, 4, -1)
    return Walkers(field, torch.zeros(len(places), dtype=torch.long), history, spacing)


@pytest.mark.parametrize("spacing", [1.0, 1.5])
def test_tiled_equals_untiled_at_seams_and_borders(spacing):
    image = noise()
    places = [[255.9, 256.1], [256, 10], [0, 0], [599, 529], [300.5, 300.25], [511.7, 0.2], [512, 512]]
    lazy = TiledImage(lambda y0, y1, x0, x1: image[y0:y1, x0:x1], image.shape, AS_IT_IS, CPU, spacing=spacing)
    whole = walkers(Stack(torch.from_numpy(image)[None]), places, spacing)
    torch.testing.assert_close(walkers(lazy, places, spacing).state, whole.state, atol=1e-6, rtol=0)


def test_of_a_huge_image_only_the_tiles_in_use_are_read():
    boxes = []

    def read(y0, y1, x0, x1):
        boxes.append((y0, y1, x0, x1))
        return np.zeros((y1 - y0, x1 - x0), np.uint8)

    image = TiledImage(read, (200_000, 200_000), AS_IT_IS, CPU)
    agents = walkers(image, [[100_000.0, 150_000.0]] * 3)
    for _ in range(10):
        agents.move(torch.full((3, 2), 1.0))
    assert len(boxes) == 1
    assert boxes[0][1] - boxes[0][0] < TILE_PX + 30


def test_tiles_beyond_the_limit_are_forgotten_and_read_again(monkeypatch):
    monkeypatch.setattr(tiles, "MOST_TILES", 3)
    image = noise(256, 256 * 12)
    read_at = []

    def read(y0, y1, x0, x1):
        read_at.append(x0)
        return image[y0:y1, x0:x1]

    lazy = TiledImage(read, image.shape, AS_IT_IS, CPU)
    whole = Stack(torch.from_numpy(image)[None])
    for columns in ([100, 400], [700], [1000, 400], [2000, 2500, 2900, 100], [100, 400]):
        places = [[128.0, column] for column in columns]
        torch.testing.assert_close(walkers(lazy, places).state, walkers(whole, places).state, atol=1e-6, rtol=0)
    assert read_at.count(0) == 2


def test_an_image_in_memory_is_measured_and_its_background_becomes_zero():
    image = np.full((64, 64), 7, np.uint8)
    image[30:33] = 200
    values = walkers(TiledImage.of(image, CPU), [[31.0, 31.0]]).state[0, 0]
    assert values[0, 0] == 0
    assert values[5, 5] > 1


def test_colour_and_empty_images_are_refused():
    with pytest.raises(InputError, match=r"shape \(5, 5, 3\); the tracer takes one grey plane"):
        TiledImage.of(np.zeros((5, 5, 3)), CPU)
    with pytest.raises(InputError, match="one grey plane"):
        TiledImage.of(np.zeros((0, 5)), CPU)
