"""Opens a session where napari opens files: the folder NAME.medseg, or the database in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from napari.viewer import current_viewer

from napari_medseg.core.errors import SessionError
from napari_medseg.io import session_folders
from napari_medseg.widgets._sessions import sessions_of


def read_session(path: str | list[str]) -> Callable[[Any], list[tuple[None]]] | None:
    """Napari's reader of a folder NAME.medseg, or of the database in it; it opens in the viewer at hand."""
    given = Path(path if isinstance(path, str) else path[0])
    folder = given if given.is_dir() else given.parent
    return None if folder.suffix != session_folders.SUFFIX else partial(_open_here, folder)


def _open_here(folder: Path, _path: Any) -> list[tuple[None]]:
    viewer = current_viewer()
    if viewer is None or not hasattr(viewer, "window"):
        raise SessionError(f"The session {folder.name} opens in a viewer; none is there. Start napari first.")
    sessions_of(viewer).open(folder)
    # Napari's way to say that there is nothing for it to add.
    return [(None,)]
