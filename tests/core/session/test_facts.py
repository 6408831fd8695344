"""Facts of a session: said once, whatever becomes of the history."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from napari_medseg.core.errors import InputError, SessionError
from napari_medseg.core.session import START, Session
from napari_medseg.core.session.schema import FILE


def test_facts_outlive_undo_compaction_and_restarts(session: Session, edit):
    session.facts.state("layer/a", {"shape": [1, 2]})
    assert dict(session.facts) == {"layer/a": {"shape": [1, 2]}}
    session.record("Stroke", edit=edit({1: b"a"}))
    session.go_to(START)
    session.compact()
    session.record("Stroke", edit=edit({1: b"b"}))
    session.compact()
    assert session.history() == []
    session.close()
    with Session.open(session.folder) as again:
        assert dict(again.facts) == {"layer/a": {"shape": [1, 2]}} and len(again.facts) == 1
        assert again.check() == []


def test_facts_outlive_a_repair(session: Session, edit):
    session.facts.state("layer/a", 1)
    session.record("Stroke", edit=edit({1: b"a"}))
    session.close()
    with (session.folder / FILE).open("r+b") as file:
        file.write(bytes(100))
    with Session.open(session.folder) as again:
        assert "repaired" in again.recovered[0]
        assert again.facts["layer/a"] == 1


def test_a_damaged_fact_counts_as_not_said(session: Session):
    session.facts.state("a", 1)
    session.facts.state("b", 2)
    session.close()
    with sqlite3.connect(session.folder / FILE) as database:
        database.execute("UPDATE meta SET value = '9' WHERE key = 'fact/a'")
    database.close()
    with Session.open(session.folder, writable=False) as again:
        assert dict(again.facts) == {"b": 2}


def test_what_cannot_be_stored_is_refused_at_once(session: Session, folder: Path):
    with pytest.raises(InputError, match="cannot store"):
        session.facts.state("a", float("nan"))
    assert "a" not in session.facts
    with Session.open(folder, writable=False) as second, pytest.raises(SessionError, match="reading only"):
        second.facts.state("a", 1)
