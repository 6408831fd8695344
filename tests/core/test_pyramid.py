from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_medseg.core import pyramid
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image


class Lazy:
    """An array without data: gives its own coordinates (y * 1000 + x), and counts what is read."""

    def __init__(self, shape: tuple[int, ...], dtype: type = np.uint32) -> None:
        self.shape, self.dtype, self.largest, self.total = shape, np.dtype(dtype), 0, 0

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        ranges = [np.arange(n)[span] for n, span in zip(self.shape, box, strict=True)]
        y, x = ranges[-2:]
        plane = (y[:, None] * 1000 + x).astype(self.dtype)
        out = np.broadcast_to(plane, (*map(len, ranges[:-2]), *plane.shape))
        self.largest = max(self.largest, out.size)
        self.total += out.size
        return out

    def __array__(self, dtype=None, copy=None):
        raise MemoryError("The whole array was asked for.")


def slide(*sides: int, unit: str = "um", scale: float = 0.25, dtype: type = np.uint32) -> Image:
    levels = tuple(Lazy((side, side), dtype) for side in sides)
    return Image(levels, "yx", Geometry.plain(2, (scale, scale), unit))


def test_level_for_takes_the_nearest_in_proportion() -> None:
    image = slide(8192, 4096, 2048, 512)  # 0.25, 0.5, 1, 4 um
    asked = (0.01, 0.25, 0.34, 0.36, 0.6, 1.0, 1.9, 2.1, 100)
    assert [pyramid.level_for(image, um) for um in asked] == [0, 0, 0, 1, 1, 2, 2, 3, 3]


def test_level_for_converts_units() -> None:
    assert pyramid.level_for(slide(8192, 4096, unit="nm", scale=250), 0.5) == 1


def test_level_for_looks_at_the_plane_only() -> None:
    levels = (np.zeros((10, 64, 64)), np.zeros((10, 32, 32)))
    image = Image(levels, "zyx", Geometry.plain(3, (5, 0.5, 0.5), "um"))
    assert pyramid.level_for(image, 0.5) == 0
    assert pyramid.level_for(image, 1.0) == 1


def test_level_for_needs_a_unit_of_length() -> None:
    with pytest.raises(InputError, match="pixel.*set its scale"):
        pyramid.level_for(slide(64, unit="pixel"), 0.5)


@pytest.mark.parametrize("size", [0, -1, math.nan])
def test_level_for_refuses_senseless_sizes(size: float) -> None:
    with pytest.raises(InputError, match="above 0"):
        pyramid.level_for(slide(64), size)


def test_finest_level_within() -> None:
    image = slide(100, 50, 25)
    assert [pyramid.finest_level_within(image, n) for n in (10_000, 9_999, 2_500, 625)] == [0, 1, 1, 2]
    with pytest.raises(InputError, match=r"625 pixels .* at most 624"):
        pyramid.finest_level_within(image, 624)


def test_finest_level_within_does_not_count_channels() -> None:
    image = Image.of(np.zeros((10, 10, 3)), axes="yxc")
    assert pyramid.finest_level_within(image, 100) == 0


def test_overview_of_a_small_image_is_the_image() -> None:
    array = np.random.default_rng(0).random((17, 5, 3))
    result, level = pyramid.overview(Image.of(array, axes="yxc"))
    np.testing.assert_array_equal(result, array)
    assert level == 0


def test_overview_takes_the_coarsest_level_that_is_large_enough() -> None:
    image = slide(8192, 2048, 600, 100)
    result, level = pyramid.overview(image, 512)
    assert level == 2
    assert result.shape == (300, 300, 1)
    assert image.levels[0].total == image.levels[1].total == 0


def test_overview_takes_every_nth_pixel_from_the_middle_of_its_block() -> None:
    result, _ = pyramid.overview(slide(100), 25)
    at = np.arange(1, 100, 4)
    np.testing.assert_array_equal(result[..., 0], at[:, None] * 1000 + at)


