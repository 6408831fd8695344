from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from napari_medseg.core.errors import InputError, SessionError
from napari_medseg.core.session import Session
from napari_medseg.core.session.opening import LONGEST_PATH_BYTES
from napari_medseg.core.session.schema import FILE


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="no session at .*missing.medseg. Give the folder of one"):
        Session.open(tmp_path / "missing.medseg")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_session_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="it has no session.sqlite"):
        Session.open(tmp_path)


def test_another_database_is_refused_and_left_alone(tmp_path: Path):
    with sqlite3.connect(tmp_path / FILE) as other:
        other.execute("CREATE TABLE photos (id INTEGER)")
    other.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(SessionError, match=r"not that of a session: it has the tables \['photos'\]"):
        Session.open(tmp_path)
    assert (tmp_path / FILE).read_bytes() == before


def test_a_session_is_not_made_over_something(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already and is not an empty folder"):
        Session.create(tmp_path)
    with pytest.raises(InputError, match="is there already"):
        Session.create(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["ä ö 日本 🔬.medseg", "a?b#c%20d&mode=ro.medseg", " space .medseg", "quote'\".medseg"]
)
def test_any_name_will_do(tmp_path: Path, name: str, edit, shown):
    folder = tmp_path / "Präparate %3F" / name
    with Session.create(folder) as session:
        session.record("Größe", edit=edit({1: b"a"}))
    with Session.open(folder) as again:
        assert shown(again) == {1: b"a"}
        assert again.read_only == ""
    assert [path.name for path in folder.parent.iterdir()] == [name]


def test_a_long_path_works_up_to_the_limit_and_is_explained_beyond(tmp_path: Path, edit, shown):
    room = LONGEST_PATH_BYTES - len(str(tmp_path)) - len(f"/{FILE}")
    parts = ["d" * 100] * (room // 101)
    folder = tmp_path.joinpath(*parts)
    folder = folder / ("e" * (LONGEST_PATH_BYTES - len(str(folder)) - len(f"/{FILE}") - 1))
    assert len(str(folder / FILE)) == LONGEST_PATH_BYTES
    with Session.create(folder) as session:
        session.record("Stroke", edit=edit({1: b"a"}))
        session.flush(10)
        assert session.check() == []
    with Session.open(folder) as again:
        assert shown(again) == {1: b"a"}
    with pytest.raises(InputError, match=f"has {LONGEST_PATH_BYTES + 1} bytes, and its database takes at most"):
        Session.create(folder.with_name(folder.name + "e"))
    with pytest.raises(InputError, match="Use a shorter name"):
        Session.open(folder.with_name(folder.name + "e"))


def test_what_a_newer_version_wrote_is_read_and_not_changed(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.close()
    with sqlite3.connect(session.folder / FILE) as database:
        database.execute("PRAGMA user_version=7")
        database.execute("ALTER TABLE journal ADD COLUMN weather TEXT")
        database.execute("CREATE TABLE more (id INTEGER)")
    database.close()
    again = Session.open(session.folder)
    assert "newer version of napari-medseg wrote it (format 7, this one writes 1)" in again.read_only
    assert shown(again) == {1: b"a"}
    with pytest.raises(SessionError, match="Update napari-medseg"):
        again.undo()
    assert again.info().version == 7
    again.close()


def test_a_crash_while_a_session_is_made_leaves_none(folder: Path):
    folder.mkdir()
    (folder / "session.new.sqlite").write_bytes(b"half")
    with pytest.raises(InputError, match="no session"):
        Session.open(folder)


def test_a_bad_end_is_told_with_the_last_action(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.record("Class", docs={"classes": [1]})
    session.flush(10)
    session.abandon()
    with Session.open(session.folder, who="Grace") as again:
        (sentence,) = again.recovered
        assert "was not closed when it was open last (by Ada since 20" in sentence
        assert "the last one is 'Class' of 20" in sentence
        assert shown(again) == {1: b"a"}
    with Session.open(session.folder) as third:
        assert third.recovered == []


def test_a_stroke_that_was_not_finished_is_recovered(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a", 2: b"a"}))
    session.draft(edit({1: b"b", 2: None, 3: b"b"}, ((4, 5), (6, 7))), "brush", "annotation")
    session.flush(10)
    session.abandon()
    with Session.open(session.folder) as again:
        assert shown(again) == {1: b"b", 3: b"b"}
        action = again.history()[0].action
        assert (action.name, action.tool, action.boxes) == (
            "Recovered stroke", "brush", {"annotation": ((4, 5), (6, 7))},
        )  # fmt: skip
        assert "that was not finished was recovered; undo takes it back" in again.recovered[1]
        again.undo()
        assert shown(again) == {1: b"a", 2: b"a"}
    with Session.open(session.folder) as third:
        assert third.recovered == []
        assert len(third.history()) == 2


def test_a_reader_leaves_an_unfinished_stroke_to_the_writer(session: Session, edit, shown):
    session.draft(edit({1: b"half"}))
    session.flush(10)
    reader = Session.open(session.folder)
    assert shown(reader) == {} and reader.history() == []
    reader.close()
    session.abandon()
    with Session.open(session.folder) as again:
        assert shown(again) == {1: b"half"}


def test_a_database_held_by_another_program_is_read(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.close()
    other = sqlite3.connect(session.folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    reader = Session.open(session.folder)
    assert "Another program holds the database" in reader.read_only
    assert shown(reader) == {1: b"a"}
    reader.close()
    other.close()
    with Session.open(session.folder) as again:
        assert again.read_only == ""


def test_the_database_without_its_log_is_an_older_session(session: Session, tmp_path: Path, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.close()
    with Session.open(session.folder) as again:
        again.record("Later", edit=edit({1: b"b"}))
        again.flush(10)
        copy = tmp_path / "copy.medseg"
        copy.mkdir()
        (copy / FILE).write_bytes((session.folder / FILE).read_bytes())
    with Session.open(copy) as older:
        assert shown(older) in ({1: b"a"}, {1: b"b"})
        assert older.check() == []
