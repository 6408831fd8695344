from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.errors import InputError, SessionError
from napari_medseg.core.session import START, DocChange, Session

KEY = TileKey(0, 0, 0, 1)


def test_an_action_shows_at_once_and_after_a_restart(session: Session, folder: Path, edit, shown):
    session.record("Stroke", "brush", edit=edit({1: b"a", 2: b"b"}), docs={"classes": ["tumour"]})
    assert shown(session) == {1: b"a", 2: b"b"}
    session.close()
    with Session.open(folder) as again:
        assert shown(again) == {1: b"a", 2: b"b"}
        assert dict(again.docs) == {"classes": ["tumour"]}
        assert again.recovered == []


def test_undo_gives_the_edit_that_takes_back(session: Session, edit):
    session.record("First", edit=edit({1: b"a"}, ((0, 4), (2, 6))))
    session.record("Second", edit=edit({1: b"b", 2: b"c"}, ((3, 9), (0, 5))), docs={"n": 1})
    step = session.undo()
    assert step is not None
    assert step.undone == ("Second",) and step.redone == ()
    assert step.edits["annotation"].changes == {KEY: Change(b"b", b"a"), TileKey(0, 0, 0, 2): Change(b"c", None)}
    assert step.edits["annotation"].box == ((3, 9), (0, 5))
    assert step.docs == {"n": DocChange(1, None)}
    again = session.redo()
    assert again is not None
    assert again.edits["annotation"] == step.edits["annotation"].inverse()


def test_one_undo_for_strokes_documents_and_models(session: Session, edit, shown):
    session.record("Stroke", "brush", edit=edit({1: b"a"}))
    session.record("Model trained", "scribbles", docs={"model": "m1"}, model="sha-1")
    session.record("Model trained", "scribbles", docs={"model": "m2"}, model="sha-2")
    session.undo()
    assert session.docs["model"] == "m1"
    session.undo()
    assert "model" not in session.docs
    session.undo()
    assert shown(session) == {}
    assert session.undo() is None
    assert session.head == START


@pytest.mark.parametrize("written", [True, False], ids=["on disk", "still in memory"])
def test_a_jump_to_another_branch_makes_one_step(session: Session, edit, shown, written: bool):
    session.record("Root", edit=edit({1: b"1"}, ((0, 1), (0, 1))))
    left = session.record("Left", edit=edit({1: b"2", 2: b"2"}, ((5, 6), (5, 6))))
    session.undo()
    right = session.record("Right", edit=edit({1: b"3", 3: b"3"}, ((8, 9), (2, 3))))
    if written:
        session.flush(10)
    step = session.go_to(left)
    assert (step.undone, step.redone) == (("Right",), ("Left",))
    assert step.edits["annotation"].changes == {
        TileKey(0, 0, 0, 1): Change(b"3", b"2"),
        TileKey(0, 0, 0, 2): Change(None, b"2"),
        TileKey(0, 0, 0, 3): Change(b"3", None),
    }
    assert step.edits["annotation"].box == ((5, 9), (2, 6))
    assert shown(session) == {1: b"2", 2: b"2"}
    session.go_to(START)
    assert shown(session) == {}
    session.go_to(right)
    assert shown(session) == {1: b"3", 3: b"3"}


def test_redo_follows_the_newest_branch(session: Session, edit):
    session.record("Root", edit=edit({1: b"1"}))
    session.record("Left", edit=edit({1: b"2"}))
    session.undo()
    session.record("Right", edit=edit({1: b"3"}))
    session.undo()
    assert (session.undo_name, session.redo_name) == ("Root", "Right")
    session.undo()
    assert (session.undo_name, session.redo_name) == (None, "Root")


def test_layers_do_not_mix_whatever_they_are_called(session: Session, edit):
    names = ["a", "a/b", "a%2Fb", "ä ö", "a0"]
    for number, name in enumerate(names):
        session.record("Stroke", edit=edit({number: name.encode()}), layer=name)
    for number, name in enumerate(names):
        tiles = session.tiles(name)
        assert [key.column for key in tiles.keys()] == [number]  # noqa: SIM118
        assert tiles.get(TileKey(0, 0, 0, number)) == name.encode()
    assert set(session.docs) == set()


