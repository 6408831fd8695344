"""Bad input as a user of the viewer meets it: a clear sentence, and nothing lost that was there before."""

from __future__ import annotations

import sqlite3
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from skimage.io import imsave

from napari_medseg.core import tilecodec
from napari_medseg.core.annotation import open_layer
from napari_medseg.core.edits import TileKey
from napari_medseg.core.errors import InputError
from napari_medseg.core.session import ANNOTATION, Session, slots
from napari_medseg.core.session.opening import LONGEST_PATH_BYTES
from napari_medseg.core.session.rows import checksum
from napari_medseg.core.session.schema import FILE, PAGE_BYTES
from napari_medseg.widgets import _sessions
from napari_medseg.widgets._sessions import SessionService, sessions_of

SHAPE = (1300, 1700)
CORNER = TileKey(0, 0, 0, 0)
PLACE = "y 0 to 512, x 0 to 512"


@pytest.fixture
def viewer(make_napari_viewer) -> napari.Viewer:
    return make_napari_viewer()


@pytest.fixture
def sessions(viewer: napari.Viewer, tmp_path: Path) -> SessionService:
    """A named session with two strokes: label 1 in the corner and beyond, then label 2 over the corner alone."""
    sessions = sessions_of(viewer)
    sessions.new_layer(viewer.add_image(np.zeros(SHAPE, np.uint8), name="image"), ())
    speckle(sessions, 1, 1000)
    speckle(sessions, 2, 300)
    sessions.save_as(tmp_path / "kept")
    return sessions


def speckle(sessions: SessionService, label: int, size: int) -> None:
    layer: Any = sessions.layer(ANNOTATION)
    rng = np.random.default_rng(label)
    layer.data_setitem((rng.integers(0, size, 5000), rng.integers(0, size, 5000)), label)


def picture(sessions: SessionService) -> np.ndarray:
    layer: Any = sessions.layer(ANNOTATION)
    return np.asarray(layer.data)


def closed(sessions: SessionService) -> tuple[Path, np.ndarray]:
    """Close the session; its folder, and what it showed."""
    assert sessions.session is not None
    folder, shown = sessions.session.folder, picture(sessions).copy()
    sessions.close()
    return folder, shown


def change(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / FILE) as database:
        assert database.execute(statement).rowcount == 1
    database.close()


