from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.io import open_image, write_image, write_labels

PICTURE = Image.of(np.arange(24, dtype=np.uint8).reshape(4, 6))


@pytest.mark.parametrize("name", ["a.tif", "a.TIFF", "a.ome.tif", "a.zarr", "a.ome.zarr", "a.png"])
def test_the_suffix_names_the_format(tmp_path, name):
    assert write_image(str(tmp_path / name), PICTURE) == tmp_path / name
    image = open_image(str(tmp_path / name))
    assert image.name in ("a", "image") and np.array_equal(image.read(), PICTURE.read())


@pytest.mark.parametrize("suffix", [".tif", ".png"])
def test_the_content_counts_more_than_the_suffix(tmp_path, suffix):
    path = write_image(tmp_path / f"a{suffix}", PICTURE)
    for name in ("b.jpg", "b.dat", "b"):
        renamed = path.rename(tmp_path / name)
        assert np.array_equal(open_image(renamed).read(), PICTURE.read())
        path = renamed


def test_a_zarr_folder_may_have_any_name(tmp_path):
    path = write_image(tmp_path / "a.zarr", PICTURE).rename(tmp_path / "prediction")
    assert np.array_equal(open_image(path).read(), PICTURE.read())


def test_missing_empty_foreign_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"no.tif does not exist. Check the name"):
        open_image(tmp_path / "no.tif")
    (tmp_path / "a.tif").touch()
    with pytest.raises(InputError, match="a.tif is empty"):
        open_image(tmp_path / "a.tif")
    (tmp_path / "a.docx").write_text("words")
    with pytest.raises(InputError, match=r"a.docx is not an image .* ends in '.docx'; expected one of .tif"):
        open_image(tmp_path / "a.docx")
    with pytest.raises(InputError, match="is a folder; expected an image file or an OME-Zarr folder"):
        open_image(tmp_path)
    (tmp_path / "b.png").write_text("words")
    with pytest.raises(InputError, match="b.png is not a whole picture"):
        open_image(tmp_path / "b.png")


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match=r"There can be no .*a.png/b.tif: .*a.png is a file, not a folder"):
        open_image(tmp_path / "a.png" / "b.tif")
    with pytest.raises(InputError, match=r"a.png is a file, not a folder"):
        write_image(tmp_path / "a.png" / "b.tif", PICTURE)
    with pytest.raises(InputError, match=r"cannot be opened: File name too long"):
        open_image(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name exist on Unix only")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(InputError, match="neither a file nor a folder"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", [".tif", ".png", ".zarr"])
def test_a_folder_of_other_things_is_never_replaced(tmp_path, suffix):
    folder = tmp_path / f"results{suffix}"
    folder.mkdir()
    (folder / "thesis.txt").touch()
    with pytest.raises(InputError, match="choose another name"):
        write_image(folder, PICTURE)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "a.zarr").write_text("precious")
    with pytest.raises(InputError, match="exists and is no zarr folder"):
        write_image(tmp_path / "a.zarr", PICTURE)
    assert (tmp_path / "a.zarr").read_text() == "precious"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_a_name_that_is_no_text_is_made_one(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    write_image(tmp_path / "a.png", PICTURE).rename(path)
    image = open_image(path)
    assert image.name == "caf?"
    assert open_image(write_image(tmp_path / "b.ome.tif", image)).shape() == (4, 6)


def test_where_and_what_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"The folder .*missing does not exist"):
        write_image(tmp_path / "missing" / "a.png", PICTURE)
    with pytest.raises(InputError, match=r"a.docx cannot be written: its name ends in '.docx'"):
        write_image(tmp_path / "a.docx", PICTURE)
    with pytest.raises(InputError, match=r"^image is raw of uint8; expected labels of whole numbers"):
        write_labels(tmp_path / "a.png", PICTURE)
    with pytest.raises(InputError, match=r"^image is labels of float32"):
        write_labels(tmp_path / "a.png", Image.of(np.ones((2, 2), np.float32), kind="labels"))


def test_nothing_heavy_is_imported_before_it_is_needed():
    heavy = ["torch", "tifffile", "zarr", "imagecodecs", "nibabel", "PIL", "napari", "qtpy", "dask"]
    code = f"import sys, napari_medseg.io, napari_medseg.io.samples; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
