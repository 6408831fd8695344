"""Where sessions without a name lie, and the last work among them."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.session import Session, schema
from napari_medseg.io import session_folders

NOW = datetime(2026, 3, 5, 14, 3, 22)


def begun(name: str, actions: int, age_s: float = 0) -> Path:
    """A session without a name that was last written to a while ago."""
    folder = session_folders.new_folder(name, NOW)
    with Session.create(folder) as session:
        for number in range(actions):
            session.record(f"{name} {number}")
    when = NOW.timestamp() - age_s
    os.utime(folder / schema.FILE, (when, when))
    return folder


@pytest.mark.parametrize(
    ("name", "plain"),
    [("H&E", "H&E"), ("a/b\\c:d", "a b c d"), ("  .. ", "image"), ("Göße 組織", "Göße 組織"), ("x" * 300, "x" * 60)],
)
def test_names_of_images_become_names_of_folders(own_sessions: Path, name: str, plain: str) -> None:
    folder = session_folders.new_folder(name, NOW)
    assert folder == own_sessions / f"{plain} 2026-03-05 14.03.22.medseg"
    folder.mkdir()
    assert session_folders.new_folder(name, NOW).name == f"{plain} 2026-03-05 14.03.22 2.medseg"


def test_the_newest_work_is_found() -> None:
    begun("older", 3, age_s=60)
    newest = begun("newer", 2)
    work = session_folders.last_work()
    assert work is not None
    assert (work.folder, work.actions, work.last) == (newest, 2, "newer 1")


def test_what_is_empty_damaged_or_in_use_is_passed_over(own_sessions: Path) -> None:
    kept = begun("kept", 1, age_s=60)
    begun("empty", 0)
    damaged = begun("damaged", 1)
    (damaged / schema.FILE).write_bytes(b"no database")
    (own_sessions / "no session.medseg").mkdir()
    with Session.open(begun("in use", 1)):
        work = session_folders.last_work()
    assert work is not None and work.folder == kept


def test_a_first_stroke_that_a_crash_cut_off_is_work(own_sessions: Path) -> None:
    session = Session.create(session_folders.new_folder("cut off", NOW))
    session.draft(Edit({TileKey(0, 0, 0, 0): Change(None, b"tile")}, ((0, 9), (0, 9))))
    session.flush(10)
    session.abandon()
    work = session_folders.last_work()
    assert work is not None and (work.folder, work.actions) == (session.folder, 0)


def test_looking_changes_nothing() -> None:
    folder = begun("kept", 1)
    session_folders.last_work()
    with Session.open(folder) as session:
        assert not session.read_only and not session.recovered


def test_only_sessions_without_a_name_are_discarded(own_sessions: Path, tmp_path: Path) -> None:
    automatic = begun("automatic", 0)
    with Session.create(tmp_path / "mine.medseg"):
        pass
    for folder in (automatic, tmp_path / "mine.medseg", own_sessions):
        session_folders.discard(folder)
    assert not automatic.exists()
    assert (tmp_path / "mine.medseg").exists() and own_sessions.exists()
