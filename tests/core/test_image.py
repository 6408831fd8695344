from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image


def world(geometry: Geometry, *pixel: float) -> np.ndarray:
    return (geometry.matrix() @ np.array([*pixel, 1]))[:-1]


QUARTER_TURN = np.array([[0.0, -1.0], [1.0, 0.0]])
SHEAR = np.array([[1.0, 0.5], [0.0, 1.0]])


def test_plain_geometry_is_the_identity() -> None:
    geometry = Geometry.plain(3)
    np.testing.assert_array_equal(geometry.matrix(), np.eye(4))
    assert geometry.units == ("pixel",) * 3
    assert Geometry.plain(2, (0.5, 0.25), "um").scale == (0.5, 0.25)


def test_matrix_applies_scale_then_shear_then_rotation_then_translation_then_affine() -> None:
    affine = np.array([[1.0, 0, 100], [0, 2, 0], [0, 0, 1]])
    geometry = Geometry((2, 3), ("um", "um"), (10, 20), QUARTER_TURN, SHEAR, affine)
    # Pixel (1, 1): scaled (2, 3); sheared (3.5, 3); turned (-3, 3.5); moved (7, 23.5); affine (107, 47).
    np.testing.assert_allclose(world(geometry, 1, 1), (107, 47))
    # Pixel (1, 0): (2, 0), (2, 0), (0, 2), (10, 22), (110, 44).
    np.testing.assert_allclose(world(geometry, 1, 0), (110, 44))
    np.testing.assert_allclose(geometry.matrix(), [[0, -3, 110], [4, 3, 40], [0, 0, 1]])


def test_coarser_by_hand() -> None:
    coarse = Geometry((0.5, 0.5), ("um", "um"), (10, 20)).coarser((2, 4))
    assert coarse.scale == (1, 2)
    # A pixel of 2 x 4 has its middle half a pixel and one and a half pixels further: 0.25 um and 0.75 um.
    assert coarse.translate == (10.25, 20.75)
    assert coarse.units == ("um", "um")


def test_coarser_with_rotation_by_hand() -> None:
    coarse = Geometry((1, 1), ("um", "um"), (0, 0), rotate=QUARTER_TURN).coarser((3, 1))
    # The middle of the first three rows is one row down, and a quarter turn makes rows run along x.
    np.testing.assert_allclose(coarse.translate, (0, 1))
    np.testing.assert_allclose(coarse.matrix(), [[0, -1, 0], [3, 0, 1], [0, 0, 1]])


@pytest.mark.parametrize("affine", [None, np.array([[1.0, 0.25, 7], [0, 2, -3], [0, 0, 1]])])
def test_coarser_keeps_every_point_in_its_place(affine) -> None:
    fine = Geometry((0.5, 2), ("um", "um"), (3, -4), QUARTER_TURN, SHEAR, affine)
    coarse = fine.coarser((4, 8))
    # Coarse pixel (i, j) covers fine rows 4i to 4i + 3 and columns 8j to 8j + 7.
    for i, j in ((0, 0), (5, 2), (-1, 9)):
        np.testing.assert_allclose(world(coarse, i, j), world(fine, 4 * i + 1.5, 8 * j + 3.5))
    np.testing.assert_allclose(world(coarse, -0.5, -0.5), world(fine, -0.5, -0.5))


def test_coarser_twice_is_coarser_once() -> None:
    fine = Geometry((0.5, 2), ("um", "um"), (3, -4), QUARTER_TURN, SHEAR)
    np.testing.assert_allclose(fine.coarser((2, 2)).coarser((2, 4)).matrix(), fine.coarser((4, 8)).matrix())


@pytest.mark.parametrize("axes", ["cyx", "ycx", "yxc"])
def test_read_puts_channels_last(axes: str) -> None:
    truth = np.random.default_rng(0).random((6, 7, 3))
    image = Image.of(np.moveaxis(truth, -1, axes.index("c")), axes=axes)
    assert (image.shape(), image.channels, image.spatial_axes) == ((6, 7), 3, "yx")
    np.testing.assert_array_equal(image.read(), truth)
    np.testing.assert_array_equal(image.read((slice(1, 3), slice(2, 7))), truth[1:3, 2:7])


