"""Fixtures shared by the tests of the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_medseg.core.edits import Box, Change, Edit, TileKey
from napari_medseg.core.session import Session

MakeEdit = Callable[..., Edit]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "slide.medseg"


@pytest.fixture
def session(folder: Path) -> Iterator[Session]:
    session = Session.create(folder, who="Ada")
    yield session
    session.abandon()


@pytest.fixture(scope="session")
def edit() -> MakeEdit:
    """Makes an edit from the bytes by column; the bytes before are not looked at by a session."""

    def make(tiles: dict[int, bytes | None], box: Box = ((0, 8), (0, 8))) -> Edit:
        return Edit({TileKey(0, 0, 0, column): Change(None, value) for column, value in tiles.items()}, box)

    return make


@pytest.fixture(scope="session")
def shown() -> Callable[[Session], dict[int, bytes]]:
    """What a session's annotation holds, by column."""

    def read(session: Session) -> dict[int, bytes]:
        tiles = session.tiles()
        found = {key.column: tiles.get(key) for key in tiles.keys()}  # noqa: SIM118 - SessionTiles is no dictionary
        assert None not in found.values()
        return {column: value for column, value in found.items() if value is not None}

    return read