def test_overview_of_one_huge_level_reads_it_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyramid, "_BAND_BYTES", 100_000)
    image = slide(3000)
    result, level = pyramid.overview(image, 500)
    at = np.arange(2, 3000, 6)
    np.testing.assert_array_equal(result[..., 0], at[:, None] * 1000 + at)
    assert level == 0
    assert image.levels[0].largest * 4 <= 100_000


def test_overview_reads_planes_one_by_one() -> None:
    lazy = Lazy((40, 64, 96))
    result, _ = pyramid.overview(Image.of(lazy), 16)
    assert result.shape == (13, 11, 16, 1)  # the middle of every three slices; the plane keeps its proportions
    assert lazy.largest <= 64 * 96


def test_overview_puts_channels_last_in_native_byte_order() -> None:
    array = np.arange(2 * 40 * 30, dtype=">u2").reshape(2, 40, 30)
    result, _ = pyramid.overview(Image.of(array, axes="cyx"), 20)
    np.testing.assert_array_equal(result, np.moveaxis(array[:, ::2, ::2], 0, -1))
    assert result.dtype == np.dtype("=u2")


@given(st.tuples(st.integers(1, 90), st.integers(1, 90)), st.integers(1, 40))
def test_overview_is_never_larger_than_asked(shape: tuple[int, int], side: int) -> None:
    result, _ = pyramid.overview(Image.of(np.zeros(shape)), side)
    assert max(result.shape[:2]) <= side
    assert min(result.shape[:2]) >= 1


def test_mean_by_hand() -> None:
    array = np.array([[1, 2, 3], [3, 4, 7], [5, 7, 9]], np.uint8)
    np.testing.assert_array_equal(pyramid.downsample(array, 2), [[2, 5], [6, 9]])  # 2.5 rounds to even
    np.testing.assert_array_equal(pyramid.downsample(array.astype(float), 2), [[2.5, 5], [6, 9]])


def test_mode_by_hand() -> None:
    array = np.array([[0, 0, 2, 3, 0], [4, 0, 3, 2, 7], [0, 0, 5, 5, 1], [6, 6, 5, 0, 1]], np.uint8)
    # three 0 and a 4; 2 and 3 tie; 0 and 7 tie; 0 and 6 tie; 5 three times; 1 twice
    np.testing.assert_array_equal(pyramid.downsample(array, 2, "labels"), [[0, 2, 7], [6, 5, 1]])


@given(
    hnp.arrays(np.uint16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 3)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.sampled_from(["raw", "labels"]),
)
def test_downsample_equals_a_loop_over_blocks(array: np.ndarray, factors: tuple[int, int], kind) -> None:
    result = pyramid.downsample(array, factors, kind)
    fy, fx = factors
    assert result.shape == (math.ceil(array.shape[0] / fy), math.ceil(array.shape[1] / fx))
    assert result.dtype == array.dtype
    for y, x in itertools.product(*map(range, result.shape)):
        block = array[y * fy : (y + 1) * fy, x * fx : (x + 1) * fx].ravel().tolist()
        if kind == "raw":
            assert abs(result[y, x] - sum(block) / len(block)) <= 0.5
        else:
            assert result[y, x] == max(set(block), key=lambda label: (block.count(label), label > 0, -label))


def test_channels_stay_apart() -> None:
    array = np.random.default_rng(0).random((7, 6, 3))
    result = pyramid.downsample(array, 3)
    assert result.shape == (3, 2, 3)
    for channel in range(3):
        np.testing.assert_array_equal(result[..., channel], pyramid.downsample(array[..., channel], 3))


def test_stacks_take_a_factor_per_axis() -> None:
    array = np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    result = pyramid.downsample(array, (1, 2, 2))
    assert result.shape == (2, 2, 2)
    assert result[1, 1, 1] == np.mean([26, 27, 30, 31])


def test_large_values_are_averaged_without_loss() -> None:
    array = np.full((2, 2), 2**31 + 1, np.uint32)
    assert pyramid.downsample(array, 2) == 2**31 + 1


@pytest.mark.parametrize("factor", [0, (2, 0), (2, 2, 2)])
def test_bad_factors_are_refused(factor) -> None:
    with pytest.raises(InputError, match="factors"):
        pyramid.downsample(np.zeros((4, 4)), factor)
