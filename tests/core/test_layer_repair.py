"""A layer opens whatever happened to its tiles: its levels agree, and what is lost is said with its place."""

from __future__ import annotations

import sqlite3
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core import tilecodec
from napari_medseg.core.annotation import Annotation, create_layer, open_layer
from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.image import Image
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles
from napari_medseg.core.layer_repair import open_mended, problems
from napari_medseg.core.session import Session, slots
from napari_medseg.core.session.facts import MENDED
from napari_medseg.core.session.rows import checksum
from napari_medseg.core.session.schema import FILE

SHAPE, SIDE = (1200, 1300), 64
PAINTED = TileKey(0, 0, 7, 9)
"""A tile of level 0 in the middle of what `painted` paints; y 448 to 512, x 576 to 640."""


@pytest.fixture
def painted(tmp_path: Path) -> Iterator[Session]:
    """Two strokes over the same place; the second covers the first."""
    session = Session.create(tmp_path / "slide.medseg", who="Ada")
    create_layer(session, Image.of(np.zeros(SHAPE, np.uint8)), dtype=np.uint8, tile_px=SIDE)
    for label in (3, 5):
        stroke(session, label)
    session.flush(10)
    yield session
    session.abandon()


def stroke(session: Session, label: int) -> None:
    pyramid = open_layer(session).pyramid
    with pyramid.editing() as outcome:
        pyramid.paint(np.random.default_rng(label).random((300, 300)) < 0.5, (400, 500), 0, label)
    session.record(f"Stroke {label}", edit=outcome.edit)


def reopened(session: Session, *statements: str) -> Session:
    """Close the session, change its database behind its back, and open it again."""
    session.close()
    with sqlite3.connect(session.folder / FILE) as database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0, statement
    database.close()
    return Session.open(session.folder, who="Ada")


def blob_of(key: TileKey, side: str = "after") -> str:
    """The condition for the bytes that the newest stroke left in a tile."""
    slot = slots.of_tile("annotation", key)
    return f"id = (SELECT {side} FROM changes WHERE slot = '{slot}' ORDER BY journal DESC LIMIT 1)"


def levels(layer: Annotation) -> list[np.ndarray]:
    pyramid = layer.pyramid
    return [pyramid.read(level, tuple((0, size) for size in shape)) for level, shape in enumerate(pyramid.level_shapes)]


def assert_levels_agree(layer: Annotation) -> None:
    """Level 0 alone, written into an empty pyramid, gives the same coarser levels."""
    found = levels(layer)
    copy = LabelPyramid(SHAPE, np.uint8, MemoryTiles(), SIDE)
    with copy.editing():
        copy.write(found[0], (0, 0))
    for level, expected in enumerate(found):
        np.testing.assert_array_equal(copy.read(level, tuple((0, n) for n in expected.shape)), expected)


def test_a_sound_layer_is_opened_as_it_is(painted: Session):
    head = painted.head
    layer = open_mended(painted)
    assert (layer.notes, layer.is_shown_only, painted.head) == ((), False, head)
    assert_levels_agree(layer)


def test_a_damaged_tile_goes_back_to_its_earlier_version_in_all_levels(painted: Session):
    before = levels(open_layer(painted))[0]
    again = reopened(painted, f"UPDATE blobs SET data = zeroblob(9) WHERE {blob_of(PAINTED)}")
    with again:
        layer = open_mended(again)
        assert "Labels of the layer 'annotation' went back to an earlier version: y 448 to 512, x 576 to 640." in (
            layer.notes
        )
        assert "were brought to agree again; undo takes that back" in layer.notes[-1]
        assert again.undo_name == "Repair of labels"
        changed = before != levels(layer)[0]
        assert changed[448:512, 576:640].any()
        changed[448:512, 576:640] = False
        assert not changed.any()
        assert set(np.unique(levels(layer)[0][448:512, 576:640])) == {0, 3}
        assert_levels_agree(layer)
        assert MENDED not in again.facts
    with Session.open(painted.folder) as third:
        layer = open_mended(third)
        assert layer.notes == ()
        assert_levels_agree(layer)


def test_a_tile_that_is_lost_shows_coarser_labels_and_says_where(painted: Session):
    painted.compact()
    slot = slots.of_tile("annotation", PAINTED)
    again = reopened(
        painted, f"UPDATE blobs SET data = zeroblob(9) WHERE id = (SELECT blob FROM state WHERE slot = '{slot}')"
    )
    with again:
        layer = open_mended(again)
        assert layer.notes[0] == (
            "Labels of the layer 'annotation' are lost, and coarser ones are shown: y 448 to 512, x 576 to 640."
        )
        found = levels(layer)
        np.testing.assert_array_equal(
            found[0][448:512, 576:640], np.repeat(np.repeat(found[1][224:256, 288:320], 2, 0), 2, 1)
        )
        assert_levels_agree(layer)


