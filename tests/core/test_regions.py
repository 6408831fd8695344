from __future__ import annotations

import math

import numpy as np
import pytest

from napari_medseg.core import regions
from napari_medseg.core.errors import InputError
from napari_medseg.core.regions import next_region

EMPTY = np.zeros((512, 640), np.uint8)


def hot(*places: tuple[int, int, float], shape=(512, 640), side: int = 128) -> np.ndarray:
    """Entropy 0.05 all over, with squares (y, x, value) on top."""
    entropy = np.full(shape, 0.05, np.float32)
    for y, x, value in places:
        entropy[..., y : y + side, x : x + side] = value
    return entropy


def test_finds_the_most_uncertain_window() -> None:
    region = next_region(hot((64, 192, 0.6), (320, 384, 0.9)), EMPTY)
    assert region.box == (slice(320, 448), slice(384, 512))
    assert region.centre == (384, 448)
    assert region.entropy == pytest.approx(0.9)


def test_averages_over_the_window_instead_of_chasing_a_spot() -> None:
    entropy = hot((64, 192, 0.6))
    entropy[400:410, 400:410] = 1
    assert next_region(entropy, EMPTY).box == (slice(64, 192), slice(192, 320))


def test_annotated_windows_are_left_out() -> None:
    scribbles = EMPTY.copy()
    scribbles[320:448:16, 384:512] = 1  # one-pixel strokes through every block of the hotter square
    region = next_region(hot((64, 192, 0.6), (320, 384, 0.9)), scribbles)
    assert region.centre == (128, 256)


def test_a_short_stroke_weighs_down_a_little() -> None:
    scribbles = EMPTY.copy()
    scribbles[384, 448:460] = 2
    assert next_region(hot((64, 192, 0.6), (320, 384, 0.9)), scribbles).entropy > 0.7
    assert next_region(hot((64, 192, 0.85), (320, 384, 0.9)), scribbles).centre == (128, 256)


def test_visited_regions_and_their_surroundings_are_avoided() -> None:
    entropy = hot((64, 192, 0.6), (320, 384, 0.9))
    assert next_region(entropy, EMPTY, [(384, 448)]).centre == (128, 256)
    assert next_region(entropy, EMPTY, [(384, 448), (128, 256)], radius=100).entropy < 0.5
    near = next_region(entropy, EMPTY, [(384, 448)], radius=20)
    assert 20 <= math.dist(near.centre, (384, 448)) < 40


def test_when_all_is_visited_the_oldest_comes_first() -> None:
    entropy = hot((64, 192, 0.6), (320, 384, 0.9))
    region = next_region(entropy, EMPTY, [(128, 256), (384, 448)], radius=10_000)
    # Both visits reach everywhere, so every window was visited last by the second; the best one comes again.
    assert region.centre == (384, 448)
    visits = [(128, 100), (128, 500), (384, 100), (384, 500)]
    region = next_region(entropy, EMPTY, visits, radius=330)
    assert math.dist(region.centre, visits[0]) < 330


def test_skipping_walks_through_different_places() -> None:
    entropy = np.random.default_rng(0).random((512, 640), np.float32)
    visited: list[tuple[int, ...]] = []
    for _ in range(8):
        region = next_region(entropy, EMPTY, visited)
        assert all(math.dist(region.centre, other) >= 128 for other in visited)
        visited.append(region.centre)


def test_what_is_not_predicted_is_left_out() -> None:
    entropy = hot((64, 192, 0.6), (320, 384, 0.9))
    entropy[300:] = math.nan
    assert next_region(entropy, EMPTY).centre == (128, 256)


def test_a_window_predicted_by_half_counts_in_full() -> None:
    entropy = np.full((128, 512), 0.7)
    entropy[:, :64] = 0.9
    entropy[:, 64:200] = math.nan
    region = next_region(entropy, np.zeros(entropy.shape, int))
    assert region.centre == (64, 64)
    assert region.entropy == pytest.approx(0.9)


def test_a_sliver_of_prediction_does_not_win_over_a_whole_window() -> None:
    entropy = np.full((512, 640), math.nan, np.float32)
    entropy[:128, :128] = 0.5
    entropy[384:, 624:] = 0.9
    region = next_region(entropy, EMPTY)
    assert region.box == (slice(0, 128), slice(0, 128))