NEWEST = (
    f"id = (SELECT after FROM changes WHERE slot = '{slots.of_tile(ANNOTATION, CORNER)}' ORDER BY journal DESC LIMIT 1)"
)
"""The condition for the bytes that the second stroke left in the corner."""


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What napari showed to the user."""
    heard: list[str] = []

    def hear(event: Any) -> None:
        heard.append(event.message)

    notification_manager.notification_ready.connect(hear)
    yield heard
    notification_manager.notification_ready.disconnect(hear)


def works_on(sessions: SessionService) -> None:
    """Painting, undo and redo do what they should."""
    before = picture(sessions).copy()
    label = int(before.max()) + 1
    speckle(sessions, label, 1200)
    after = picture(sessions).copy()
    assert (after == label).any()
    sessions.undo()
    np.testing.assert_array_equal(picture(sessions), before)
    sessions.redo()
    np.testing.assert_array_equal(picture(sessions), after)


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize("statement", ["DELETE FROM blobs WHERE", "UPDATE blobs SET data = zeroblob(30) WHERE"])
def test_a_missing_or_damaged_tile_goes_back_and_its_place_is_said(sessions, said, statement: str) -> None:
    folder, shown = closed(sessions)
    change(folder, f"{statement} {NEWEST}")
    sessions.open(folder)
    assert f"Labels of the layer 'annotation' went back to an earlier version: {PLACE}." in sessions.notices
    assert PLACE in said[-1]
    found = picture(sessions)
    assert set(np.unique(found[:512, :512])) == {0, 1}
    np.testing.assert_array_equal(found[512:], shown[512:])
    np.testing.assert_array_equal(found[:, 512:], shown[:, 512:])
    works_on(sessions)
    again, _ = closed(sessions)
    sessions.open(again)
    assert sessions.notices == []


def test_a_tile_without_an_earlier_version_shows_coarser_labels_and_its_place_is_said(sessions) -> None:
    sessions.compact()
    folder, shown = closed(sessions)
    slot = slots.of_tile(ANNOTATION, CORNER)
    change(folder, f"DELETE FROM blobs WHERE id = (SELECT blob FROM state WHERE slot = '{slot}')")
    sessions.open(folder)
    assert f"Labels of the layer 'annotation' are lost, and coarser ones are shown: {PLACE}." in sessions.notices
    found = picture(sessions)
    assert found[:512, :512].any() and not np.array_equal(found[:512, :512], shown[:512, :512])
    np.testing.assert_array_equal(found[512:], shown[512:])
    works_on(sessions)


def test_a_tile_of_a_newer_version_is_left_alone_and_the_rest_shown(sessions) -> None:
    blob = sessions.session.tiles().get(CORNER)
    folder, shown = closed(sessions)
    header = blob[:4] + bytes([tilecodec.VERSION + 1]) + blob[5:24]
    newer = header + struct.pack("<I", zlib.crc32(header + blob[28:])) + blob[28:]
    change(folder, f"UPDATE blobs SET data = x'{newer.hex()}', crc = {checksum((newer,))} WHERE {NEWEST}")
    sessions.open(folder)
    assert any("were written by a newer napari-medseg" in notice and PLACE in notice for notice in sessions.notices)
    assert "Update napari-medseg to see and paint all of it." in sessions.notices
    assert not sessions.layer(ANNOTATION).editable
    np.testing.assert_array_equal(picture(sessions)[512:], shown[512:])
    sessions.close()
    with Session.open(folder) as session:
        assert session.tiles().get(CORNER) == newer


def test_a_database_of_a_newer_version_is_shown_and_not_changed(sessions) -> None:
    folder, shown = closed(sessions)
    with sqlite3.connect(folder / FILE) as database:
        database.execute("PRAGMA user_version=7")
    database.close()
    before = (folder / FILE).read_bytes()
    sessions.open(folder)
    assert "Update napari-medseg to write to it" in sessions.notices[0]
    assert not sessions.layer(ANNOTATION).editable
    np.testing.assert_array_equal(picture(sessions), shown)
    sessions.undo()
    np.testing.assert_array_equal(picture(sessions), shown)
    sessions.close()
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_database_shows_what_is_left_and_keeps_the_damaged_file(sessions, share: float) -> None:
    folder, shown = closed(sessions)
    size = (folder / FILE).stat().st_size
    with (folder / FILE).open("r+b") as file:
        file.truncate(int(size * share))
    sessions.open(folder)
    assert any("The database was damaged and has been repaired" in notice for notice in sessions.notices)
    assert len(list(folder.glob("session.broken-*.sqlite"))) == 1
    layer = sessions.layer(ANNOTATION)
    if layer is not None:
        assert set(np.unique(picture(sessions))) <= {0, 1, 2}
        works_on(sessions)
    else:
        assert share == 0.5


def test_a_database_without_its_header_loses_nothing(sessions) -> None:
    folder, shown = closed(sessions)
    with (folder / FILE).open("r+b") as file:
        file.write(bytes(PAGE_BYTES))
    sessions.open(folder)
    np.testing.assert_array_equal(picture(sessions), shown)
    works_on(sessions)


# ---------------------------------------------------------------------- places


def test_a_read_only_folder_is_shown_and_says_so(sessions) -> None:
    """A lock that cannot be opened, for rights mean nothing to an administrator, as whom tests often run."""
    folder, shown = closed(sessions)
    (folder / "lock").unlink()
    (folder / "lock").mkdir()
    sessions.open(folder)
    assert "This session is open for reading only" in sessions.notices[0]
    assert "cannot be written to" in sessions.notices[0] and "copy the folder" in sessions.notices[0]
    assert not sessions.layer(ANNOTATION).editable
    np.testing.assert_array_equal(picture(sessions), shown)
    with pytest.raises(Exception, match="for reading only"):
        sessions.save_as(folder.with_name("other"))


@pytest.mark.parametrize("name", ["Präparat 7 – 日本 🔬", "a?b#c%20d&mode=ro", "quote'\""])
def test_any_name_will_do_for_image_and_session(viewer, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.tif"
    imsave(path, np.zeros((60, 70), np.uint8), check_contrast=False)
    sessions = sessions_of(viewer)
    (source,) = viewer.open(str(path), plugin="napari")
    layer: Any = sessions.new_layer(source, ())
    layer.data_setitem((np.arange(9), np.arange(9)), 1)
    assert sessions.is_automatic
    sessions.save_as(tmp_path / name / "Größe")
    folder, shown = closed(sessions)
    viewer.layers.clear()
    sessions.open(folder)
    assert sessions.notices == [] and viewer.layers[0].source.path == str(path)
    np.testing.assert_array_equal(picture(sessions), shown)


def test_a_path_that_is_too_long_is_explained_and_changes_nothing(sessions, tmp_path: Path) -> None:
    folder = sessions.session.folder
    with pytest.raises(InputError, match=f"its database takes at most {LONGEST_PATH_BYTES}"):
        sessions.save_as(tmp_path.joinpath(*["d" * 100] * 6))
    assert sessions.session.folder == folder
    works_on(sessions)


def test_a_session_moved_with_its_image_finds_it_without_a_word(viewer, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    imsave(tmp_path / "a" / "slide.tif", np.zeros((60, 70), np.uint8), check_contrast=False)
    sessions = sessions_of(viewer)
    (source,) = viewer.open(str(tmp_path / "a" / "slide.tif"), plugin="napari")
    layer: Any = sessions.new_layer(source, ())
    layer.data_setitem((np.arange(9), np.arange(9)), 1)
    sessions.save_as(tmp_path / "a" / "kept")
    closed(sessions)
    viewer.layers.clear()
    (tmp_path / "a").rename(tmp_path / "b")
    sessions.open(tmp_path / "b" / "kept.medseg")
    assert sessions.notices == []
    assert viewer.layers[0].source.path == str(tmp_path / "b" / "slide.tif")


# ---------------------------------------------------------------------- time


def test_a_clock_that_goes_back_changes_no_order(sessions, monkeypatch) -> None:
    """The folder says that it was last worked on in a later year than the strokes that follow."""
    folder, shown = closed(sessions)
    crc = _crc_with_time(folder)
    change(folder, f"UPDATE journal SET time_utc = '2099-01-01T00:00:00.000Z', crc = {crc} WHERE id = 2")
    sessions.open(folder)
    assert sessions.notices == []
    works_on(sessions)
    stamps = [entry.action.time_utc[:4] for entry in sessions.session.history()]
    assert stamps[1] == "2099" and stamps[0] < "2099"
    sessions.undo()
    np.testing.assert_array_equal(picture(sessions), shown)


def _crc_with_time(folder: Path) -> int:
    with sqlite3.connect(folder / FILE) as database:
        query = "SELECT parent, who, tool, name, boxes, parameters, model FROM journal WHERE id = 2"
        parent, *rest = database.execute(query).fetchone()
    database.close()
    return checksum((parent, "2099-01-01T00:00:00.000Z", *rest))


# ---------------------------------------------------------------------- the disk


@pytest.fixture
def held_disk(sessions) -> Iterator[sqlite3.Connection]:
    """A drive on which nothing gets written for as long as the transaction of another program is open."""
    sessions.session.flush(10)
    other = sqlite3.connect(sessions.session.folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_slow_disk_holds_no_stroke_up(sessions, held_disk, qtbot, said) -> None:
    works_on(sessions)
    assert sessions.session.waiting >= 3
    qtbot.waitUntil(lambda: bool(sessions.trouble), timeout=30_000)
    assert "waits in memory and is written as soon as that is possible" in said[-1]
    works_on(sessions)
    shown = picture(sessions).copy()
    held_disk.execute("ROLLBACK")
    sessions.session.flush(30)
    qtbot.waitUntil(lambda: "works again; nothing was lost" in said[-1])
    folder, _ = closed(sessions)
    with Session.open(folder) as session:
        np.testing.assert_array_equal(np.asarray(open_layer(session).image.levels[0]), shown)


def test_closing_while_the_disk_is_stuck_is_refused_and_the_work_stays(sessions, held_disk, monkeypatch) -> None:
    monkeypatch.setattr(_sessions, "CLOSE_S", 0.1)
    works_on(sessions)
    shown = picture(sessions).copy()
    with pytest.raises(Exception, match="are not on disk yet"):
        sessions.close()
    assert sessions.session is not None
    heard: list[None] = []
    sessions.changed.connect(lambda: heard.append(None))
    works_on(sessions)
    held_disk.execute("ROLLBACK")
    monkeypatch.setattr(_sessions, "CLOSE_S", 30)
    sessions.undo()
    np.testing.assert_array_equal(picture(sessions), shown)
    assert heard, "the panel goes on to hear of changes"
    folder, _ = closed(sessions)
    with Session.open(folder) as session:
        np.testing.assert_array_equal(np.asarray(open_layer(session).image.levels[0]), shown)


FULL_DISK = """
import resource, sys, time
import napari, numpy as np
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import QApplication
from napari_medseg.widgets._sessions import sessions_of

