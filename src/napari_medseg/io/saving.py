"""Writing files so that a failure leaves the old file as it was."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_medseg.core.errors import StorageError


@contextmanager
def fresh(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to; it takes the place of ``path`` when all went well."""
    # The suffixes stay, since writers choose the format by them; a long name becomes no longer.
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name[-40:]}")
    try:
        yield beside
        _replace(beside, path)
    except OSError as error:
        raise StorageError(
            f"{path} could not be written: {error.strerror or error}. "
            "Check that the folder exists, may be written to and has room, or choose another."
        ) from error
    finally:
        with suppress(OSError):
            _remove(beside)


def _replace(new: Path, old: Path) -> None:
    """Move ``new`` to ``old``; a folder that was there goes only after the new one is in place."""
    if not old.is_dir():
        new.replace(old)
        return
    aside = old.with_name(f".{uuid.uuid4().hex[:8]}-{old.name[-40:]}")
    old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