def test_read_adds_a_channel_axis_where_there_is_none() -> None:
    array = np.arange(24).reshape(2, 3, 4)
    image = Image.of(array)
    assert (image.axes, image.channels) == ("zyx", 1)
    np.testing.assert_array_equal(image.read((slice(1, 2), slice(None), slice(0, 2))), array[1:2, :, :2, None])


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<i4", "bool", "float64"])
def test_read_gives_native_byte_order_and_the_stored_type(dtype: str) -> None:
    array = np.array([[0, 1], [2, 300]]).astype(dtype)
    result = Image.of(array).read()
    assert result.dtype.isnative
    assert result.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(result[..., 0], array)


def test_read_takes_lazy_arrays() -> None:
    array = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
    stored = zarr.array(array, chunks=(1, 16, 16))
    for lazy in (da.from_array(array, chunks=(1, 16, 16)), stored):
        image = Image.of(lazy, axes="cyx")
        part = image.read((slice(10, 20), slice(30, 50)))
        assert isinstance(part, np.ndarray)
        np.testing.assert_array_equal(part, np.moveaxis(array[:, 10:20, 30:50], 0, -1))


def test_read_computes_only_the_box() -> None:
    def block(block_info=None) -> np.ndarray:
        location = block_info[None]["array-location"]
        if location[0][0] >= 16:
            raise AssertionError("A block outside the box was computed.")
        return np.ones([stop - start for start, stop in location])

    lazy = da.map_blocks(block, chunks=((16,) * 4, (16,) * 4), dtype=float)
    assert Image.of(lazy).read((slice(0, 16), slice(0, 64))).all()


def pyramid() -> Image:
    levels = tuple(np.zeros((3, -(-101 // n), -(-64 // n))) for n in (1, 2, 4))
    return Image(levels, "cyx", Geometry.plain(2, (0.5, 0.25), "mm"), name="slide")


def test_factors_are_whole_where_levels_are_rounded() -> None:
    image = pyramid()
    assert image.shape(1) == (51, 32)
    assert [image.factors(level) for level in range(3)] == [(1, 1), (2, 2), (4, 4)]


def test_factors_that_are_not_whole_are_kept() -> None:
    image = Image((np.zeros((150, 150)), np.zeros((100, 100))), "yx", Geometry.plain(2))
    assert image.factors(1) == (1.5, 1.5)


def test_pixel_size_is_in_micrometres() -> None:
    assert pyramid().pixel_size_um() == (500, 250)
    assert pyramid().pixel_size_um(2) == (2000, 1000)
    mixed = Geometry((4, 500, 0.5), ("pixel", "nm", "µm"), (0, 0, 0))
    assert Image.of(np.zeros((2, 3, 4)), geometry=mixed).pixel_size_um() == (4, 0.5, 0.5)
    assert Image.of(np.zeros((3, 4))).pixel_size_um() is None


def test_at_level_starts_there_and_stays_in_place() -> None:
    image = pyramid()
    assert image.at_level(0) is image
    coarse = image.at_level(1)
    assert (coarse.shape(), len(coarse.levels), coarse.name, coarse.axes) == ((51, 32), 2, "slide", "cyx")
    assert coarse.geometry.scale == (1, 0.5)
    assert coarse.geometry.translate == (0.25, 0.125)
    np.testing.assert_allclose(coarse.at_level(1).geometry.matrix(), image.at_level(2).geometry.matrix())


def test_results_inherit_the_geometry() -> None:
    image = pyramid()
    labels = image.derive(np.zeros((101, 64), np.uint8), "labels", "prediction")
    assert (labels.axes, labels.kind, labels.name) == ("yx", "labels", "prediction")
    assert labels.geometry is image.geometry
    scores = image.derive(np.zeros((101, 64, 5)), "probability", "scores", channels=True)
    assert (scores.axes, scores.channels) == ("yxc", 5)


@pytest.mark.parametrize(
    ("levels", "axes", "ndim", "words"),
    [
        ((), "yx", 2, "'scan' has no data"),
        ((np.zeros((4, 4)),), "zyx", 3, "image has 2"),
        ((np.zeros((4, 4)),), "yx", 3, "2 spatial axes but 3 pixel sizes"),
        ((np.zeros((4, 4, 3)),), "yxc", 3, "2 spatial axes but 3 pixel sizes"),
    ],
)
def test_misfits_are_refused(levels, axes: str, ndim: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Image(levels, axes, Geometry.plain(ndim), name="scan")
