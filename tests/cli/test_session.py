"""`medseg session`: info, check, repair and export, beside a viewer or alone, on sound folders and on damaged ones."""

from __future__ import annotations

import io as io_
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.cli import _console, main
from napari_medseg.cli.session import size_text
from napari_medseg.core.annotation import classes_key, create_layer, open_layer
from napari_medseg.core.classes import SegmentationClass, to_json
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.session import ImageReference, Session
from napari_medseg.core.session.schema import FILE, PAGE_BYTES

TUMOUR = (SegmentationClass(3, "tumour", "#ff0000"),)


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Session]:
    """A session that a viewer has open, with two strokes."""
    image = Image.of(np.zeros((1200, 1300, 3), np.uint8), "yxc", geometry=Geometry.plain(2, (0.5, 0.25), "um"))
    io.write_image(tmp_path / "slide.tif", image)
    folder = tmp_path / "slide.medseg"
    session = Session.create(folder, ImageReference.of(tmp_path / "slide.tif", folder), who="Ada")
    pyramid = create_layer(session, image).pyramid
    for label, where in ((3, (10, 20)), (5, (900, 1000))):
        with pyramid.editing() as outcome:
            pyramid.paint(np.ones((150, 200), bool), where, 0, label)
        session.record(f"Stroke {label}", "brush", edit=outcome.edit, docs={classes_key(): to_json(TUMOUR)})
    session.flush(10)
    yield session
    session.abandon()


@pytest.fixture
def folder(viewer: Session) -> Path:
    """The same, closed."""
    viewer.close()
    return viewer.folder


