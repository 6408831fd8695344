from __future__ import annotations

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.io import open_image, write_image, write_labels
from napari_medseg.io.pyramid import halve
from napari_medseg.io.tiff import write_tiff

RNG = np.random.default_rng(0)


@settings(max_examples=25, deadline=None)
@given(
    axes=st.sampled_from(["yx", "yxc", "cyx", "zyx", "tyx", "tzyx", "czyx", "tczyx", "zcyx", "zyxc"]),
    dtype=st.sampled_from(["uint8", "uint16", "int16", "int32", "float32", "float64", ">u2", ">f4"]),
    sizes=st.fixed_dictionaries({letter: st.integers(2, 5) for letter in "tzc"}),
    side=st.sampled_from([(1, 1), (17, 5), (30, 40)]),
)
def test_round_trip(tmp_path_factory, axes, dtype, sizes, side):
    path = tmp_path_factory.mktemp("tiff") / "a.ome.tif"
    shape = tuple((sizes | dict(zip("yx", side, strict=True)))[letter] for letter in axes)
    image = Image.of(RNG.integers(0, 100, shape).astype(dtype), axes)
    write_image(path, image)
    back = open_image(path)
    assert sorted(back.axes) == sorted(axes)
    expected = image.levels[0].transpose([axes.index(letter) for letter in back.axes])
    assert np.array_equal(back.levels[0][...], expected)
    assert back.dtype == np.dtype(dtype).newbyteorder("=")


def test_pyramid_pixel_size_and_ome(tmp_path):
    rgb = RNG.integers(0, 255, (1500, 1101, 3), dtype=np.uint8)
    path = tmp_path / "a.ome.tif"
    write_image(path, Image.of(rgb, "yxc", geometry=Geometry.plain(2, (0.5, 0.25), "um"), name="Überschnitt"))
    with tifffile.TiffFile(path) as file:
        assert file.is_ome and len(file.pages) == 1 and len(file.pages.first.subifds) == 1
        page = file.pages.first
        assert (page.is_tiled, page.compression.name, page.photometric.name) == (True, "ADOBE_DEFLATE", "RGB")
        assert "Überschnitt" in file.ome_metadata
        assert page.get_resolution("MICROMETER") == pytest.approx((4, 2))
    image = open_image(path)
    assert [level.shape for level in image.levels] == [(1500, 1101, 3), (750, 551, 3)]
    assert image.pixel_size_um() == (0.5, 0.25)
    assert image.at_level(1).geometry.scale == (1.0, 0.5)
    assert np.array_equal(image.read(), rgb)
    expected = rgb[:, :1100].reshape(750, 2, 550, 2, 3).mean(axis=(1, 3))
    assert np.abs(image.levels[1][:, :550] - expected).max() <= 0.5
    assert [item.name for item in tmp_path.iterdir()] == ["a.ome.tif"]


def test_labels_keep_whole_numbers_in_every_level(tmp_path):
    labels = np.repeat(np.repeat(RNG.choice([0, 7, 70_000], (41, 30)), 50, axis=0), 50, axis=1)
    write_labels(tmp_path / "a.tif", Image.of(labels, kind="labels"))
    image = open_image(tmp_path / "a.tif", "labels")
    assert image.kind == "labels" and image.dtype == np.int32 and len(image.levels) == 3
    assert np.array_equal(image.read()[..., 0], labels)
    for level in image.levels:
        assert set(np.unique(level[...])) == {0, 7, 70_000}


@pytest.mark.parametrize("axes", ["zyx", "cyx", "yxc", "zyxc"])
def test_pyramid_of_many_planes_made_by_tiles_equals_that_of_the_whole(tmp_path, axes):
    shape = tuple({"z": 2, "y": 1101, "x": 1030, "c": 3}[letter] for letter in axes)
    image = Image.of(RNG.integers(0, 60_000, shape, dtype=np.uint16), axes)
    write_image(tmp_path / "a.ome.tif", image)
    back = open_image(tmp_path / "a.ome.tif")
    assert back.axes == axes and len(back.levels) == 2
    assert np.array_equal(back.levels[0][...], image.levels[0])
    assert np.array_equal(back.levels[1][...], halve(image.levels[0], axes, labels=False))


def test_the_largest_image_of_the_file_is_opened_with_its_own_pixel_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        for side, size in ((50, 8.0), (100, 0.5), (20, 4.0)):
            options = {"PhysicalSizeX": size, "PhysicalSizeY": size, "axes": "YX"}
            file.write(np.full((side, side), side, np.uint8), metadata=options)
    image = open_image(tmp_path / "a.ome.tif")
    assert image.shape() == (100, 100) and image.pixel_size_um() == (0.5, 0.5) and (image.read() == 100).all()


def test_bool_becomes_zero_and_one(tmp_path):
    mask = np.eye(9, dtype=bool)
    write_image(tmp_path / "a.tif", Image.of(mask))
    back = open_image(tmp_path / "a.tif")
    assert back.dtype == np.uint8 and np.array_equal(back.read()[..., 0], mask)