def test_a_crash_between_repair_and_healing_is_made_good_at_the_next_opening(painted: Session):
    again = reopened(painted, f"UPDATE blobs SET data = zeroblob(9) WHERE {blob_of(PAINTED)}")
    assert "went back to an earlier version of theirs" in " ".join(again.repair())
    again.flush(10)
    again.abandon()
    with Session.open(painted.folder) as third:
        layer = open_mended(third)
        assert "went back to an earlier version: y 448" in layer.notes[0]
        assert_levels_agree(layer)


def test_each_layer_is_brought_in_order_once(painted: Session):
    create_layer(painted, Image.of(np.zeros(SHAPE, np.uint8)), "second", np.uint8, SIDE)
    with reopened(painted, f"UPDATE blobs SET data = zeroblob(9) WHERE {blob_of(PAINTED)}") as again:
        assert open_mended(again).notes
        assert again.facts[MENDED]["settled"] == ["annotation"]
        assert open_mended(again).notes == ()
        assert open_mended(again, "second").notes == ()
        assert MENDED not in again.facts


def test_where_nothing_can_be_written_it_is_mended_in_memory(painted: Session):
    whole = levels(open_layer(painted))[0]
    again = reopened(painted, f"UPDATE blobs SET data = zeroblob(9) WHERE {blob_of(PAINTED)}")
    again.close()
    before = (painted.folder / FILE).read_bytes()
    with Session.open(painted.folder, writable=False) as reader:
        layer = open_mended(reader)
        assert layer.is_shown_only
        assert layer.notes == (
            "Labels of the layer 'annotation' are damaged or have lost their coarser versions: "
            "y 448 to 512, x 576 to 640.",
        )
        assert_levels_agree(layer)
        differs = levels(layer)[0] != whole
        differs[448:512, 576:640] = False
        assert not differs.any()
    assert (painted.folder / FILE).read_bytes() == before


def test_tiles_of_a_newer_version_stay_and_the_rest_is_shown(painted: Session):
    whole, tiles = levels(open_layer(painted))[0], painted.tiles()
    blob = tiles.get(PAINTED)
    assert blob is not None
    header = blob[:4] + bytes([tilecodec.VERSION + 1]) + blob[5:24]
    newer = header + struct.pack("<I", zlib.crc32(header + blob[28:])) + blob[28:]
    change = f"UPDATE blobs SET data = x'{newer.hex()}', crc = {checksum((newer,))} WHERE {blob_of(PAINTED)}"
    with reopened(painted, change) as again:
        head = again.head
        layer = open_mended(again)
        assert layer.is_shown_only
        assert layer.notes == (
            "Labels of the layer 'annotation' were written by a newer napari-medseg and are not shown: "
            "y 448 to 512, x 576 to 640.",
            "Update napari-medseg to see and paint all of it.",
        )
        differs = levels(layer)[0] != whole
        differs[448:512, 576:640] = False
        assert not differs.any()
        assert_levels_agree(layer)
        again.flush(10)
        assert again.head == head and again.tiles().get(PAINTED) == newer


def test_tiles_that_lost_their_coarser_version_are_healed_as_an_action(painted: Session):
    before = levels(open_layer(painted))
    tiles = painted.tiles()
    middle = {key: blob for key, blob in tiles.get_many(list(tiles.keys())) if key.level == 1}
    changes = {key: Change(blob, None) for key, blob in middle.items()}
    painted.record("Loss", edit=Edit(changes, ((0, 1), (0, 1))))
    assert open_layer(painted).pyramid.damaged
    assert "have lost their coarser versions" in problems(painted, open_layer(painted))[0]
    layer = open_mended(painted)
    assert painted.undo_name == "Repair of labels" and not open_layer(painted).pyramid.damaged
    for found, expected in zip(levels(layer), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_many_places_are_counted(painted: Session):
    keys = [TileKey(0, 0, 6, column) for column in range(8, 13)]
    condition = " OR ".join(blob_of(key) for key in keys)
    with reopened(painted, f"UPDATE blobs SET data = zeroblob(9) WHERE {condition}") as again:
        note = open_mended(again).notes[0]
    assert "; y 384 to 448, x 704 to 768;" in note and note.endswith("; and 1 more.")