def content(folder: Path) -> dict[str, bytes]:
    """All that is in the folder; SQLite leaves an empty log, and an index of it, where it has read."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    return {name: data for name, data in found.items() if data or not name.endswith("-wal")}


def flip(folder: Path) -> None:
    """Break what the newest stroke left in a tile."""
    with sqlite3.connect(folder / FILE) as database:
        newest = database.execute("SELECT after FROM changes WHERE slot LIKE 'tile/%' ORDER BY id DESC").fetchone()[0]
        database.execute("UPDATE blobs SET data = zeroblob(20) WHERE id = ?", (newest,))
    database.close()


def test_info_beside_a_viewer(viewer: Session, capsys: pytest.CaptureFixture[str]):
    assert main(["session", "info", str(viewer.folder)]) == 0
    out = capsys.readouterr().out
    lines = {line.split("  ")[0]: " ".join(line.split("  ")[1:]).strip() for line in out.splitlines()}
    assert lines["image"].endswith("slide.tif")
    assert "annotation: 1,200 y x 1,300 x pixels, uint16, 0.5 um x 0.25 um, " in lines["layers"]
    assert lines["layers"].endswith("classes 3 tumour")
    assert lines["actions"].startswith("2; the newest is 'Stroke 5' by Ada at 20")
    assert lines["people"] == "Ada: 2 actions"
    assert lines["on disk"].endswith("kB")
    assert "history" in out and "models" in out and "predictions" in out
    viewer.record("Goes on", docs={"a": 1})
    viewer.flush(10)
    assert viewer.trouble is None


def test_info_of_an_empty_session_whose_image_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "slide.tif").write_bytes(b"picture")
    reference = ImageReference.of(tmp_path / "slide.tif", tmp_path / "a.medseg")
    Session.create(tmp_path / "a.medseg", reference).close()
    (tmp_path / "slide.tif").unlink()
    assert main(["session", "info", str(tmp_path / "a.medseg")]) == 0
    out = capsys.readouterr().out
    assert "missing" in out and "Put it back or choose it" in out
    assert "layers         none" in out


def test_looking_changes_nothing(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    before = content(folder)
    for arguments in (["info"], ["check"]):
        assert main(["session", *arguments, str(folder)]) == 0
    assert "no problems" in capsys.readouterr().out
    assert main(["session", "export", str(folder), "--out", str(tmp_path / "a.tif")]) == 0
    assert content(folder) == before


@pytest.mark.parametrize("name", ["labels.ome.zarr", "labels.tif", "labels.png"])
def test_export_beside_a_viewer(viewer: Session, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / name
    assert main(["session", "export", str(viewer.folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"Written: {out}, layer 'annotation'\n"
    found = io.open_image(out, kind="labels")
    assert found.geometry.scale == pytest.approx((0.5, 0.25), rel=1e-3)
    expected = open_layer(viewer).pyramid.read(0, ((0, 1200), (0, 1300)))
    assert set(np.unique(expected)) == {0, 3, 5}
    np.testing.assert_array_equal(found.levels[0][...], expected)
    assert found.classes == (() if name.endswith("png") else TUMOUR)


def test_export_takes_what_was_accepted_before_the_strokes(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with Session.create(tmp_path / "two.medseg") as session:
        for name, title, value in (("annotation", "slide scribbles", 1), ("accepted", "slide annotation", 2)):
            pyramid = create_layer(session, Image.of(np.zeros((20, 30))), name).pyramid
            session.facts.state("shown/" + name, {"name": title})
            with pyramid.editing() as outcome:
                pyramid.write(np.full((20, 30), value, np.uint16), (0, 0))
            session.record("all of it", edit=outcome.edit, layer=name)
    export = ["session", "export", str(tmp_path / "two.medseg"), "--out"]
    assert main([*export, str(tmp_path / "a.tif")]) == 0
    out = capsys.readouterr().out
    assert "layer 'slide annotation'; --layer takes 'slide scribbles' too" in out
    assert main([*export, str(tmp_path / "b.tif"), "--layer", "slide scribbles"]) == 0
    assert main([*export, str(tmp_path / "c.tif"), "--layer", "annotation"]) == 0
    found = [int(io.open_image(tmp_path / f"{name}.tif", "labels").read().max()) for name in "abc"]
    assert found == [2, 1, 1]
    assert main(["session", "info", str(tmp_path / "two.medseg")]) == 0
    assert "accepted ('slide annotation' in napari): 20 y x 30 x pixels" in capsys.readouterr().out


def test_export_takes_the_only_layer_or_the_one_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder, out = tmp_path / "a.medseg", tmp_path / "a.tif"
    with Session.create(folder) as session:
        create_layer(session, Image.of(np.zeros((20, 30))), "first reader")
    export = ["session", "export", str(folder), "--out", str(out), "--replace"]
    assert main(export) == 0
    with Session.open(folder) as session:
        create_layer(session, Image.of(np.zeros((40, 30))), "second reader")
    assert main(export) == 2
    assert "no layer 'annotation'; its layers: 'first reader', 'second reader'" in capsys.readouterr().err
    assert main([*export, "--layer", "second reader"]) == 0
    assert io.open_image(out, kind="labels").shape() == (40, 30)


def test_export_shows_how_far_it_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    screen = io_.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(_console, "INTERVAL_S", 0)
    assert main(["session", "export", str(folder), "--out", str(tmp_path / "a.tif")]) == 0
    shown = [line for line in screen.getvalue().split(_console.CLEAR) if line]
    assert len(shown) > 3 and shown[0].startswith("Writing") and shown[-1] == "Writing  100 %"
    assert main(["session", "export", str(folder), "--out", str(tmp_path / "b.tif"), "--quiet"]) == 0
    assert screen.getvalue().split(_console.CLEAR)[1:-1] == shown


def test_export_replaces_only_when_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "a.tif"
    out.write_text("mine")
    assert main(["session", "export", str(folder), "--out", str(out)]) == 2
    assert "is there already; add --replace" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["session", "export", str(folder), "--out", str(out), "--replace"]) == 0
    assert io.open_image(out, kind="labels").shape() == (1200, 1300)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "{folder}"], "--out"),
        (["export", "{folder}", "--out", "{root}/a.doc"], "cannot be written: its name ends in '.doc'"),
        (["export", "{folder}", "--out", "{root}/no/a.tif"], "does not exist. Make it"),
        (["export", "{folder}", "--out", "{folder}/a.tif"], "lies in the session itself"),
        (["export", "{folder}", "--out", "{root}/a.tif", "--layer", "b"], "no layer 'b'; its layers: 'annotation'"),
        (["info", "{root}/no.medseg"], "There is no session at"),
        (["check", "{root}"], "is no session: it has no session.sqlite"),
        (["repair", "{root}/slide.tif"], "There is no session at"),
        (["lose", "{folder}"], "knows no 'lose'. It knows info"),
        ([], "ACTION"),
    ],
)
def test_mistakes_are_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments, words: str):
    given = [word.format(folder=folder, root=tmp_path) for word in arguments]
    assert main(["session", *given]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("medseg: ") and captured.err.count("\n") == 1
    assert words in captured.err
    assert not list(tmp_path.glob("a.*"))


def test_check_lists_and_repair_mends(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    flip(folder)
    before = content(folder)
    assert main(["session", "check", str(folder)]) == 2
    captured = capsys.readouterr()
    assert "does not match its checksum" in captured.out
    assert captured.err.count("\n") == 1 and f"Say medseg session repair {folder}" in captured.err
    assert content(folder) == before
    assert main(["session", "repair", str(folder)]) == 0
    assert "the damaged file is kept as session.broken-20" in capsys.readouterr().out
    assert main(["session", "check", str(folder)]) == 0
    assert main(["session", "repair", str(folder)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    assert main(["session", "export", str(folder), "--out", str(tmp_path / "a.tif")]) == 0
    assert (io.open_image(tmp_path / "a.tif", kind="labels").levels[0][:160, :220] == 3).any()


def test_a_damaged_file_is_listed_told_of_and_exported_as_far_as_it_can_be_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with (folder / FILE).open("r+b") as file:
        file.write(bytes(PAGE_BYTES))
    before = content(folder)
    assert main(["session", "check", str(folder)]) == 2
    assert "file is not a database" in capsys.readouterr().out
    assert main(["session", "info", str(folder)]) == 0
    assert "a temporary copy shows what could be read" in capsys.readouterr().out
    assert main(["session", "export", str(folder), "--out", str(tmp_path / "a.tif")]) == 0
    assert "medseg: warning: The database is damaged and is left as it is" in capsys.readouterr().err
    found = io.open_image(tmp_path / "a.tif", kind="labels")
    assert set(np.unique(found.levels[0][...])) == {0, 3, 5}
    assert content(folder) == before


def test_repair_beside_a_viewer_is_refused(viewer: Session, capsys: pytest.CaptureFixture[str]):
    assert main(["session", "repair", str(viewer.folder)]) == 2
    assert "Nothing was repaired. This session is open for reading only: Ada has it open" in capsys.readouterr().err


def test_a_layer_of_another_image_is_a_problem(folder: Path, capsys: pytest.CaptureFixture[str]):
    with Session.open(folder) as session:
        session.facts.state("layer/annotation", session.facts["layer/annotation"] | {"shape": [30, 40]})
    assert main(["session", "check", str(folder)]) == 2
    assert "they belong to another image" in capsys.readouterr().out
    assert main(["session", "info", str(folder)]) == 0
    assert "they belong to another image" in capsys.readouterr().out


def test_a_session_with_any_name(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    moved = tmp_path / "Präparat 7 (?) #1.medseg"
    shutil.move(folder, moved)
    assert main(["session", "info", str(moved)]) == 0
    assert "Präparat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_250_000, "1.2 MB"),
        (3.2e12, "3.2 TB"),
        (1e17, "100000.0 TB"),
    ],
)
def test_sizes_have_units(size: float, text: str):
    assert size_text(size) == text
