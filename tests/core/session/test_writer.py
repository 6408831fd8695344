"""Slow, full and broken disks: nobody waits, nothing is lost, and the sentence is clear."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from napari_medseg.core.errors import StorageError
from napari_medseg.core.session import Session
from napari_medseg.core.session.schema import FILE


@pytest.fixture
def held_disk(session: Session):
    """A drive on which nothing gets written for as long as the transaction of another program is open."""
    session.flush(10)
    other = sqlite3.connect(session.folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_a_slow_disk_holds_nobody_up(session: Session, held_disk: sqlite3.Connection, edit, shown):
    for number in range(50):
        session.record(f"Stroke {number}", edit=edit({number % 7: b"%d" % number}))
    session.undo()
    session.undo()
    session.redo()
    assert session.waiting > 50
    before = shown(session)
    assert before[48 % 7] == b"48" and before[49 % 7] == b"42"
    assert len(session.history(limit=100)) == 50
    held_disk.execute("ROLLBACK")
    session.flush(30)
    assert session.waiting == 0
    assert shown(session) == before
    assert session.check() == []
    session.abandon()
    with Session.open(session.folder) as again:
        assert shown(again) == before


def test_trouble_is_told_and_its_end_too(session: Session, held_disk: sqlite3.Connection, edit):
    told: list[str | None] = []
    heard = threading.Event()
    session.on_trouble = lambda trouble: (told.append(trouble), heard.set())
    session.record("Stroke", edit=edit({1: b"a"}))
    assert heard.wait(30)
    assert told[0] == session.trouble
    assert told[0] is not None and "Another program holds the database" in told[0] and str(session.folder) in told[0]
    with pytest.raises(StorageError, match="1 changes are not on disk yet. Another program"):
        session.flush(0.01)
    held_disk.execute("ROLLBACK")
    session.flush(30)
    assert told == [told[0], None]
    assert session.trouble is None


def test_closing_before_all_is_written_is_refused_and_can_be_forced(
    session: Session, held_disk: sqlite3.Connection, edit
):
    session.record("Stroke", edit=edit({1: b"a"}))
    with pytest.raises(StorageError, match="not on disk yet"):
        session.close(timeout=0.05)
    assert session.waiting == 1
    session.record("Another", edit=edit({1: b"b"}))
    session.abandon()
    held_disk.execute("ROLLBACK")
    with Session.open(session.folder) as again:
        assert again.history() == []


def test_draft_waits_for_the_one_before(session: Session, held_disk: sqlite3.Connection, edit):
    session.draft(edit({1: b"a"}))
    time.sleep(1.1)
    assert not session.draft_due
    held_disk.execute("ROLLBACK")
    session.flush(30)
    assert session.draft_due


def test_damage_met_while_writing_is_repaired_on_the_way(session: Session, edit, shown):
    for number in range(300):
        session.record("Stroke", edit=edit({number: os.urandom(900)}))
    session.flush(30)
    expected = shown(session)
    session.close()
    # The root of the index over the slots: every write needs it, reading the rows one by one does not.
    with sqlite3.connect(session.folder / FILE) as database:
        page = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_state_1'"
        ).fetchone()[0]
    database.close()
    again = Session.open(session.folder)
    try:
        with (session.folder / FILE).open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xff" * 4096)
        again.record("After", edit=edit({1000: b"new"}))
        again.flush(30)
        assert again.trouble is None
        assert "has been repaired" in again.recovered[0]
        assert shown(again) == expected | {1000: b"new"}
        assert again.check() == []
    finally:
        again.abandon()


FULL_DISK = """
import os, resource, sys
from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.errors import StorageError
from napari_medseg.core.session import Session

session = Session.open(sys.argv[1])
session.flush(10)
limit = os.path.getsize(os.path.join(sys.argv[1], "session.sqlite")) + 200_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
told = []
session.on_trouble = told.append

def stroke(number):
    change = Change(None, os.urandom(20_000))
    session.record(f"Stroke {number}", edit=Edit({TileKey(0, 0, 0, number): change}, ((0, 1), (0, 1))))
    return change.after

kept = {number: stroke(number) for number in range(40)}
try:
    session.flush(3)
except StorageError as error:
    print("FULL", error)
assert session.trouble and told == [session.trouble], told
assert all(session.tiles().get(TileKey(0, 0, 0, n)) == value for n, value in kept.items())
session.undo(), session.redo()
if sys.argv[2] == "room again":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    session.flush(30)
    assert told[-1] is None and session.check() == []
    assert all(session.tiles().get(TileKey(0, 0, 0, n)) == value for n, value in kept.items())
    session.close()
    print("WRITTEN")
else:
    os.kill(os.getpid(), 9)
"""


def on_a_full_disk(folder: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Paint 40 strokes on a disk that has room for about ten."""
    return subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder), then], capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is the full disk")
def test_a_full_disk_keeps_all_in_memory_and_goes_on_when_there_is_room(folder: Path, edit, shown):
    with Session.create(folder) as session:
        session.record("Before", edit=edit({99: b"before"}))
    done = on_a_full_disk(folder, "room again")
    assert done.returncode == 0, done.stderr
    assert "Make room" in done.stdout and str(folder) in done.stdout and "WRITTEN" in done.stdout
    with Session.open(folder) as again:
        assert len(again.history(limit=100)) == 41
        assert shown(again)[99] == b"before"


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is the full disk")
def test_a_crash_on_a_full_disk_loses_nothing_that_was_there(folder: Path, edit, shown):
    with Session.create(folder) as session:
        session.record("Before", edit=edit({99: b"before"}))
    assert on_a_full_disk(folder, "crash").returncode == -signal.SIGKILL
    with Session.open(folder) as again:
        names = [entry.action.name for entry in again.history(limit=100)][::-1]
        assert names == ["Before", *(f"Stroke {number}" for number in range(len(names) - 1))]
        assert shown(again)[99] == b"before"
        assert again.check() == []
