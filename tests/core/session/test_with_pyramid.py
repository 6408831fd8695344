"""The label pyramid over a session: strokes, undo, redo, jumps and restarts equal the same on a plain array."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core.edits import Change, TileKey
from napari_medseg.core.labelpyramid import LabelPyramid
from napari_medseg.core.session import START, Session, Step
from napari_medseg.core.session.schema import FILE

SHAPE = (300, 420)
TILE_PX = 64


def opened(session: Session) -> LabelPyramid:
    return LabelPyramid(SHAPE, np.uint16, session.tiles(), tile_px=TILE_PX)


def pixels(pyramid: LabelPyramid) -> np.ndarray:
    return pyramid.read(0, ((0, SHAPE[0]), (0, SHAPE[1])))


def follow(pyramid: LabelPyramid, step: Step | None) -> None:
    assert step is not None
    if "annotation" in step.edits:
        pyramid.apply(step.edits["annotation"].changes)


def stroke(session: Session, pyramid: LabelPyramid, rng: np.random.Generator) -> int:
    """Three dabs of one label somewhere, in one action."""
    pyramid.begin()
    for _ in range(3):
        size = rng.integers(5, 120, 2)
        offset = (int(rng.integers(-20, SHAPE[0])), int(rng.integers(-20, SHAPE[1])))
        pyramid.paint(rng.random(size) < 0.8, offset, 0, int(rng.integers(0, 5)))
        if session.draft_due:
            session.draft(pyramid.draft(), "brush")
    edit = pyramid.commit()
    return session.record("Stroke", "brush", edit=edit)


@pytest.mark.parametrize("seed", range(3))
def test_the_history_of_a_painted_picture(folder: Path, seed: int):
    rng = np.random.default_rng(seed)
    session = Session.create(folder)
    pyramid = opened(session)
    pictures = {START: pixels(pyramid)}
    for _ in range(60):
        kind = rng.choice(["stroke", "stroke", "undo", "redo", "jump", "restart"])
        if kind == "stroke":
            number = stroke(session, pyramid, rng)
            pictures[number] = pixels(pyramid)
        elif kind == "restart":
            session.close()
            session = Session.open(folder)
            pyramid = opened(session)
        elif kind == "jump":
            follow(pyramid, session.go_to(int(rng.choice(list(pictures)))))
        elif (step := session.undo() if kind == "undo" else session.redo()) is not None:
            follow(pyramid, step)
        np.testing.assert_array_equal(pixels(pyramid), pictures[session.head])
        np.testing.assert_array_equal(pixels(opened(session)), pictures[session.head])
    names = {entry.action.name for entry in session.history(limit=1000)}
    assert names == {"Stroke"}
    session.close()


def test_a_stroke_in_mid_air_survives_a_crash(session: Session):
    pyramid = opened(session)
    pyramid.begin()
    pyramid.paint(np.ones((50, 50), bool), (10, 10), 0, 3)
    session.draft(pyramid.draft(), "brush")
    painted = pyramid.read(0, ((0, 300), (0, 420)), live=True)
    assert (painted == 3).sum() == 2500
    session.flush(10)
    session.abandon()
    with Session.open(session.folder) as again:
        np.testing.assert_array_equal(pixels(opened(again)), painted)


def test_many_tiles_at_once_are_the_same_as_one_by_one(session: Session):
    rng = np.random.default_rng(0)
    pyramid = opened(session)
    for _ in range(30):
        stroke(session, pyramid, rng)
    # Some are on disk, some wait for it, some belong to no action yet, one has just been removed, one never was.
    session.flush(10)
    stroke(session, pyramid, rng)
    tiles = session.tiles()
    keys = list(tiles.keys())
    tiles.put({keys[0]: Change(None, b"staged"), keys[1]: Change(None, None)})
    absent = TileKey(9, 9, 9, 9)
    found = dict(tiles.get_many([*keys, absent]))
    assert found == {key: tiles.get(key) for key in (*keys, absent)}
    assert (found[keys[0]], found[keys[1]], found[absent]) == (b"staged", None, None)


def test_a_damaged_tile_among_many_is_noted_and_costs_none_of_the_others(session: Session):
    pyramid = opened(session)
    stroke(session, pyramid, np.random.default_rng(0))
    session.close()
    with sqlite3.connect(session.folder / FILE) as database:
        database.execute("UPDATE blobs SET data = zeroblob(9) WHERE id = 2")
    database.close()
    with Session.open(session.folder) as again:
        keys = list(again.tiles().keys())
        found = dict(again.tiles().get_many(keys))
        assert len(again.damage) == 1
        assert set(found) == set(keys) and sum(value is None for value in found.values()) == 1