def test_labels_too_large_for_the_format_are_refused(tmp_path):
    labels = np.full((4, 4), 2**40)
    with pytest.raises(InputError, match=r"cells has values from 1099511627776 .* save as OME-Zarr"):
        write_labels(tmp_path / "a.tif", Image.of(labels, kind="labels", name="cells"))
    assert list(tmp_path.iterdir()) == []


class Slide:
    """A slide too large to hold, made as it is read."""

    def __init__(self, side):
        self.shape = (side, side)
        self.dtype = np.dtype(np.uint8)
        self.largest = 0

    def __getitem__(self, key):
        y, x = (np.arange(span.start, span.stop) // 64 for span in key)
        block = ((y[:, None] + x) % 5).astype(np.uint8)
        self.largest = max(self.largest, block.size)
        return block


def test_writing_streams(tmp_path):
    slide = Slide(8192)
    tracemalloc.start()
    write_labels(tmp_path / "a.tif", Image.of(slide, kind="labels"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert slide.largest <= 512 * 512
    assert peak < 0.5 * 8192**2
    image = open_image(tmp_path / "a.tif")
    assert [level.shape[0] for level in image.levels] == [8192, 4096, 2048, 1024]
    for number, level in enumerate(image.levels):
        step = 2**number
        expected = slide[slice(4000 // step * step, 4256), slice(0, 128)][::step, ::step]
        assert np.array_equal(level[4000 // step : 4256 // step, : 128 // step], expected)


def test_opening_and_indexing_read_only_what_is_asked(tmp_path):
    """A 10-gigapixel file of which no tile but one is stored opens at once."""
    path = tmp_path / "sparse.tif"
    tile = np.full((1024, 1024), 9, np.uint8)
    tiles = (tile if number == 0 else None for number in range(98 * 98))
    tifffile.imwrite(path, tiles, shape=(100_000, 100_000), dtype=np.uint8, tile=(1024, 1024))
    tracemalloc.start()
    image = open_image(path)
    corner, far = image.read((slice(0, 8), slice(0, 8))), image.read((slice(90_000, 90_008), slice(5, 9)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (corner == 9).all() and (far == 0).all() and peak < 50e6


def test_imagej_stack(tmp_path):
    stack = RNG.integers(0, 255, (3, 2, 8, 9), dtype=np.uint16)
    options = {"axes": "ZCYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, resolution=(4, 2), metadata=options)
    image = open_image(tmp_path / "a.tif")
    assert image.axes == "zcyx" and image.pixel_size_um() == pytest.approx((2.0, 0.5, 0.25))
    assert np.array_equal(image.levels[0][...], stack) and image.dtype == np.dtype("uint16")


def test_aperio_description(tmp_path):
    about = "Aperio Image Library v1\r\n10x8|AppMag = 20|MPP = 0.4990"
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 10), np.uint8), description=about, metadata=None)
    assert open_image(tmp_path / "a.tif").pixel_size_um() == (0.499, 0.499)


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20_000, 10_000), "CENTIMETER", (1.0, 0.5)),
        ((25_400, 25_400), "INCH", (1.0, 1.0)),
        ((72, 72), "INCH", None),
        ((300, 300), "INCH", None),
        ((1, 1), "NONE", None),
    ],
)
def test_resolution_tags(tmp_path, resolution, unit, expected):
    picture = np.zeros((8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture, resolution=resolution, resolutionunit=unit, metadata=None)
    size = open_image(tmp_path / "a.tif").pixel_size_um()
    assert size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(("shape", "axes"), [((4, 9, 8), "zyx"), ((2, 3, 9, 8), "tzyx"), ((1, 9, 8), "yx")])
def test_plain_stacks_have_unnamed_axes(tmp_path, shape, axes):
    stack = RNG.integers(0, 255, shape, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    image = open_image(tmp_path / "a.tif")
    assert image.axes == axes and np.array_equal(image.levels[0][...], stack.squeeze())


def test_planes_of_colour(tmp_path):
    planes = RNG.integers(0, 255, (3, 9, 8), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    image = open_image(tmp_path / "a.tif")
    assert image.axes == "cyx" and np.array_equal(image.read(), np.moveaxis(planes, 0, -1))


@pytest.mark.filterwarnings("ignore:.*are stored as RGB:DeprecationWarning")
@pytest.mark.parametrize("count", [3, 4])
@pytest.mark.parametrize(
    "options", [{}, {"metadata": None}, {"imagej": True}, {"ome": True}, {"photometric": "minisblack"}]
)
def test_slices_of_labels_are_never_colours(tmp_path, count, options):
    stack = RNG.integers(0, 3, (count, 9, 8), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, **options)
    image = open_image(tmp_path / "a.tif", "labels")
    assert image.axes == "zyx" and np.array_equal(image.read()[..., 0], stack)


@pytest.mark.filterwarnings("ignore:.*are stored as RGB:DeprecationWarning")
def test_what_tiff_calls_rgb_is_colour_unless_it_is_said_otherwise(tmp_path):
    stack = RNG.integers(0, 255, (3, 9, 8), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack)
    assert open_image(tmp_path / "a.tif").axes == "cyx"
    image = open_image(tmp_path / "a.tif", axes="ZYX")
    assert image.axes == "zyx" and np.array_equal(image.read()[..., 0], stack)


def test_pages_of_grey_are_a_stack(tmp_path):
    stack = RNG.integers(0, 255, (3, 9, 8), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None)
    assert open_image(tmp_path / "a.tif").axes == "zyx"


def test_a_picture_of_labels_stays_a_picture(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 8, 3), np.uint8), photometric="rgb")
    assert open_image(tmp_path / "a.tif", "labels").axes == "yxc"


def test_sizes_go_with_the_letters_of_axes(tmp_path):
    image = Image.of(np.zeros((3, 9, 8), np.uint16), "cyx", geometry=Geometry.plain(2, (0.5, 0.25), "um"))
    write_image(tmp_path / "a.ome.tif", image)
    stack = open_image(tmp_path / "a.ome.tif", axes="zyx")
    assert stack.geometry.scale == (1.0, 0.5, 0.25) and stack.geometry.units == ("pixel", "um", "um")


@pytest.mark.parametrize("axes", ["yx", "zzyx", "zxc", "yxz", "abc"])
def test_axes_that_do_not_fit_are_refused(tmp_path, axes):
    write_image(tmp_path / "a.tif", Image.of(np.zeros((3, 9, 8), np.uint16), "zyx"))
    with pytest.raises(InputError, match=rf"a.tif is read as zyx, size \(3, 9, 8\). The axes '{axes}'"):
        open_image(tmp_path / "a.tif", axes=axes)


def test_values_that_are_no_plain_numbers(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9, 8), np.complex64))
    with pytest.raises(InputError, match="a.tif holds complex64 values; expected plain numbers"):
        open_image(tmp_path / "a.tif")


def test_big_endian_file(tmp_path):
    data = RNG.integers(0, 60_000, (9, 8)).astype(">u2")
    tifffile.imwrite(tmp_path / "a.tif", data, byteorder=">")
    image = open_image(tmp_path / "a.tif")
    assert np.array_equal(image.read()[..., 0], data) and image.read().dtype.isnative


def test_jpeg_and_what_to_install_without_imagecodecs(tmp_path):
    pytest.importorskip("imagecodecs", reason="the slides extra brings it")
    path = tmp_path / "a.tif"
    rgb = np.full((256, 256, 3), (200, 100, 150), np.uint8)
    tifffile.imwrite(path, rgb, tile=(256, 256), compression="jpeg", photometric="rgb")
    assert np.abs(open_image(path).read().astype(int) - rgb).max() < 4
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from napari_medseg.io import open_image\n"
        "from napari_medseg.core.errors import InputError\n"
        "try:\n    open_image(sys.argv[1])\n"
        "except InputError as error:\n    sys.stdout.write(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "a.tif is compressed with JPEG, which needs imagecodecs: pip install napari-medseg[slides]"


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "a.tif"
    write_image(path, Image.of(RNG.integers(0, 255, (600, 600), dtype=np.uint8)))
    whole = path.read_bytes()
    path.write_bytes(whole[:6])
    with pytest.raises(InputError, match="a.tif is not a whole TIFF"):
        open_image(path)
    path.write_bytes(whole[:8] + bytes(200))
    with pytest.raises(InputError, match="a.tif holds no image"):
        open_image(path)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="a.tif is damaged or incomplete"):
        open_image(path).read()
    path.write_bytes(whole)
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    path.write_bytes(whole[:offset] + bytes(count) + whole[offset + count :])
    image = open_image(path)
    with pytest.raises(InputError, match=r"a.tif is damaged or incomplete.*Copy the file again"):
        image.read((slice(0, 10), slice(0, 10)))
    assert image.read((slice(590, 600), slice(590, 600))).shape == (10, 10, 1)


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_a_size_that_the_file_cannot_have_is_damage(tmp_path, tag):
    """Else the parts that are not there would be read as empty, for days."""
    write_image(tmp_path / "a.tif", Image.of(RNG.integers(0, 255, (96, 96), dtype=np.uint8)))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags[tag].overwrite(2**31 - 1)
    with pytest.raises(
        InputError, match=r"a.tif is damaged or incomplete: it has 1 of the 4194304 parts .* 2147483647"
    ):
        open_image(tmp_path / "a.tif")


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(StorageError, match=r"could not be written.*choose another"):
        write_tiff(tmp_path / "missing" / "a.tif", Image.of(np.zeros((4, 4), np.uint8)))
