"""The layers of labels in a session: what each is, so that it can be opened from the session alone.

A layer's shape, type and geometry are facts of the session and no part of its history: whoever undoes everything
still has a layer to paint on. Its pixels are history, and so are the names and colours of its classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_medseg.core import axes as axes_
from napari_medseg.core import classes
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError, SessionError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.labelpyramid import LabelPyramid, LevelView, Tiles
from napari_medseg.core.session import ANNOTATION, Session

ACCEPTED = "accepted"
"""The layer that holds a prediction which the user has accepted, and corrected since."""

SHOWN = "shown/"
"""Fact of a session: under which title, and over which image, a viewer shows a layer."""

_FACT = "layer/"
_MATRICES = ("rotate", "shear", "affine")
TILE_PX = 512


@dataclass(frozen=True)
class Annotation:
    """A layer of labels.

    Parameters
    ----------
    pyramid
        Its labels. Edits reach the disk when they are recorded in the session, under the layer's name.
    image
        The same as an image with its geometry, all levels, read when they are indexed.
    notes
        What was found damaged and was mended on opening, and where, in words.
    is_shown_only
        Whether its labels are in part in memory alone and edits of them would not be kept.
    """

    name: str
    pyramid: LabelPyramid
    image: Image
    notes: tuple[str, ...] = ()
    is_shown_only: bool = False


def layer_names(session: Session) -> list[str]:
    """The layers that a session says it has."""
    return [key.removeprefix(_FACT) for key in session.facts if key.startswith(_FACT)]


def titles(session: Session) -> dict[str, str]:
    """What a viewer calls each layer; its name where it was never shown."""
    shown = {name: session.facts.get(SHOWN + name, {}) for name in layer_names(session)}
    return {name: str(facts.get("name", name)) for name, facts in shown.items()}


def create_layer(
    session: Session,
    image: Image,
    name: str = ANNOTATION,
    dtype: np.typing.DTypeLike = np.uint16,
    tile_px: int = TILE_PX,
) -> Annotation:
    """Make an empty layer of labels on the pixels of an image.

    Tiles that the session holds under this name already, because the fact was lost with a damaged file, are shown
    again where they fit.
    """
    if name in layer_names(session):
        raise InputError(f"The session {session.folder.name} has a layer {name!r} already; open it, or choose a name.")
    described = {
        "shape": list(image.shape()),
        "dtype": np.dtype(dtype).newbyteorder("=").name,
        "axes": image.spatial_axes,
        "tile_px": tile_px,
        "geometry": _geometry_json(image.geometry),
    }
    made = _layer(session, name, described)
    session.facts.state(_FACT + name, described)
    return made


def open_layer(session: Session, name: str = ANNOTATION, tiles: Tiles | None = None) -> Annotation:
    """Open a layer that was made before, as it is (see `layer_repair`); tiles of another image are refused.

    Parameters
    ----------
    tiles
        Where its labels are, if not in the session.
    """
    if name not in layer_names(session):
        known = ", ".join(map(repr, layer_names(session))) or "none"
        raise InputError(f"The session {session.folder.name} has no layer {name!r}; its layers: {known}.")
    try:
        return _layer(session, name, session.facts[_FACT + name], tiles)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SessionError(
            f"What the session {session.folder.name} says of its layer {name!r} is not understood ({error!r}). "
            "If a newer napari-medseg made it, update this one."
        ) from error


def classes_key(name: str = ANNOTATION) -> str:
    """The document of a session that holds a layer's classes, as `classes.to_json` writes them."""
    return f"classes/{name}"


def classes_of(session: Session, name: str = ANNOTATION) -> tuple[SegmentationClass, ...]:
    """Names and colours of a layer's labels; none where none were given."""
    stored = session.docs.get(classes_key(name)) or {}
    try:
        return classes.from_json(stored)
    except (TypeError, ValueError, AttributeError) as error:
        raise SessionError(
            f"The classes of layer {name!r} in {session.folder.name} are not understood ({error!r}). "
            "If a newer napari-medseg made them, update this one."
        ) from error


def labels_of(session: Session, name: str = ANNOTATION) -> Image:
    """A layer as an image of any size with its classes, to be written to a file."""
    return replace(open_layer(session, name).image, classes=classes_of(session, name))


def _layer(session: Session, name: str, described: Mapping[str, Any], tiles: Tiles | None = None) -> Annotation:
    shape, axes = tuple(map(int, described["shape"])), axes_.check(described["axes"], len(described["shape"]))
    pyramid = LabelPyramid(shape, described["dtype"], tiles or session.tiles(name), described["tile_px"])
    levels = tuple(LevelView(pyramid, level) for level in range(len(pyramid.level_shapes)))
    return Annotation(name, pyramid, Image(levels, axes, _geometry(described["geometry"]), "labels", name))


def _geometry_json(geometry: Geometry) -> dict[str, Any]:
    found: dict[str, Any] = {
        "scale": [float(size) for size in geometry.scale],
        "units": list(geometry.units),
        "translate": [float(shift) for shift in geometry.translate],
    }
    matrices = {key: getattr(geometry, key) for key in _MATRICES}
    return found | {key: np.asarray(matrix, float).tolist() for key, matrix in matrices.items() if matrix is not None}


def _geometry(stored: Mapping[str, Any]) -> Geometry:
    matrices = {key: np.array(stored[key], float) for key in _MATRICES if key in stored}
    return Geometry(tuple(stored["scale"]), tuple(stored["units"]), tuple(stored["translate"]), **matrices)