def test_none_where_there_is_nothing_to_ask() -> None:
    assert next_region(np.full((300, 300), math.nan), np.zeros((300, 300), int)) is None
    assert next_region(np.zeros((300, 300)), np.zeros((300, 300), int)) is None
    assert next_region(np.ones((300, 300)), np.ones((300, 300), int)) is None


@pytest.mark.parametrize("shape", [(1, 1), (17, 5), (127, 300), (129, 129)])
def test_small_images(shape: tuple[int, int]) -> None:
    region = next_region(np.full(shape, 0.5), np.zeros(shape, int))
    assert region.box == tuple(slice(0, min(side, 128)) for side in shape)
    assert region.centre == tuple(min(side, 128) // 2 for side in shape)
    assert region.entropy == 0.5


def test_window_at_the_far_edge_keeps_its_size() -> None:
    entropy = np.zeros((300, 300))
    entropy[-100:, -100:] = 1
    assert next_region(entropy, np.zeros((300, 300), int)).box == (slice(172, 300), slice(172, 300))


def test_looks_through_all_slices_of_a_stack() -> None:
    entropy = np.full((5, 256, 256), 0.1)
    entropy[3, 64:192, 64:192] = 0.8
    entropy[1, 64:192, 64:192] = 0.7
    scribbles = np.zeros(entropy.shape, np.uint8)
    region = next_region(entropy, scribbles)
    assert region.centre == (3, 128, 128)
    assert region.box == (slice(3, 4), slice(64, 192), slice(64, 192))
    # Two slices away is near, unless the slices are far apart.
    assert next_region(entropy, scribbles, [region.centre], radius=64).centre[0] != 1
    assert next_region(entropy, scribbles, [region.centre], radius=64, spacing=(50, 1, 1)).centre == (1, 128, 128)


def test_time_series_of_stacks() -> None:
    entropy = np.full((2, 3, 64, 64), 0.1)
    entropy[1, 2] = 0.9
    assert next_region(entropy, np.zeros(entropy.shape, int)).centre == (1, 2, 32, 32)


def test_equal_places_are_taken_in_order() -> None:
    region = next_region(np.full((512, 512), 0.5), np.zeros((512, 512), bool))
    assert region.box == (slice(0, 128), slice(0, 128))


def test_other_sizes() -> None:
    region = next_region(hot((320, 384, 0.9), side=64), EMPTY, size=64)
    assert region.box == (slice(320, 384), slice(384, 448))


@pytest.mark.parametrize("shape", [(512, 641), (1, 512, 640)])
def test_other_shapes_are_refused(shape) -> None:
    with pytest.raises(InputError, match="equal"):
        next_region(hot(), np.zeros(shape, np.uint8))


class Even:
    """A large array of one value that counts what is read of it."""

    def __init__(self, shape: tuple[int, ...], value) -> None:
        self._all = np.broadcast_to(value, shape)
        self.shape, self.dtype, self.read = shape, self._all.dtype, 0

    def __getitem__(self, index) -> np.ndarray:
        part = self._all[index]
        self.read += part.nbytes
        return part


@pytest.mark.parametrize(("shape", "size"), [((2**13, 2**13), 128), ((2**10, 2**8, 2**8), 64)])
def test_of_a_large_image_only_a_part_is_read(shape, size) -> None:
    entropy, scribbles = Even(shape, np.float32(0.5)), Even(shape, np.int64(0))
    region = next_region(entropy, scribbles, size=size)
    assert region.entropy == pytest.approx(0.5) and region.box[-2:] == (slice(0, size), slice(0, size))
    assert entropy.read <= 2**25 + 4 * size**2
    assert scribbles.read <= 2**26


def test_the_rows_that_are_left_out_change_nothing_that_is_smooth(monkeypatch: pytest.MonkeyPatch) -> None:
    scribbles = EMPTY.copy()
    scribbles[330:340, 390:440] = 1
    entropy = hot((64, 192, 0.6), (320, 384, 0.9))
    every_row = next_region(entropy, scribbles)
    monkeypatch.setattr(regions, "_AVERAGED_BYTES", 2**17)
    monkeypatch.setattr(regions, "_SEARCHED_BYTES", 2**16)
    assert next_region(entropy, scribbles) == every_row


@pytest.mark.parametrize("kind", [bool, ">u2", np.int64, np.float32])
def test_scribbles_of_every_kind(kind) -> None:
    scribbles = EMPTY.astype(kind)
    scribbles[320:448, 384:512] = 1
    assert next_region(hot((64, 192, 0.6), (320, 384, 0.9)), scribbles).centre == (128, 256)
