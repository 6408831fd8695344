"""What a stored model is applied to, and what its classes look like."""

from __future__ import annotations

from typing import Any

from napari_medseg import tools
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError
from napari_medseg.core.job import Job
from napari_medseg.nn import store
from napari_medseg.widgets import _layers

TOOL = "apply"


def job_of(viewer: Any, source: Any, model: str, device: str, shape: tuple[int, ...] | None = None) -> Job:
    """Segment the image that a layer shows.

    Parameters
    ----------
    model
        Name of a model, or path of its file.
    shape
        Of the level to segment; None: the finest one that can be painted.
    """
    if source is None:
        raise InputError("There is no image. Open an image, then choose it above.")
    image = _layers.image_of(source)
    image = _layers.paintable_level(image) if shape is None else _layers.fitting_level(image, shape)
    params = tools.load(TOOL).Params.from_user({"model": model, "device": device})
    return Job({"image": image}, params, _layers.view_of(viewer, source, image))


def classes_of(card: store.Card) -> tuple[SegmentationClass, ...]:
    """The classes that a model was taught; none where it does not know all their colours."""
    rows = tuple(SegmentationClass(label, name, card.colours.get(label, "")) for label, name in card.classes.items())
    return rows if all(row.colour for row in rows) else ()
