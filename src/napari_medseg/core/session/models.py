"""The models of a session: files beside the database, named after what is in them, so that undo finds each again.

A training run is an action that changes the document ``model/LAYER``. The document names the files; they are whole on
the disk before it is recorded, and stay until compaction has dropped the last action that knows of them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_medseg.core.errors import ModelError, StorageError
from napari_medseg.core.session import lineage
from napari_medseg.core.session.action import Clock, stamp
from napari_medseg.core.session.disk import write_whole

FOLDER = "models"
KEY = "model/"
"""What the keys of documents begin with that name a model; the layer that was taught from follows."""

SUFFIX, CARD_SUFFIX = ".safetensors", ".json"

Held = AbstractContextManager[Any]


@dataclass(frozen=True)
class KeptModel:
    """What a document says of a model.

    Parameters
    ----------
    digest, card
        SHA-256 of the weights and of the card beside them.
    file
        The weights, in the session's folder.
    time
        When it was taught, in UTC.
    """

    digest: str
    card: str
    file: str
    time: str

    def as_json(self) -> dict[str, str]:
        """For a document."""
        return asdict(self)

    @classmethod
    def of_json(cls, stored: Any) -> KeptModel | None:
        """From a document; ``None`` for no document, and for one that is not understood."""
        if not isinstance(stored, Mapping) or not _is_ours(str(stored.get("file", ""))):
            return None
        try:
            return cls(*(str(stored[field.name]) for field in fields(cls)))
        except KeyError:
            return None

    def files(self) -> tuple[str, str]:
        """Weights and card, in the session's folder."""
        return self.file, str(Path(self.file).with_suffix(CARD_SUFFIX).as_posix())


def key_of(layer: str) -> str:
    """The document that names the model taught from a layer."""
    return KEY + layer


class Models:
    """Keeps, finds and drops the model files of one session.

    Parameters
    ----------
    folder
        Says where the session lies at the moment.
    hold
        Entered while files are written: the folder does not move meanwhile.
    """

    def __init__(self, folder: Callable[[], Path], hold: Held, clock: Clock) -> None:
        self._folder, self._hold, self._clock = folder, hold, clock
        self._unnamed: set[str] = set()
        """Files that no document names yet; compaction leaves them."""

    def keep(self, weights: Path, card: Path, digest: str) -> KeptModel:
        """Copy a model into the session, from any thread; it is on the disk when this returns.

        Parameters
        ----------
        digest
            SHA-256 that the weights must have: another program may be writing the next model to the same file.
        """
        try:
            contents = weights.read_bytes(), card.read_bytes()
        except OSError as error:
            raise ModelError(f"The model {weights} cannot be read: {error.strerror or error}. Teach again.") from error
        found, described = (hashlib.sha256(content).hexdigest() for content in contents)
        if found != digest:
            raise ModelError(
                f"The model {weights} is not the one that was taught (sha256 {found[:16]}, expected {digest[:16]}): "
                "another run has replaced it. Teach again."
            )
        # The card is part of the name: the same weights may be kept again under other names of classes.
        file = f"{FOLDER}/{digest[:16]}-{described[:8]}{SUFFIX}"
        kept = KeptModel(digest, described, file, stamp(self._clock()))
        with self._hold:
            self._unnamed |= set(kept.files())
            try:
                for name, content in zip(kept.files(), contents, strict=True):
                    write_whole(self._folder() / name, content)
            except OSError as error:
                raise StorageError(
                    f"The model cannot be kept in {self._folder() / FOLDER}: {error.strerror or error}. "
                    "Make room there, and teach again."
                ) from error
        return kept

    def recorded(self, docs: Mapping[str, Any]) -> None:
        """Documents have been recorded: from now on the history looks after the files that they name."""
        for key, value in docs.items():
            kept = KeptModel.of_json(value) if key.startswith(KEY) else None
            self._unnamed.difference_update(kept.files() if kept else ())

    def path(self, kept: KeptModel) -> Path:
        """The weights of a model; ModelError where a file is missing."""
        for name in kept.files():
            if not (self._folder() / name).is_file():
                raise ModelError(
                    f"The model of {kept.time} is not in the session any more: {self._folder() / name} is missing. "
                    "Put it back, or teach again."
                )
        return self._folder() / kept.file

    def drop_all_but(self, named: Iterable[KeptModel]) -> None:
        """Remove what no document names, and what a crash left half-written."""
        with self._hold:
            stay = {name for kept in named for name in kept.files()} | self._unnamed
            for path in _files(self._folder()):
                if f"{FOLDER}/{path.name}" not in stay:
                    # One that is in use on Windows goes with the next compaction.
                    with suppress(OSError):
                        path.unlink()


def named(connection: sqlite3.Connection) -> list[KeptModel]:
    """The models that any document of the session names now, or named at any time that the history knows of."""
    found = map(KeptModel.of_json, lineage.documents(connection, KEY))
    return [kept for kept in found if kept is not None]


def faults(folder: Path, named: Iterable[KeptModel]) -> Iterator[tuple[str, str]]:
    """What is wrong with the model files of a session: where, and a sentence. Reads all of them."""
    expected = {name: (digest, kept.time) for kept in named for name, digest in _digests(kept)}
    for name, (digest, time) in sorted(expected.items()):
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            why = error.strerror or error
            yield name, f"{name}, of the model of {time}, cannot be read: {why}. Put it back, or teach again."
            continue
        if found != digest:
            yield name, f"{name}, of the model of {time}, is damaged: it does not match its digest. Teach again."


def _digests(kept: KeptModel) -> Iterator[tuple[str, str]]:
    return zip(kept.files(), (kept.digest, kept.card), strict=True)


def _files(folder: Path) -> list[Path]:
    return [path for path in (folder / FOLDER).glob("*") if path.is_file()]


def _is_ours(file: str) -> bool:
    """Whether a document names a file in the folder of models, and nowhere else."""
    folder, _, name = file.partition("/")
    return folder == FOLDER and name.endswith(SUFFIX) and not {"/", "\\"} & set(name)