def test_the_history_is_read_page_by_page(session: Session, edit):
    ids = [session.record(f"Stroke {n}", "brush", edit=edit({1: b"%d" % n})) for n in range(7)]
    session.flush(10)
    ids += [session.record("Still in memory", edit=edit({2: b"x"}))]
    session.undo()
    newest = session.history(limit=3)
    assert [entry.action.id for entry in newest] == ids[:-4:-1]
    assert [entry.in_effect for entry in newest] == [False, True, True]
    assert [entry.is_head for entry in newest] == [False, True, False]
    older = session.history(limit=10, below=newest[-1].action.id)
    assert [entry.action.id for entry in older] == ids[4::-1]
    assert all(entry.in_effect for entry in older)


def test_an_action_keeps_how_it_came_about(session: Session, folder: Path, edit):
    session.record(
        "Accepted", "scribbles", edit=edit({1: b"a"}, ((0, 2), (3, 4))), layer="nuclei",
        parameters={"seconds": 2.5, "start": "scratch"}, model="sha-1",
    )  # fmt: skip
    session.close()
    with Session.open(folder) as again:
        action = again.history()[0].action
    assert (action.who, action.tool, action.name, action.model) == ("Ada", "scribbles", "Accepted", "sha-1")
    assert action.boxes == {"nuclei": ((0, 2), (3, 4))}
    assert action.parameters == {"seconds": 2.5, "start": "scratch"}
    assert datetime.fromisoformat(action.time_utc).tzinfo is not None


def test_a_clock_that_goes_back_does_not_change_the_order(folder: Path, edit, shown):
    times = iter(datetime(2030, 1, 1, tzinfo=UTC) - timedelta(days=day) for day in range(100))
    with Session.create(folder, clock=lambda: next(times)) as session:
        for number in range(5):
            session.record(f"{number}", edit=edit({1: b"%d" % number}))
    with Session.open(folder, clock=lambda: next(times)) as again:
        assert [entry.action.name for entry in again.history()] == ["4", "3", "2", "1", "0"]
        again.undo()
        assert shown(again) == {1: b"3"}


def test_what_was_put_and_not_recorded_is_not_lost(session: Session, folder: Path, edit, shown):
    session.tiles().put({KEY: Change(None, b"loose")})
    assert session.tiles().get(KEY) == b"loose"
    assert session.head == START
    session.record("Stroke", edit=edit({2: b"a"}))
    assert [entry.action.name for entry in session.history()] == ["Stroke", "Change without a name"]
    session.tiles().put({KEY: Change(b"loose", None)})
    assert shown(session) == {2: b"a"}
    session.close()
    with Session.open(folder) as again:
        assert shown(again) == {2: b"a"}


def test_put_then_record_is_one_action(session: Session, edit, shown):
    stroke = edit({1: b"a"})
    session.tiles().put(stroke.changes)
    session.record("Stroke", edit=stroke)
    assert [entry.action.name for entry in session.history()] == ["Stroke"]
    step = session.undo()
    assert step is not None
    session.tiles().put(step.edits["annotation"].changes)
    assert [entry.action.name for entry in session.history()] == ["Stroke"]
    assert shown(session) == {}


def test_what_stays_as_it_is_takes_no_room(session: Session, edit):
    session.record("Stroke", edit=edit({1: b"same", 2: b"a"}))
    session.record("Stroke", edit=edit({1: b"same", 2: b"b"}))
    session.flush(10)
    assert session.info().present_bytes + session.info().history_bytes == len(b"same" + b"a" + b"b")


def test_a_tile_and_its_undo_are_stored_once(session: Session, edit):
    for number in range(10):
        session.record("Stroke", edit=edit({1: bytes([number]) * 100}))
    for _ in range(5):
        session.undo()
    session.flush(10)
    info = session.info()
    assert (info.present_bytes, info.history_bytes) == (100, 900)
    assert (info.actions, info.tiles) == (10, {"annotation": 1})


