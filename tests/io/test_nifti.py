from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.io import open_image, write_image, write_labels

nibabel = pytest.importorskip("nibabel", reason="the medical extra brings it")
RNG = np.random.default_rng(0)


def save(path, array, affine=None, **header):
    volume = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine)
    volume.header.set_xyzt_units(**({"xyz": "mm"} | header))
    nibabel.save(volume, path)
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_axes_are_z_y_x_and_voxels_stay_where_they_are(tmp_path, suffix):
    array = RNG.integers(0, 99, (4, 5, 6)).astype(np.int16)
    affine = np.array([[-0.5, 0, 0, 90], [0, 0.7, 0, -126], [0, 0, 3.0, -72], [0, 0, 0, 1]])
    image = open_image(save(tmp_path / f"scan.1{suffix}", array, affine))
    assert image.axes == "zyx" and image.name == "scan.1" and image.dtype == np.int16
    assert np.array_equal(image.read()[..., 0], array.transpose(2, 1, 0))
    assert np.array_equal(image.read((slice(1, 3), slice(0, 2), slice(3, 4)))[..., 0], array.T[1:3, 0:2, 3:4])
    assert image.geometry.scale == pytest.approx((3, 0.7, 0.5)) and image.geometry.units == ("mm",) * 3
    world_xyz = affine @ [1, 2, 3, 1]
    assert image.geometry.matrix() @ [3, 2, 1, 1] == pytest.approx([*world_xyz[2::-1], 1])
    assert image.pixel_size_um() == pytest.approx((3000, 700, 500))


def test_an_upright_volume_needs_no_affine(tmp_path):
    geometry = open_image(save(tmp_path / "a.nii", np.zeros((2, 3, 4), np.uint8), np.diag([1, 2, 3, 1.0]))).geometry
    assert geometry.affine is None and geometry.scale == (3, 2, 1)


@settings(max_examples=20, deadline=None)
@given(
    axes=st.sampled_from(["yx", "zyx", "tzyx", "czyx", "tczyx"]),
    dtype=st.sampled_from(["uint8", "int16", "float32", "float64", "bool", ">i2", "int64"]),
    side=st.sampled_from([(1, 1), (17, 5)]),
    angle=st.floats(-3, 3),
    shift=st.tuples(*[st.floats(-100, 100)] * 3),
)
def test_round_trip_of_values_and_geometry(tmp_path_factory, axes, dtype, side, angle, shift):
    path = tmp_path_factory.mktemp("nifti") / "a.nii.gz"
    spatial = axes.replace("c", "")
    shape = tuple(({"t": 2, "z": 3, "c": 4} | dict(zip("yx", side, strict=True)))[letter] for letter in axes)
    turn = np.eye(len(spatial) + 1)
    turn[-3:-1, -3:-1] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    here = {"t": (4.0, "s", 0.0), "z": (2.0, "mm", shift[0]), "y": (0.5, "mm", shift[1]), "x": (0.25, "mm", shift[2])}
    scale, units, translate = (tuple(here[letter][i] for letter in spatial) for i in range(3))
    geometry = Geometry(scale, units, translate, affine=turn)
    image = Image.of(RNG.integers(0, 99, shape).astype(dtype), axes, geometry=geometry)
    write_image(path, image)
    back = open_image(path)
    kept = back.levels[0][...]
    if "t" in axes and "c" in axes:
        assert back.axes == "ctzyx"
        kept = kept.swapaxes(0, 1)
    else:
        assert back.axes == axes
    assert np.array_equal(kept, image.levels[0])
    assert back.geometry.scale == pytest.approx(scale)
    assert np.allclose(back.geometry.matrix(), image.geometry.matrix(), atol=1e-4)


def test_labels_say_so(tmp_path):
    labels = RNG.integers(0, 3, (3, 4, 5))
    write_labels(tmp_path / "a.nii", Image.of(labels, kind="labels"))
    image = open_image(tmp_path / "a.nii")
    assert image.kind == "labels" and np.array_equal(image.read()[..., 0], labels)


def test_stored_scaling_is_applied(tmp_path):
    volume = nibabel.Nifti1Image(np.arange(8, dtype=np.float64).reshape(2, 2, 2) / 7, np.eye(4))
    volume.set_data_dtype(np.int16)
    nibabel.save(volume, tmp_path / "a.nii")
    image = open_image(tmp_path / "a.nii")
    assert image.dtype == np.float32 and image.read().dtype == np.float32
    assert image.read()[1, 1, 1, 0] == pytest.approx(1, abs=1e-3)


def test_time_and_micrometres(tmp_path):
    array = np.zeros((3, 4, 5, 2), np.uint8)
    volume = nibabel.Nifti1Image(array, np.diag([10, 10, 20, 1.0]))
    volume.header.set_zooms((10, 10, 20, 2.5))
    volume.header.set_xyzt_units("micron", "sec")
    nibabel.save(volume, tmp_path / "a.nii")
    geometry = open_image(tmp_path / "a.nii").geometry
    assert geometry.scale == (2.5, 20, 10, 10) and geometry.units == ("s", "um", "um", "um")


def test_version_2(tmp_path):
    volume = nibabel.Nifti2Image(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), np.eye(4))
    nibabel.save(volume, tmp_path / "a.nii.gz")
    assert open_image(tmp_path / "a.nii.gz").levels[0][3, 2, 1] == 23


def test_unzipped_volumes_are_read_in_parts(tmp_path):
    path = save(tmp_path / "a.nii", np.zeros((64, 64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[: 352 + 64 * 64])
    image = open_image(path)
    assert image.read((slice(0, 1), slice(None), slice(None))).shape == (1, 64, 64, 1)
    with pytest.raises(InputError, match="a.nii is damaged or incomplete"):
        image.read()


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08 not zipped", bytes(400), b"text" * 100])
def test_foreign_files_are_named(tmp_path, content):
    (tmp_path / "a.nii.gz").write_bytes(content)
    (tmp_path / "a.nii").write_bytes(content)
    for name in ("a.nii.gz", "a.nii"):
        with pytest.raises(InputError, match=rf"^{name} is not a whole NIfTI file"):
            open_image(tmp_path / name)


def test_what_to_install_without_nibabel(tmp_path):
    path = save(tmp_path / "a.nii", np.zeros((2, 2, 2), np.uint8))
    code = (
        "import sys; sys.modules['nibabel'] = None\n"
        "from napari_medseg.io import open_image\n"
        "from napari_medseg.core.errors import InputError\n"
        "try:\n    open_image(sys.argv[1])\n"
        "except InputError as error:\n    sys.stdout.write(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "a.nii is a NIfTI file, which needs nibabel: pip install napari-medseg[medical]"


def test_too_wide_for_the_format(tmp_path):
    with pytest.raises(InputError, match=r"wide has 1 x 40000 pixels; NIfTI holds up to 32767 .*Save as OME-TIFF"):
        write_image(tmp_path / "a.nii", Image.of(np.zeros((1, 40_000), np.uint8), name="wide"))
