from __future__ import annotations

import sqlite3

import pytest

from napari_medseg.core.session import Session
from napari_medseg.core.session.rows import COLUMNS, checksum
from napari_medseg.core.session.schema import FILE

TOUCHED = {
    "blobs": "UPDATE blobs SET data = x'00' WHERE id = 1",
    "state": "UPDATE state SET blob = 1 WHERE slot = 'doc/n'",
    "journal": "UPDATE journal SET who = 'somebody else' WHERE id = 1",
    "changes": "UPDATE changes SET after = NULL WHERE id = 1",
    "meta": "UPDATE meta SET value = '0' WHERE key = 'head'",
    "draft": "UPDATE draft SET data = x'00'",
}


def test_every_table_is_guarded():
    assert set(TOUCHED) == set(COLUMNS)


@pytest.mark.parametrize("table", COLUMNS)
def test_a_value_changed_from_outside_is_found(session: Session, edit, table: str):
    session.record("Stroke", edit=edit({1: b"a"}), docs={"n": 1})
    session.draft(edit({2: b"half"}))
    session.flush(10)
    assert session.check() == []
    other = sqlite3.connect(session.folder / FILE)
    assert other.execute(TOUCHED[table]).rowcount == 1
    other.commit()
    other.close()
    assert f"of {table} does not match its checksum" in " ".join(problem.sentence for problem in session.check())


def test_what_is_missing_is_named(session: Session, edit):
    for number in range(3):
        session.record(f"{number}", edit=edit({1: b"%d" % number}))
    session.flush(10)
    other = sqlite3.connect(session.folder / FILE)
    other.execute("DELETE FROM blobs WHERE data IN (x'30', x'32')")
    other.execute("DELETE FROM journal WHERE id = 2")
    other.commit()
    other.close()
    assert {(problem.where, problem.sentence.partition(": ")[2]) for problem in session.check()} >= {
        ("tile/annotation/0/0/0/1", "what it held is missing."),
        ("tile/annotation/0/0/0/1 in action 1", "its version before or after the action is missing."),
        ("action 3", "the action before it is missing."),
        ("action 2", "its entry is missing."),
    }


def test_fields_cannot_be_moved_into_their_neighbours():
    values = [("ab", "c"), ("a", "bc"), ("abc", ""), ("abc", None), (b"ab", "c"), (1, 2), ("1", "2"), (12, None)]
    assert len({checksum(each) for each in values}) == len(values)