def test_a_draft_becomes_an_action_only_after_a_crash(session: Session, edit, shown):
    assert session.draft_due
    session.draft(edit({1: b"half"}), "brush")
    assert not session.draft_due
    assert shown(session) == {}
    session.record("Stroke", "brush", edit=edit({1: b"whole"}))
    session.flush(10)
    session.abandon()
    with Session.open(session.folder) as again:
        assert [entry.action.name for entry in again.history()] == ["Stroke"]
        assert shown(again) == {1: b"whole"}


def test_a_draft_that_was_given_up_is_forgotten(session: Session, edit, shown):
    session.draft(edit({1: b"half"}))
    session.draft(None)
    session.flush(10)
    session.abandon()
    with Session.open(session.folder) as again:
        assert again.history() == []
        assert shown(again) == {}


def test_listeners_hear_of_each_action_and_step(session: Session, edit):
    heads: list[int] = []
    session.on_change = lambda: heads.append(session.head)
    first = session.record("Stroke", edit=edit({1: b"a"}))
    session.undo()
    session.redo()
    assert heads == [first, START, first]


def test_what_is_no_json_is_refused_and_nothing_changes(session: Session):
    with pytest.raises(InputError, match="cannot store.*Give text"):
        session.record("Class", docs={"classes": {1, 2}})
    with pytest.raises(InputError, match="cannot store"):
        session.record("Class", parameters={"share": float("nan")})
    assert session.head == START
    session.record("Class", docs={"classes": [1, 2]})
    session.flush(10)


def test_names_with_bytes_that_are_no_text_are_stored(session: Session):
    session.record("Stroke \udcff", docs={"path": "\udcff"})
    session.flush(10)
    assert session.history()[0].action.name == "Stroke ?"
    assert session.docs["path"] == "\udcff"


def test_a_jump_to_an_action_that_is_not_there_is_refused(session: Session, edit, shown):
    session.record("Stroke", edit=edit({1: b"a"}))
    with pytest.raises(SessionError, match="no action 99"):
        session.go_to(99)
    assert shown(session) == {1: b"a"}


def test_a_document_is_removed_with_none(session: Session):
    session.record("Class", docs={"classes": ["a"]})
    session.record("Class", docs={"classes": None})
    assert dict(session.docs) == {}
    session.undo()
    assert dict(session.docs) == {"classes": ["a"]}


def test_a_closed_session_says_so(session: Session, edit):
    session.close()
    session.close()
    with pytest.raises(SessionError, match="closed"):
        session.record("Stroke", edit=edit({1: b"a"}))
    with pytest.raises(SessionError, match="closed"):
        session.tiles().get(KEY)


def test_an_edit_of_other_planes_and_levels_keeps_its_keys(session: Session, folder: Path):
    keys = [TileKey(plane, level, row, 3) for plane in (0, 7) for level in (0, 5) for row in (0, 2)]
    changes = {key: Change(None, repr(key).encode()) for key in keys}
    session.record("Stroke", edit=Edit(changes, ((0, 1), (0, 1), (0, 1))))
    session.close()
    with Session.open(folder) as again:
        tiles = again.tiles()
        assert {key: tiles.get(key) for key in tiles.keys()} == {key: c.after for key, c in changes.items()}  # noqa: SIM118


def test_threads_may_record_and_read_together(session: Session, edit, shown):
    """Two threads paint on tiles of their own while a third reads: it sees values in the order they were painted."""
    seen: list[int] = []
    over = threading.Event()

    def paint(column: int) -> None:
        for number in range(150):
            session.record("Stroke", edit=edit({column: b"%d" % number}))

    def read() -> None:
        while not over.is_set():
            value = session.tiles().get(KEY)
            seen.append(-1 if value is None else int(value))
            session.history(limit=5)

    reader = threading.Thread(target=read)
    painters = [threading.Thread(target=paint, args=(column,)) for column in (1, 2)]
    for thread in (reader, *painters):
        thread.start()
    for thread in painters:
        thread.join()
    over.set()
    reader.join()
    assert seen == sorted(seen) and len(seen) > 5
    session.flush(60)
    assert shown(session) == {1: b"149", 2: b"149"}
    assert session.check() == []
    session.go_to(START)
    assert shown(session) == {}
