"""Opens a layer of labels whatever happened to its tiles, and says what is lost and where.

A layer is shown as far as it can be read, and its levels always agree. Where the session can be written to, what was
mended is an action of its history; else it is mended in memory, for as long as it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from napari_medseg.core.annotation import Annotation, layer_names, open_layer
from napari_medseg.core.edits import Box, TileKey
from napari_medseg.core.labelpyramid import LaidOver
from napari_medseg.core.labelpyramid.grid import TileGrid
from napari_medseg.core.session import ANNOTATION, Session, slots
from napari_medseg.core.session.facts import MENDED

MOST_PLACES = 4
"""Places that a sentence names."""

ACTION = "Repair of labels"


def open_mended(session: Session, name: str = ANNOTATION) -> Annotation:
    """Open a layer; what is damaged is mended first, and the layer's ``notes`` say so."""
    found = open_layer(session, name)
    if found.pyramid.newer:
        return _without_newer(session, found)
    if not (found.pyramid.damaged or _is_unsettled(session, name)):
        return found
    if session.read_only:
        return _in_memory(session, found)
    if session.damage:
        # Goes back to earlier versions of the tiles where the history has some.
        session.repair()
        found = open_layer(session, name)
    notes = tuple(problems(session, found))
    edit = found.pyramid.heal()
    if edit is not None:
        session.record(ACTION, "repair", edit=edit, layer=name)
        notes += (f"The levels of the layer {name!r} were brought to agree again; undo takes that back.",)
    _settle(session, name)
    return replace(found, notes=notes)


def problems(session: Session, layer: Annotation) -> list[str]:
    """What is wrong with a layer, and where, in words."""
    grid, found = layer.pyramid.grid, dict[str, Sequence[TileKey]]()
    found["are damaged or have lost their coarser versions"] = layer.pyramid.damaged
    found["were written by a newer napari-medseg and are not shown"] = layer.pyramid.newer
    if _is_unsettled(session, layer.name):
        mended = session.facts[MENDED]
        found["went back to an earlier version"] = _keys(mended["earlier"], layer.name)
        found["are lost, and coarser ones are shown"] = _keys(mended["lost"], layer.name)
    return [
        f"Labels of the layer {layer.name!r} {what}: {_places(grid, keys)}." for what, keys in found.items() if keys
    ]


def _without_newer(session: Session, layer: Annotation) -> Annotation:
    tiles = LaidOver(session.tiles(layer.name), hidden=layer.pyramid.newer)
    notes = (*problems(session, layer), "Update napari-medseg to see and paint all of it.")
    return _healed(open_layer(session, layer.name, tiles), notes)


def _in_memory(session: Session, layer: Annotation) -> Annotation:
    tiles = LaidOver(session.tiles(layer.name))
    return _healed(open_layer(session, layer.name, tiles), tuple(problems(session, layer)))


def _healed(layer: Annotation, notes: tuple[str, ...]) -> Annotation:
    layer.pyramid.heal()
    return replace(layer, notes=notes, is_shown_only=True)


def _is_unsettled(session: Session, name: str) -> bool:
    """Whether the database was repaired since the layer was last brought in order."""
    mended = session.facts.get(MENDED)
    return bool(mended) and name not in mended["settled"]


def _settle(session: Session, name: str) -> None:
    mended = session.facts.get(MENDED)
    if not mended:
        return
    settled = sorted({*mended["settled"], name})
    done = set(layer_names(session)) <= set(settled)
    session.facts.state(MENDED, None if done else {**mended, "settled": settled})


def _keys(listed: Iterable[str], name: str) -> list[TileKey]:
    """The tiles of one layer among some slots."""
    tiles = (slots.tile(slot) for slot in listed if slots.is_tile(slot))
    return [key for layer, key in tiles if layer == name]


def _places(grid: TileGrid, keys: Iterable[TileKey]) -> str:
    """Where tiles lie, in pixels of level 0: the first few, and how many more."""
    boxes = list(dict.fromkeys(grid.base_box(key.level, grid.area(key), key.plane) for key in keys))
    told = [_place(box) for box in boxes[:MOST_PLACES]]
    more = [f"and {len(boxes) - MOST_PLACES} more"] if len(boxes) > MOST_PLACES else []
    return "; ".join([*told, *more])


def _place(box: Box) -> str:
    *leading, (top, bottom), (left, right) = box
    plane = f"slice {', '.join(str(start) for start, _ in leading)}, " if leading else ""
    return f"{plane}y {top:,} to {bottom:,}, x {left:,} to {right:,}"
