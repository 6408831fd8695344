"""An open session moves with its folder."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.session import Session


@pytest.fixture
def session(tmp_path: Path):
    session = Session.create(tmp_path / "old.medseg", who="ada")
    session.record("one", docs={"key": 1})
    yield session
    session.close()


def test_it_stays_open_and_keeps_its_history(session: Session, tmp_path: Path) -> None:
    new = tmp_path / "deep" / "er" / "new.medseg"
    session.move_to(new)
    assert session.folder == new and not (tmp_path / "old.medseg").exists()
    session.record("two", docs={"key": 2})
    session.undo()
    session.flush(10)
    assert session.docs["key"] == 1
    with Session.open(new, writable=False) as other:
        assert [entry.action.name for entry in other.history()] == ["two", "one"]
        assert other.docs["key"] == 1


def test_it_stays_locked(session: Session, tmp_path: Path) -> None:
    session.move_to(tmp_path / "new.medseg")
    with Session.open(session.folder) as second:
        assert "ada has it open" in second.read_only


def test_an_empty_folder_may_be_there(session: Session, tmp_path: Path) -> None:
    (tmp_path / "new.medseg").mkdir()
    session.move_to(tmp_path / "new.medseg")
    assert session.docs["key"] == 1


def test_it_goes_to_another_drive(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = os.rename

    def between_drives(self: Path, target: Path) -> None:
        if self.name == "old.medseg":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(self, target)

    monkeypatch.setattr(Path, "rename", between_drives)
    session.move_to(tmp_path / "new.medseg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.medseg"]
    session.record("two")
    session.flush(10)
    assert len(session.history()) == 2


def test_where_it_cannot_move_it_stays(session: Session, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        session.move_to(tmp_path / "taken")
    with pytest.raises(StorageError, match=r"stays in .*old\.medseg"):
        session.move_to(tmp_path / "taken" / "notes.txt" / "new.medseg")
    session.record("two")
    session.flush(10)
    assert session.folder == tmp_path / "old.medseg"
    with Session.open(session.folder) as second:
        assert second.read_only
