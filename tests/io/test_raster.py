from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as pillow

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.io import open_image, write_image, write_labels

RNG = np.random.default_rng(0)
GREY = hnp.array_shapes(min_dims=2, max_dims=2, max_side=20)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), dtype=st.sampled_from(["uint8", "uint16", "bool", ">u2", "int64"]))
def test_grey_round_trip(tmp_path_factory, data, dtype):
    values = {} if dtype == "bool" else {"elements": st.integers(0, 255 if dtype == "uint8" else 65_535)}
    array = data.draw(hnp.arrays(dtype, GREY, **values))
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_image(path, Image.of(array))
    image = open_image(path)
    assert image.axes == "yx" and np.array_equal(image.read()[..., 0], array)


@pytest.mark.parametrize("channels", [3, 4])
def test_colour_round_trip(tmp_path, channels):
    array = RNG.integers(0, 255, (17, 5, channels), dtype=np.uint8)
    write_image(tmp_path / "a.png", Image.of(array, "yxc"))
    image = open_image(tmp_path / "a.png")
    assert image.axes == "yxc" and np.array_equal(image.read(), array)


def test_pixel_size(tmp_path):
    write_image(tmp_path / "a.png", Image.of(np.eye(4, dtype=bool), geometry=Geometry.plain(2, (0.5, 0.25), "um")))
    assert open_image(tmp_path / "a.png").pixel_size_um() == pytest.approx((0.5, 0.25))
    pillow.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "b.jpg", dpi=(300, 300))
    assert open_image(tmp_path / "b.jpg").pixel_size_um() is None


def test_jpeg(tmp_path):
    pillow.new("RGB", (32, 16), (200, 100, 150)).save(tmp_path / "a.JPG", quality=95)
    image = open_image(tmp_path / "a.JPG")
    assert image.read().shape == (16, 32, 3) and np.abs(image.read() - [200.0, 100, 150]).max() < 4


def test_a_palette_is_colours_for_images_and_numbers_for_labels(tmp_path):
    indices = pillow.new("P", (2, 2))
    indices.putdata([0, 1, 2, 1])
    indices.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    indices.save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").read()[1, 0].tolist() == [0, 255, 0]
    assert open_image(tmp_path / "a.png", "labels").read()[..., 0].tolist() == [[0, 1], [2, 1]]


def test_alpha_goes_only_where_it_says_nothing(tmp_path):
    rgba = RNG.integers(0, 255, (4, 4, 4), dtype=np.uint8)
    for alpha, channels in ((255, 3), (9, 4)):
        rgba[..., 3] = alpha
        pillow.fromarray(rgba).save(tmp_path / "a.png")
        assert np.array_equal(open_image(tmp_path / "a.png").read(), rgba[..., :channels])
    grey = pillow.new("LA", (4, 4), (7, 255))
    grey.save(tmp_path / "b.png")
    assert open_image(tmp_path / "b.png").axes == "yx"


def test_sixteen_bits_a_colour_stay_sixteen(tmp_path):
    codecs = pytest.importorskip("imagecodecs", reason="the slides extra brings it")
    array = RNG.integers(0, 65_535, (5, 6, 3), dtype=np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(codecs.png_encode(array))
    assert np.array_equal(open_image(path).read(), array)
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from napari_medseg.io import open_image\n"
        "from napari_medseg.core.errors import InputError\n"
        "try:\n    open_image(sys.argv[1])\n"
        "except InputError as error:\n    sys.stdout.write(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "a.png has 16 bits per colour, which needs imagecodecs: pip install napari-medseg[slides]"


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [3, 0.5])
def test_damaged_files_are_named(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    pillow.fromarray(RNG.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if kept == 3 else int(len(whole) * kept)])
    with pytest.raises(InputError, match=rf"a{suffix} is not a whole picture .*; expected PNG or JPEG"):
        open_image(path)


@pytest.mark.parametrize(
    ("array", "axes", "message"),
    [
        (np.zeros((3, 4, 5), np.uint8), "zyx", "has the axes zyx; PNG holds y and x only"),
        (np.zeros((4, 5)), "yx", "has float64 values; PNG holds whole numbers"),
        (np.zeros((4, 5, 3), np.uint16), "yxc", "has 3 channels of uint16; PNG takes 1 channel"),
        (np.zeros((4, 5, 2), np.uint8), "yxc", "has 2 channels of uint8"),
        (np.full((4, 5), 70_000), "yx", "has values from 70000 to 70000, but the file holds 0 to 65535"),
        (np.full((4, 5), -1), "yx", "has values from -1 to -1"),
    ],
)
def test_what_png_cannot_hold(tmp_path, array, axes, message):
    with pytest.raises(InputError, match=rf"^scan {message}.*[Ss]ave as OME"):
        write_image(tmp_path / "a.png", Image.of(array, axes, name="scan"))
    assert list(tmp_path.iterdir()) == []


def test_labels_are_not_written_as_jpeg(tmp_path):
    with pytest.raises(InputError, match=r"a.jpg cannot be written: its name ends in '.jpg'; expected .tif, .ome"):
        write_labels(tmp_path / "a.jpg", Image.of(np.ones((4, 4), int), kind="labels"))


def test_labels_in_a_jpeg_are_refused(tmp_path):
    pillow.fromarray(np.zeros((9, 8), np.uint8)).save(tmp_path / "a.jpg")
    assert open_image(tmp_path / "a.jpg").shape() == (9, 8)
    with pytest.raises(InputError, match="a.jpg is a JPEG, which changes labels. Save them as .png or .tif"):
        open_image(tmp_path / "a.jpg", "labels")
