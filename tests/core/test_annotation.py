"""Layers of labels in a session: opened from the session alone, whatever was undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core.annotation import (
    classes_key,
    classes_of,
    create_layer,
    labels_of,
    layer_names,
    open_layer,
)
from napari_medseg.core.classes import SegmentationClass, to_json
from napari_medseg.core.errors import InputError, SessionError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.session import START, Session
from napari_medseg.core.session.schema import FILE

TURN = np.array([[0.8, -0.6], [0.6, 0.8]])
GEOMETRY = Geometry((2.0, 0.5, 0.25), ("um",) * 3, (1.0, 2.0, 3.0), affine=np.diag([1.0, 2.0, 3.0, 1.0]))
STACK = Image.of(np.zeros((2, 300, 420, 3), np.uint8), "zyxc", geometry=GEOMETRY)
ALL = ((0, 300), (0, 420))


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    session = Session.create(tmp_path / "slide.medseg", who="Ada")
    yield session
    session.abandon()


def paint(session: Session, name: str = "annotation", label: int = 3, plane: int = 1) -> np.ndarray:
    """Paint a square in one action, on a layer that is opened for it; what it shows then."""
    pyramid = open_layer(session, name).pyramid
    with pyramid.editing() as outcome:
        pyramid.paint(np.ones((150, 200), bool), (10, 20), 0, label, plane)
        pyramid.paint(np.ones((3, 3), bool), (201, 301), 0, label, plane)
    session.record("Stroke", edit=outcome.edit, layer=name)
    return pyramid.read(0, ALL, plane)


def test_a_layer_is_opened_from_the_session_alone(session: Session):
    made = create_layer(session, STACK, dtype="uint32", tile_px=64)
    shown = paint(session)
    session.close()
    with Session.open(session.folder) as again:
        assert layer_names(again) == ["annotation"]
        found = open_layer(again)
        assert found.pyramid.shape == made.pyramid.shape == (2, 300, 420)
        assert found.pyramid.dtype == np.uint32 and found.pyramid.grid.tile_px == 64
        np.testing.assert_array_equal(found.pyramid.read(0, ALL, 1), shown)
        assert (shown == 3).sum() == 150 * 200 + 9
        image = found.image
        assert (image.axes, image.kind, image.name) == ("zyx", "labels", "annotation")
        assert image.geometry.units == GEOMETRY.units
        np.testing.assert_array_equal(image.geometry.matrix(), GEOMETRY.matrix())
        assert [level.shape for level in image.levels] == found.pyramid.level_shapes
        np.testing.assert_array_equal(image.levels[0][1], shown)
        np.testing.assert_array_equal(
            image.read((slice(0, 2), slice(5, 90), slice(7, 99)))[1, ..., 0], shown[5:90, 7:99]
        )


def test_every_kind_of_geometry_comes_back(session: Session):
    geometry = Geometry((0.5, 0.25), ("mm", "mm"), (3.0, 4.0), rotate=TURN, shear=np.array([[1, 0.1], [0, 1]]))
    create_layer(session, Image.of(np.zeros((5, 6)), geometry=geometry))
    found = open_layer(session).image.geometry
    np.testing.assert_array_equal(found.matrix(), geometry.matrix())
    assert found.affine is None


def test_undoing_everything_leaves_a_layer_to_paint_on(session: Session):
    create_layer(session, STACK)
    assert session.history() == []
    paint(session)
    while session.undo():
        pass
    assert not open_layer(session).pyramid.read(0, ALL, 1).any()
    paint(session, label=5)
    session.go_to(START)
    session.compact()
    assert (paint(session, label=7) == 7).any()


def test_layers_do_not_mix(session: Session):
    create_layer(session, STACK)
    create_layer(session, STACK, "second reader/B", dtype=np.uint8, tile_px=128)
    paint(session, "second reader/B")
    assert layer_names(session) == ["annotation", "second reader/B"]
    assert open_layer(session).pyramid.max_label == 0
    assert open_layer(session, "second reader/B").pyramid.max_label == 3


def test_classes_are_history(session: Session):
    create_layer(session, STACK)
    rows = (SegmentationClass(1, "tumour", "#ff0000"), SegmentationClass(2, "rest", "#00ff00"))
    assert classes_of(session) == ()
    session.record("Classes", docs={classes_key(): to_json(rows)})
    assert classes_of(session) == labels_of(session).classes == rows
    assert classes_of(session, "other") == ()
    session.undo()
    assert labels_of(session).classes == ()


def test_a_second_layer_of_the_same_name_is_refused(session: Session):
    create_layer(session, STACK)
    with pytest.raises(InputError, match="has a layer 'annotation' already"):
        create_layer(session, STACK)
    with pytest.raises(InputError, match="no layer 'other'; its layers: 'annotation'"):
        open_layer(session, "other")


def test_a_layer_that_does_not_work_is_not_kept(session: Session):
    with pytest.raises(InputError, match="cannot be stored"):
        create_layer(session, STACK, dtype="float32")
    assert layer_names(session) == []


def test_tiles_whose_layer_was_forgotten_are_shown_again_where_they_fit(session: Session):
    create_layer(session, STACK)
    shown = paint(session)
    session.close()
    with sqlite3.connect(session.folder / FILE) as database:
        database.execute("DELETE FROM meta WHERE key LIKE 'fact/%'")
    database.close()
    with Session.open(session.folder) as again:
        assert layer_names(again) == []
        with pytest.raises(InputError, match="another image"):
            create_layer(again, Image.of(np.zeros((30, 40))))
        create_layer(again, STACK)
        np.testing.assert_array_equal(open_layer(again).pyramid.read(0, ALL, 1), shown)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": "wide"},
        {"shape": None},
        {"dtype": "uint17"},
        {"geometry": {}},
        {"geometry": None},
        {"tile_px": "large"},
    ],
)
def test_what_is_not_understood_is_said(session: Session, change: dict):
    create_layer(session, STACK)
    session.facts.state("layer/annotation", session.facts["layer/annotation"] | change)
    with pytest.raises(SessionError, match="layer 'annotation' is not understood.*update this one"):
        open_layer(session)


def test_classes_that_are_not_understood_are_said(session: Session):
    session.record("Classes", docs={classes_key(): {"first": {}}})
    with pytest.raises(SessionError, match="classes of layer 'annotation'.*not understood"):
        classes_of(session)
