"""`medseg apply`: one image, many, and those that cannot be done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pytest import CaptureFixture

from napari_medseg import io
from napari_medseg.cli import STOPPED, _console, main
from napari_medseg.core.image import Image

Written = Callable[[], dict[str, bytes | None]]


@pytest.fixture
def folder(files: tuple[Path, Path], tmp_path: Path) -> Path:
    """Two images, a hidden one as some systems leave them, and a text."""
    made = tmp_path / "in"
    made.mkdir()
    for name in ("a.tif", "b.tif"):
        (made / name).write_bytes(files[0].read_bytes())
    (made / "._a.tif").write_bytes(b"of the system")
    (made / "notes.txt").write_text("no image")
    return made


def test_a_folder_of_images(model: str, folder: Path, tmp_path: Path, capsys: CaptureFixture[str]):
    results = tmp_path / "deep" / "out"
    assert main(["apply", str(folder), "--model", model, "--out", str(results), "--device", "cpu"]) == 0
    assert {path.name for path in results.iterdir()} == {"a-labels.tif", "b-labels.tif"}
    assert capsys.readouterr().out.count("Written: ") == 2


def test_an_image_into_a_folder(model: str, folder: Path, tmp_path: Path):
    results = tmp_path / "folder.tif"
    results.mkdir()
    assert main(["apply", str(folder / "a.tif"), "--model", model, "--out", str(results), "--device", "cpu"]) == 0
    assert {path.name for path in results.iterdir()} == {"a-labels.tif"}


def test_one_bad_image_does_not_stop_the_others(model: str, folder: Path, capsys: CaptureFixture[str]):
    io.write_labels(folder / "a.tif", Image.of(np.zeros((20, 20), np.uint8), kind="labels"))
    again = ["apply", str(folder), "--model", model, "--out", str(folder), "--device", "cpu"]
    for _ in range(2):
        assert main(again) == 2
        captured = capsys.readouterr()
        said = captured.err.strip()
        assert "1 of 2 images were segmented" in said and "left out: a.tif: The model 'm' was taught on RGB" in said
        assert len(said.splitlines()) == 1
        assert captured.out.splitlines()[-1] == f"Written: {folder / 'b-labels.tif'}"
        assert (folder / "b-labels.tif").exists() and not (folder / "a-labels.tif").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["in/a.tif", "--out", "l.tif"], "Which model? Add --model NAME. Known models: m."),
        (["in/a.tif", "--out", "l.tif", "--model", ""], "Which model? Add --model NAME. Known models: m."),
        (["in", "--out", "new/out", "--model", "nobody"], "There is no model 'nobody'"),
        (["in/a.tif", "in/b.tif", "--out", "l.tif", "--model", "m"], "l.tif is one file, but there are 2 images"),
        (["in", "--out", "l.ome.zarr", "--model", "m"], "l.ome.zarr is one file, but there are 2 images"),
        (["in/a.tif", "in/b.tif", "--out", "strokes.tif", "--model", "m"], "strokes.tif is one file, but"),
        (["in", "--out", "strokes.tif/out", "--model", "m"], "strokes.tif/out cannot be made: Not a directory"),
        (["in/a.tif", "in/a.png", "--out", "new", "--model", "m"], "a.tif and in/a.png have the same name"),
        (["x.tif", "y.tif", "--out", "new/out", "--model", "m"], "0 of 2 images were segmented"),
        (["in/a.tif", "--out", "in/a.tif", "--model", "m"], "named twice"),
        (["in/a.tif", "--out", "new/l.tif", "--model", "m"], "The folder new does not exist"),
        (["bare", "--out", "new", "--model", "m"], "There is no image in bare"),
        (["in/a.tif", "--out", "l.tif", "--model", "encoder"], "is for encoder, not for segmentation"),
        (["in/a.tif", "--out", "l.tif", "--model", "m", "--axes", "zyx"], "was taught on RGB images; 'a' has 1"),
    ],
)
@pytest.mark.usefixtures("model", "folder")
def test_bad_input_is_one_line_and_changes_nothing(
    tmp_path: Path,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    capsys: CaptureFixture[str],
    words: list[str],
    sentence: str,
):
    (tmp_path / "bare").mkdir()
    monkeypatch.chdir(tmp_path)
    before = written()
    assert main(["apply", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert sentence in captured.err
    assert written() == before


def test_stopping_tells_how_many_images_are_done(
    model: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CaptureFixture[str]
):
    class Impatient(_console.Console):
        """Somebody who presses Ctrl-C while the second image is in work."""

        def show(self, event: object) -> None:
            if "b.tif" in self._title:
                raise KeyboardInterrupt

    monkeypatch.setattr(_console, "Console", Impatient)
    results = tmp_path / "out"
    assert main(["apply", str(folder), "--model", model, "--out", str(results), "--device", "cpu"]) == STOPPED
    assert capsys.readouterr().err == "medseg: stopped; 1 of 2 images were segmented.\n"
    assert {path.name for path in results.iterdir()} == {"a-labels.tif"}


def test_stopping_the_first_leaves_nothing(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: CaptureFixture[str], written: Written
):
    class Impatient(_console.Console):
        """Somebody who presses Ctrl-C at once."""

        def show(self, event: object) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(_console, "Console", Impatient)
    before = written()
    words = ["apply", str(tmp_path / "image.tif"), "--model", model, "--out", str(tmp_path / "l.tif")]
    assert main([*words, "--device", "cpu"]) == STOPPED
    assert capsys.readouterr().err == "medseg: stopped; nothing was written.\n"
    assert written() == before
