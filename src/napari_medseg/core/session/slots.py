"""A slot is the address of one value of a session: ``tile/LAYER/PLANE/LEVEL/ROW/COLUMN`` or ``doc/KEY``.

All that can be undone lies in slots, so that strokes, class edits and review decisions share one mechanism.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

from napari_medseg.core.edits import TileKey

TILES = "tile/"
DOCS = "doc/"


def tiles_of(layer: str) -> str:
    """What the slots of a layer's tiles begin with; a slash in the layer's name is escaped."""
    return f"{TILES}{quote(layer, safe='')}/"


def of_tile(layer: str, key: TileKey) -> str:
    """The slot of one tile."""
    return under(tiles_of(layer), key)


def under(prefix: str, key: TileKey) -> str:
    """The slot of one tile of the layer whose slots begin with ``prefix``."""
    return f"{prefix}{key.plane}/{key.level}/{key.row}/{key.column}"


def of_doc(key: str) -> str:
    """The slot of one document."""
    return DOCS + key


def tile(slot: str) -> tuple[str, TileKey]:
    """Layer and key of a tile's slot."""
    _, layer, *numbers = slot.split("/")
    return unquote(layer), TileKey(*map(int, numbers))


def doc(slot: str) -> str:
    """Key of a document's slot."""
    return slot.removeprefix(DOCS)


def is_tile(slot: str) -> bool:
    """Whether the slot holds a tile."""
    return slot.startswith(TILES)
