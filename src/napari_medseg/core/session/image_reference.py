"""Which image a session belongs to, so that it is found again after a move and a changed one is noticed.

Strategy
--------
The digest covers the size, the first and last megabyte and sixteen pieces in between: a second at most for 30 GB.
A folder (OME-Zarr) is known by the names, sizes and, where they are small, contents of its first files.
A moved image is looked for relative to the session first, then where it was, then among the files beside both.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from napari_medseg.core.errors import InputError
from napari_medseg.core.session.action import clean

_END_BYTES = 1 << 20
_PIECES, _PIECE_BYTES = 16, 1 << 16
_MOST_FILES = 2000
"""Files of a folder that count, and files beside the session that are looked at."""

_SMALL_BYTES = 1 << 16


@dataclass(frozen=True)
class Found:
    """Where the image is now; ``sentence`` is empty where all is as it was."""

    path: Path | None
    state: Literal["same", "moved", "changed", "missing"]
    sentence: str = ""


@dataclass(frozen=True)
class ImageReference:
    """An image by its place and its content.

    Parameters
    ----------
    relative
        From the session's folder, with forward slashes; empty where they share no root (two drives of Windows).
    size
        In bytes; for a folder, of the files that count.
    """

    relative: str
    absolute: str
    size: int
    digest: str
    folder: bool = False

    @classmethod
    def of(cls, image: Path, session: Path) -> ImageReference:
        """The reference of an image for a session in the folder ``session``."""
        image, session = image.resolve(), session.resolve()
        if not image.exists():
            raise InputError(f"There is no image at {image}. Give the file or folder that the session belongs to.")
        try:
            relative = Path(os.path.relpath(image, session)).as_posix()
        except ValueError:
            relative = ""
        size, digest = fingerprint(image)
        return cls(clean(relative), clean(str(image)), size, digest, image.is_dir())

    def as_json(self) -> dict[str, Any]:
        """The reference as it is stored."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> ImageReference:
        """The reference as it was stored; what a newer version added is passed over."""
        return cls(**{each.name: stored[each.name] for each in fields(cls) if each.name in stored})

    def find(self, session: Path) -> Found:
        """Look for the image, from the session's present folder."""
        session = session.resolve()
        places = self._places(session)
        there = [place for place in places if place.exists()]
        for place in there:
            if self._matches(place):
                return Found(place, "same") if place == places[0] else self._moved(place)
        for place in islice(_beside(places, session), _MOST_FILES):
            if self._matches(place):
                return self._moved(place)
        if there:
            changed = "is not the image that this session was begun on: its content has changed."
            return Found(there[0], "changed", f"{there[0]} {changed} The annotations may not fit it.")
        missing = f"The image of this session is not at {self.absolute}, nor near the session."
        return Found(None, "missing", f"{missing} Put it back or choose it; it is known by its content.")

    def _places(self, session: Path) -> list[Path]:
        relative = [(session / self.relative).resolve()] if self.relative else []
        return [*relative, Path(self.absolute)]

    def _matches(self, path: Path) -> bool:
        """Whether this is the image; the size is asked first, since it costs nothing."""
        try:
            if path.is_dir() != self.folder or (not self.folder and path.stat().st_size != self.size):
                return False
            return fingerprint(path) == (self.size, self.digest)
        except OSError:
            return False

    def _moved(self, path: Path) -> Found:
        return Found(path, "moved", f"The image of this session was at {self.absolute} and was found at {path}.")


def fingerprint(path: Path) -> tuple[int, str]:
    """Size and digest of a file or a folder."""
    return _of_folder(path) if path.is_dir() else _of_file(path)


def _of_file(path: Path) -> tuple[int, str]:
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    pieces = [(size * number // (_PIECES + 1), _PIECE_BYTES) for number in range(1, _PIECES + 1)]
    with path.open("rb") as file:
        for start, length in [(0, _END_BYTES), *pieces, (max(0, size - _END_BYTES), _END_BYTES)]:
            file.seek(start)
            digest.update(file.read(length))
    return size, digest.hexdigest()


def _of_folder(folder: Path) -> tuple[int, str]:
    total, digest = 0, hashlib.sha256()
    for path in islice(_files(folder), _MOST_FILES):
        size = path.stat().st_size
        total += size
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        if size <= _SMALL_BYTES:
            digest.update(path.read_bytes())
    return total, digest.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, those nearest to the top first, in an order that does not depend on the disk."""
    pending = [folder]
    while pending:
        entries = sorted(pending.pop(0).iterdir())
        yield from (entry for entry in entries if entry.is_file())
        pending += [entry for entry in entries if entry.is_dir() and not _is_ours(entry)]


def _is_ours(folder: Path) -> bool:
    """Whether annotating writes there: the labels inside an OME-Zarr, a session among the files of an image."""
    return folder.name == "labels" or folder.suffix == ".medseg"


def _beside(places: list[Path], session: Path) -> Iterator[Path]:
    """What lies beside the session and in the folders where the image was."""
    for folder in dict.fromkeys([session.parent, *(place.parent for place in places)]):
        if folder.is_dir():
            yield from (entry for entry in sorted(folder.iterdir()) if not _is_ours(entry) and entry != session)
