"""The kill test in small: whatever the moment, the session opens in a state that was, and nothing in it is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks import session_store


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    options = argparse.Namespace(rows=1200, kills=4)
    return list(session_store.measure(options, tmp_path_factory.mktemp("session")))


def test_kills_leave_a_state_that_was(found: list[dict]):
    killed = [row for row in found if row["figure"] == "kill"]
    assert len(killed) == 4
    for row in killed:
        assert row["readable"] and row["known"] and row["problems"] == 0
    assert sum(row["actions"] for row in killed) > 4


def test_the_tables_show_every_figure(found: list[dict]):
    text = session_store.render(found)
    for row in found:
        assert row["figure"] in text or row["figure"] == "kill"
    assert "4 kills (SIGKILL)" in text and "0 sessions unreadable, 0 in a state that never was" in text


def test_a_loss_is_seen(tmp_path: Path):
    session_store.Session.create(tmp_path / "a.medseg").close()
    log = tmp_path / "log"
    lines = ['{"what": "will", "number": 0, "state": "e3b0c44298fc1c14", "seconds": 1.0}']
    lines += [f'{{"what": "{what}", "number": 1, "state": "x", "seconds": 2.0}}' for what in ("will", "did")]
    log.write_text("\n".join([*lines, '{"what": "will", "number": 2, "sta']))
    row = session_store._loss(tmp_path / "a.medseg", log, 2.5)
    assert (row["known"], row["lost"], row["lost_s"]) == (True, 1, 0.5)
    log.write_text(lines[1] + "\n")
    assert session_store._loss(tmp_path / "a.medseg", log, 2.5)["known"] is False
