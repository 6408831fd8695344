from __future__ import annotations

import os

import pytest

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import START, Session


def test_the_present_stays_and_the_room_comes_back(session: Session, edit, shown):
    for _ in range(200):
        session.record("Stroke", edit=edit({1: os.urandom(5000), 2: os.urandom(100)}))
    before, cost = shown(session), session.info()
    session.flush(10)
    cost = session.info()
    assert cost.history_bytes == 199 * 5100
    freed = session.compact()
    assert freed > 0.9 * cost.history_bytes
    after = session.info()
    assert (after.history_bytes, after.actions) == (0, 0)
    assert after.file_bytes < 150_000
    assert shown(session) == before
    assert session.undo() is None
    assert session.check() == []
    session.close()
    with Session.open(session.folder) as again:
        assert shown(again) == before
        again.record("Stroke", edit=edit({1: b"x"}))
        again.undo()
        assert shown(again) == before


def test_the_last_actions_and_redo_can_be_kept(session: Session, edit, shown):
    ids = [session.record(f"{n}", edit=edit({1: b"%d" % n})) for n in range(6)]
    session.go_to(ids[1])
    aside = session.record("Aside", edit=edit({2: b"aside"}))
    session.go_to(ids[4])
    session.compact(keep=2)
    assert [entry.action.name for entry in session.history()] == ["5", "4", "3"]
    assert session.head == ids[4]
    session.redo()
    assert shown(session) == {1: b"5"}
    session.go_to(START)
    assert shown(session) == {1: b"2"}
    with pytest.raises(SessionError, match=f"no action {aside}.*compacted"):
        session.go_to(aside)
    assert session.check() == []


def test_redo_works_after_all_before_was_dropped(session: Session, edit, shown):
    session.record("1", edit=edit({1: b"1"}))
    session.record("2", edit=edit({1: b"2"}))
    session.undo()
    session.compact()
    assert session.head == START
    assert session.redo_name == "2"
    session.redo()
    assert shown(session) == {1: b"2"}
    assert session.check() == []
