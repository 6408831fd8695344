"""Whatever happens to the file, the session opens, says what was lost, and gives the rest."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import START, Session
from napari_medseg.core.session.schema import FILE, PAGE_BYTES

STROKES = 40
Held = dict[int, bytes]


def content(number: int) -> bytes:
    return bytes([number]) * 700 + b"%d" % number


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, edit) -> Path:
    """A closed session of 40 strokes over ten tiles, so that most tiles have earlier versions."""
    folder = tmp_path_factory.mktemp("model") / "slide.medseg"
    with Session.create(folder, who="Ada") as session:
        for number in range(STROKES):
            session.record(f"Stroke {number}", edit=edit({number % 10: content(number)}), docs={"n": number})
    return folder


@pytest.fixture
def damaged(model: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(model, tmp_path / "slide.medseg"))


def write_into(folder: Path, where: int, data: bytes) -> None:
    with (folder / FILE).open("r+b") as file:
        file.seek(where)
        file.write(data)


def pages(folder: Path) -> int:
    return (folder / FILE).stat().st_size // PAGE_BYTES


def is_some_version(held: Held) -> bool:
    """Whether each tile holds something that was once painted on it."""
    return all(value in {content(number) for number in range(column, STROKES, 10)} for column, value in held.items())


def test_every_single_page_may_be_lost(model: Path, tmp_path: Path, shown: Callable[[Session], Held]):
    """Each page in turn is overwritten: what opens and is repaired holds versions that were painted, and works on."""
    count = pages(model)
    assert count > 15
    whole = {number % 10: content(number) for number in range(STROKES - 10, STROKES)}
    complete = 0
    for page in range(count):
        folder = Path(shutil.copytree(model, tmp_path / f"{page}.medseg"))
        write_into(folder, page * PAGE_BYTES, b"\xa5" * PAGE_BYTES)
        with Session.open(folder) as session:
            session.repair()
            assert session.check() == [], page
            held = shown(session)
            assert is_some_version(held), page
            complete += held == whole
            if held != whole:
                assert any("lost" in line or "earlier version" in line for line in session.recovered), page
            session.go_to(START)
            session.record("After", docs={"n": "new"})
            session.flush(10)
            assert session.docs["n"] == "new"
    # Indexes, entries of the history and earlier versions are most of the file.
    assert complete > count / 3


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_file_that_was_cut_off_gives_what_is_left(damaged: Path, shown, share: float):
    size = (damaged / FILE).stat().st_size
    with (damaged / FILE).open("r+b") as file:
        file.truncate(int(size * share))
    with Session.open(damaged, who="Ada") as session:
        assert session.read_only == ""
        # Where only the last page is short, the file opens as it is.
        session.repair()
        assert "has been repaired; the damaged file is kept as session.broken-20" in session.recovered[0]
        assert "Parts of" in session.recovered[2] and "could not be read" in session.recovered[2]
        assert session.check() == []
        held = shown(session)
        assert is_some_version(held)
        if share > 0.5:
            assert held
        while session.undo():
            pass
        session.record("After", docs={"n": "new"})
    assert len(list(damaged.glob("session.broken-*.sqlite"))) == 1
    with Session.open(damaged) as again:
        assert again.recovered == []
        assert again.docs["n"] == "new"


def test_a_lost_header_costs_nothing(damaged: Path, shown):
    write_into(damaged, 0, bytes(PAGE_BYTES))
    with Session.open(damaged) as session:
        assert session.recovered[1].startswith(f"It holds {STROKES} actions up to 20")
        assert session.recovered[2:] == ["All of the file could be read."]
        assert shown(session) == {number % 10: content(number) for number in range(STROKES - 10, STROKES)}
        assert len(session.history()) == STROKES
        session.undo()
        assert session.docs["n"] == STROKES - 2
    assert sorted(path.suffix for path in damaged.iterdir()) == ["", ".sqlite", ".sqlite"]


def test_an_empty_file_becomes_an_empty_session(damaged: Path, shown):
    (damaged / FILE).write_bytes(b"")
    with Session.open(damaged) as session:
        assert "has been repaired" in session.recovered[0]
        assert shown(session) == {} and session.history() == []
        session.record("After", docs={"n": 1})


def test_a_flipped_bit_is_noticed_and_an_earlier_version_comes_back(damaged: Path, shown):
    data = (damaged / FILE).read_bytes()
    where = data.index(content(STROKES - 1)) + 300
    write_into(damaged, where, bytes([data[where] ^ 1]))
    with Session.open(damaged) as session:
        column = (STROKES - 1) % 10
        assert column not in {key.column for key in session.tiles().keys() if session.tiles().get(key)}  # noqa: SIM118
        assert len(session.damage) == 1 and "tile/annotation/0/0/0/9 is damaged" in session.damage[0]
        assert any("does not match its checksum" in problem.sentence for problem in session.check())
        said = session.repair()
        assert "1 tiles went back to an earlier version of theirs." in said
        assert "1 changes can no longer be undone and stay as they are: 'Stroke 39' (1)." in said
        assert session.damage == () and session.check() == []
        assert shown(session)[column] == content(STROKES - 11)
        session.undo()
        assert session.docs["n"] == STROKES - 2


def test_a_step_to_what_is_damaged_is_refused_and_changes_nothing(damaged: Path, shown):
    data = (damaged / FILE).read_bytes()
    write_into(damaged, data.index(content(STROKES - 1)) + 300, b"\x00")
    with Session.open(damaged) as session:
        session.undo()
        before = shown(session)
        with pytest.raises(SessionError, match="is damaged. Close the session and say `medseg session repair`"):
            session.redo()
        assert shown(session) == before and session.docs["n"] == STROKES - 2


def test_painting_over_a_damaged_tile_works(damaged: Path, edit, shown):
    data = (damaged / FILE).read_bytes()
    write_into(damaged, data.index(content(STROKES - 1)) + 300, b"\x00")
    with Session.open(damaged) as session:
        session.record("Stroke", edit=edit({9: b"over"}))
        session.flush(10)
        assert session.trouble is None
        session.repair()
        assert shown(session)[9] == b"over"


def test_a_row_of_the_history_that_is_lost_gets_a_stand_in(damaged: Path, shown):
    with sqlite3.connect(damaged / FILE) as database:
        database.execute("DELETE FROM journal WHERE id = 20")
        database.execute("UPDATE journal SET name = 'forged' WHERE id = 30")
        database.execute("DELETE FROM meta WHERE key = 'head'")
    database.close()
    with Session.open(damaged) as session:
        assert "2 actions lost their names" in " ".join(session.recovered)
        assert session.check() == []
        assert session.head == STROKES
        names = [entry.action.name for entry in session.history()]
        assert names.count("Damaged entry") == 2 and "forged" not in names
        session.go_to(5)
        assert shown(session) == {number: content(number) for number in range(5)}
        session.go_to(START)
        assert shown(session) == {}


def test_slots_that_are_lost_come_back_from_the_history(damaged: Path, shown):
    with sqlite3.connect(damaged / FILE) as database:
        database.execute("DELETE FROM state WHERE slot LIKE 'tile/%'")
    database.close()
    with Session.open(damaged) as session:
        assert {problem.where for problem in session.check()} == {f"tile/annotation/0/0/0/{n}" for n in range(10)}
        session.repair()
        assert shown(session) == {number % 10: content(number) for number in range(STROKES - 10, STROKES)}


def test_a_sound_session_is_not_rewritten(damaged: Path):
    with Session.open(damaged) as session:
        assert session.check() == []
        assert session.repair() == []
    assert list(damaged.glob("session.broken*")) == []


def test_a_crash_between_the_last_steps_of_a_repair_is_made_good(damaged: Path, shown):
    (damaged / FILE).rename(damaged / "session.mended.sqlite")
    (damaged / "session.broken-20300101T000000.sqlite").write_bytes(b"what was broken")
    with Session.open(damaged) as session:
        assert len(shown(session)) == 10
    assert not (damaged / "session.mended.sqlite").exists()


def test_a_damaged_session_that_is_held_elsewhere_is_read_from_a_copy(damaged: Path, shown):
    first = Session.open(damaged)
    first.flush(10)
    write_into(damaged, 0, bytes(100))
    for log in damaged.glob("*-wal"):
        log.unlink()
    before = (damaged / FILE).read_bytes()
    names = sorted(path.name for path in damaged.iterdir())
    second = Session.open(damaged)
    assert "has it open on" in second.read_only
    assert "is left as it is; a temporary copy shows what could be read" in second.recovered[0]
    assert second.recovered[1].startswith(f"It holds {STROKES} actions")
    assert shown(second) == {number % 10: content(number) for number in range(STROKES - 10, STROKES)}
    assert second.folder == damaged and second.docs["n"] == STROKES - 1
    assert len(second.history()) == STROKES
    with pytest.raises(SessionError, match="has it open on"):
        second.repair()
    second.close()
    assert (damaged / FILE).read_bytes() == before
    assert sorted(path.name for path in damaged.iterdir()) == names
    first.abandon()


def test_every_single_page_may_be_lost_where_nothing_can_be_written(
    model: Path, tmp_path: Path, shown, monkeypatch: pytest.MonkeyPatch
):
    """The same as for writing, on a copy in a temporary folder, of which nothing is left."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    copied = 0
    for page in range(pages(model)):
        folder = Path(shutil.copytree(model, tmp_path / f"{page}.medseg"))
        write_into(folder, page * PAGE_BYTES, b"\xa5" * PAGE_BYTES)
        before = (folder / FILE).read_bytes()
        with Session.open(folder, writable=False) as session:
            assert session.read_only == "This session is open for reading only, as was asked."
            assert is_some_version(shown(session)), page
            copied += bool(session.recovered)
            assert bool(session.recovered) == bool(list(scratch.iterdir()))
            assert session.check() != [], page
            assert session.info().folder == folder
        assert (folder / FILE).read_bytes() == before
        assert not list(scratch.iterdir())
    assert copied > 3


def test_an_unfinished_stroke_is_mentioned_where_it_cannot_be_recovered(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    session.draft(edit({2: b"b"}))
    session.flush(10)
    with Session.open(session.folder, writable=False) as second:
        assert "had not ended when this was opened; it is not shown" in second.recovered[0]
        assert shown(second) == {1: b"a"}