viewer = napari.Viewer(show=False)
sessions = sessions_of(viewer)
sessions.open(sys.argv[1])
layer, session, said = sessions.layer("annotation"), sessions.session, []
notification_manager.notification_ready.connect(lambda event: said.append(event.message))
session.flush(10)
used = (session.folder / "session.sqlite").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (used + 200_000, resource.RLIM_INFINITY))
rng = np.random.default_rng(0)

def stroke(label):
    layer.data_setitem(tuple(rng.integers(0, 1200, (2, 200_000))), label)

for number in range(8):
    stroke(1 + number % 4)
while not session.trouble:
    time.sleep(0.05)
QApplication.processEvents()
print("SAID", [text for text in said if "Make room" in text])
sessions.undo(), sessions.undo(), sessions.redo()
shown = np.asarray(layer.data).copy()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
np.save(sys.argv[2], shown)
session.flush(60)
viewer.close()
print("DONE", sessions.session)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is the full disk")
def test_a_full_disk_in_mid_write_is_said_and_nothing_is_lost(sessions, tmp_path: Path) -> None:
    folder, _ = closed(sessions)
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), str(tmp_path / "shown.npy")],
        capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "SAID ['The disk of" in done.stdout and "DONE None" in done.stdout
    sessions.open(folder)
    assert sessions.notices == []
    np.testing.assert_array_equal(picture(sessions), np.load(tmp_path / "shown.npy"))


# ---------------------------------------------------------------------- a model that writes while somebody paints


def test_a_write_waits_for_the_end_of_the_stroke(sessions, qtbot) -> None:
    layer, done = sessions.layer(ANNOTATION), []

    def write() -> None:
        with layer.pyramid.editing() as outcome:
            layer.pyramid.write(np.full((9, 9), 7, np.uint8), (20, 20))
        done.append(outcome.edit)

    with layer.block_history():
        layer.data_setitem((np.arange(5), np.arange(5)), 5)
        sessions.when_idle(write)
        qtbot.wait(150)
        assert not done
    qtbot.waitUntil(lambda: bool(done))
    assert (picture(sessions)[20:29, 20:29] == 7).all() and picture(sessions)[2, 2] == 5
    sessions.when_idle(lambda: done.append(None))
    assert len(done) == 2
