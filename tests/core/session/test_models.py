"""The model files of a session: whole before a row names them, there as long as the history knows of them."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_medseg.core.errors import ModelError, StorageError
from napari_medseg.core.session import KeptModel, Session
from napari_medseg.core.session.models import FOLDER, key_of


@pytest.fixture
def taught(tmp_path: Path):
    """Writes a model as a tool leaves it, and keeps it in a session."""

    def teach(session: Session, content: bytes, card: bytes = b"{}", *, record: bool = True) -> KeptModel:
        weights = tmp_path / "taught.safetensors"
        weights.write_bytes(content)
        weights.with_suffix(".json").write_bytes(card)
        kept = session.models.keep(weights, weights.with_suffix(".json"), hashlib.sha256(content).hexdigest())
        if record:
            session.record("Taught", "scribbles", docs={key_of("annotation"): kept.as_json()}, model=kept.digest)
        return kept

    return teach


def present(session: Session) -> KeptModel:
    kept = KeptModel.of_json(session.docs[key_of("annotation")])
    assert kept is not None
    return kept


def files(session: Session) -> list[str]:
    return sorted(path.name for path in (session.folder / FOLDER).iterdir())


def test_undo_goes_back_to_the_model_before(session: Session, taught):
    first, second = taught(session, b"first"), taught(session, b"second")
    assert session.models.path(present(session)).read_bytes() == b"second"
    step = session.undo()
    assert KeptModel.of_json(step.docs["model/annotation"].after) == first
    assert session.models.path(present(session)).read_bytes() == b"first"
    session.undo()
    assert key_of("annotation") not in session.docs
    session.redo()
    session.redo()
    assert present(session) == second


def test_it_is_all_there_after_a_restart_and_a_move(session: Session, taught, tmp_path: Path):
    kept = taught(session, b"first", b'{"steps": 3}')
    session.move_to(tmp_path / "elsewhere.medseg")
    session.close()
    with Session.open(tmp_path / "elsewhere.medseg") as again:
        weights = again.models.path(present(again))
        assert weights.read_bytes() == b"first"
        assert weights.with_suffix(".json").read_bytes() == b'{"steps": 3}'
        assert weights.parent.parent == tmp_path / "elsewhere.medseg"
        assert present(again) == kept
        assert again.check() == []


def test_the_same_weights_with_another_card_are_another_model(session: Session, taught):
    one, other = taught(session, b"weights", b'{"1": "tumour"}'), taught(session, b"weights", b'{"1": "stroma"}')
    assert one.digest == other.digest and one.file != other.file
    session.undo()
    assert session.models.path(present(session)).with_suffix(".json").read_bytes() == b'{"1": "tumour"}'


def test_another_model_in_the_same_file_is_not_taken(session: Session, tmp_path: Path):
    for suffix in (".safetensors", ".json"):
        (tmp_path / f"taught{suffix}").write_bytes(b"the next one")
    with pytest.raises(ModelError, match="another run has replaced it"):
        session.models.keep(tmp_path / "taught.safetensors", tmp_path / "taught.json", "0" * 64)
    with pytest.raises(ModelError, match="cannot be read"):
        session.models.keep(tmp_path / "gone.safetensors", tmp_path / "gone.json", "0" * 64)
    assert not (session.folder / FOLDER).exists()


def test_the_cost_is_counted_and_compaction_gives_it_back(session: Session, taught):
    for number in range(3):
        taught(session, bytes([number]) * 1000)
    session.flush(10)
    assert session.info().models_bytes == 3 * 1002
    assert session.info().disk_bytes >= 3 * 1002 + session.info().file_bytes
    session.undo()
    assert session.compact() > 900
    # The present one, and the one that redo would bring back.
    assert session.info().models_bytes == 2 * 1002
    session.redo()
    assert session.models.path(present(session)).read_bytes() == bytes([2]) * 1000
    session.compact()
    assert session.info().models_bytes == 1002
    assert session.models.path(present(session)).read_bytes() == bytes([2]) * 1000
    assert session.check() == []


def test_compaction_leaves_a_model_whose_row_is_still_to_come(session: Session, taught):
    kept = taught(session, b"just now", record=False)
    session.compact()
    session.record("Taught", docs={key_of("annotation"): kept.as_json()})
    assert session.models.path(present(session)).read_bytes() == b"just now"
    session.record("Dropped", docs={key_of("annotation"): None})
    session.compact()
    assert files(session) == []


def test_a_crash_between_the_files_and_the_row_costs_the_run_alone(session: Session, taught, tmp_path: Path):
    first = taught(session, b"first")
    session.close()
    code = (
        "import hashlib, os, sys\n"
        "from pathlib import Path\n"
        "from napari_medseg.core.session import Session\n"
        "weights = Path(sys.argv[2])\n"
        "weights.write_bytes(b'second')\n"
        "session = Session.open(sys.argv[1])\n"
        "session.models.keep(weights, weights.with_suffix('.json'), hashlib.sha256(b'second').hexdigest())\n"
        "(session.folder / 'models' / '.half.part').write_bytes(b'sec')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    place = str(tmp_path / "taught.safetensors")
    done = subprocess.run([sys.executable, "-c", code, str(session.folder), place], capture_output=True, timeout=60)
    assert done.returncode == -9, done.stderr
    with Session.open(session.folder) as again:
        assert present(again) == first
        assert again.models.path(first).read_bytes() == b"first"
        assert again.check() == []
        assert len(files(again)) == 5
        again.compact()
        assert files(again) == sorted(Path(name).name for name in first.files())


def test_a_full_disk_leaves_no_half_model_and_says_so(session: Session, taught, monkeypatch: pytest.MonkeyPatch):
    kept = taught(session, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="cannot be kept in .*No space left on device"):
            taught(session, b"second", record=False)
    assert files(session) == sorted(Path(name).name for name in kept.files())
    assert session.models.path(present(session)).read_bytes() == b"first"
    assert len(session.history()) == 1


def test_a_missing_and_a_damaged_file_are_named(session: Session, taught):
    first, second = taught(session, b"first"), taught(session, b"second")
    (session.folder / first.file).unlink()
    (session.folder / second.file).with_suffix(".json").write_bytes(b"[]")
    session.flush(10)
    assert {problem.where for problem in session.check()} == {first.file, second.files()[1]}
    with pytest.raises(ModelError, match=f"{Path(first.file).name} is missing"):
        session.models.path(first)
    # The database is sound: there is nothing to repair, and nothing is set aside.
    assert session.repair() == []
    assert not list(session.folder.glob("session.broken-*"))


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "text",
        {"file": "models/a.safetensors"},
        {"digest": "a", "card": "b", "file": "../a.safetensors", "time": ""},
        {"digest": "a", "card": "b", "file": "models/../../a.safetensors", "time": ""},
        {"digest": "a", "card": "b", "file": "models\\..\\a.safetensors", "time": ""},
    ],
)
def test_a_document_that_names_no_model_of_the_session_is_none(stored):
    assert KeptModel.of_json(stored) is None
