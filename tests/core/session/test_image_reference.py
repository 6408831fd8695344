from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from napari_medseg.core.errors import InputError
from napari_medseg.core.session import ImageReference, Session


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "case 1" / "slide ä.tif"
    path.parent.mkdir()
    path.write_bytes(os.urandom(3_500_000))
    return path


def make(image: Path, folder: Path) -> None:
    with Session.create(folder, ImageReference.of(image, folder)) as session:
        found = session.find_image()
        assert found is not None and (found.path, found.state, found.sentence) == (image.resolve(), "same", "")


def found_in(folder: Path):
    with Session.open(folder) as session:
        return session.find_image()


def test_a_session_moved_with_its_image_finds_it(image: Path, tmp_path: Path):
    make(image, image.parent / "slide.medseg")
    shutil.move(image.parent, tmp_path / "elsewhere")
    found = found_in(tmp_path / "elsewhere" / "slide.medseg")
    assert (found.path, found.state) == ((tmp_path / "elsewhere" / image.name).resolve(), "same")


def test_a_session_moved_alone_finds_the_image_where_it_was(image: Path, tmp_path: Path):
    make(image, image.parent / "slide.medseg")
    shutil.move(image.parent / "slide.medseg", tmp_path / "far" / "away" / "slide.medseg")
    found = found_in(tmp_path / "far" / "away" / "slide.medseg")
    assert (found.path, found.state) == (image.resolve(), "moved")


def test_a_renamed_image_is_found_by_its_content(image: Path):
    make(image, image.parent / "slide.medseg")
    (image.parent / "decoy.tif").write_bytes(os.urandom(image.stat().st_size))
    renamed = image.rename(image.parent / "renamed.tif")
    found = found_in(image.parent / "slide.medseg")
    assert (found.path, found.state) == (renamed.resolve(), "moved")
    assert "was at" in found.sentence and "renamed.tif" in found.sentence


@pytest.mark.parametrize("where", [0, 1_400_000, 3_499_999])
def test_a_changed_image_is_noticed(image: Path, where: int):
    make(image, image.parent / "slide.medseg")
    pieces = {0: 1, 1_400_000: 250_000, 3_499_999: 1}
    with image.open("r+b") as file:
        file.seek(where)
        file.write(b"\x00" * pieces[where] + b"\xff")
    found = found_in(image.parent / "slide.medseg")
    assert (found.path, found.state) == (image.resolve(), "changed")
    assert "its content has changed. The annotations may not fit it." in found.sentence


def test_a_missing_image_is_said_with_where_it_was(image: Path):
    make(image, image.parent / "slide.medseg")
    image.unlink()
    found = found_in(image.parent / "slide.medseg")
    assert (found.path, found.state) == (None, "missing")
    assert str(image) in found.sentence and "choose it" in found.sentence


def test_a_chosen_image_replaces_the_one_before(image: Path, tmp_path: Path):
    make(image, image.parent / "slide.medseg")
    other = tmp_path / "other.tif"
    other.write_bytes(b"another image")
    with Session.open(image.parent / "slide.medseg") as session:
        session.set_image(other)
        found = session.find_image()
        assert found is not None and (found.path, found.state) == (other.resolve(), "same")
    assert found_in(image.parent / "slide.medseg").path == other.resolve()


def test_an_image_in_a_folder_is_known_by_its_files_and_not_by_its_labels(tmp_path: Path):
    zarr = tmp_path / "slide.zarr"
    for level in range(3):
        (zarr / str(level) / "c").mkdir(parents=True)
        (zarr / str(level) / "c" / "0").write_bytes(os.urandom(1000))
    (zarr / "zarr.json").write_text("{}")
    make(zarr, tmp_path / "slide.medseg")
    (zarr / "labels" / "nuclei").mkdir(parents=True)
    (zarr / "labels" / "nuclei" / "zarr.json").write_text("{}")
    assert found_in(tmp_path / "slide.medseg").state == "same"
    shutil.move(zarr, tmp_path / "renamed.zarr")
    assert found_in(tmp_path / "slide.medseg").state == "moved"
    (tmp_path / "renamed.zarr" / "1" / "c" / "0").write_bytes(os.urandom(1000))
    assert found_in(tmp_path / "slide.medseg").state == "missing"


def test_an_empty_and_a_small_file_are_images_too(tmp_path: Path):
    for size in (0, 1, 100):
        path = tmp_path / f"{size}.png"
        path.write_bytes(b"x" * size)
        make(path, tmp_path / f"{size}.medseg")


def test_a_session_may_have_no_image(session: Session):
    assert session.image is None
    assert session.find_image() is None


def test_an_image_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no image at .*gone.tif. Give the file"):
        ImageReference.of(tmp_path / "gone.tif", tmp_path)
