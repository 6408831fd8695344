"""The last predictions of each image: kept in the session's folder, and shown again when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject

from napari_medseg.core.annotation import ACCEPTED, layer_names
from napari_medseg.core.classes import SegmentationClass, from_json
from napari_medseg.core.errors import InputError, MedsegError, RunCancelled
from napari_medseg.core.image import Image
from napari_medseg.core.session import KeptModel, Session
from napari_medseg.core.session.models import key_of
from napari_medseg.io import predictions
from napari_medseg.widgets import _layers
from napari_medseg.widgets._background import Background
from napari_medseg.widgets._classes import colour_map
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._pairs import images_of
from napari_medseg.widgets._results import (
    PREDICTION,
    ROLES,
    TAUGHT,
    ResultLayers,
    insert_above,
    insert_at,
    result_layer,
)

if TYPE_CHECKING:
    from napari_medseg.widgets._sessions import SessionService

FINISH_S = 5.0
"""How long a session that closes waits for a prediction that is being written; it can be made again."""

Shown = list[tuple[predictions.Stored, np.ndarray]]
Json = dict[str, Any]
Ask = Callable[[], bool]


class Predictions(QObject):
    """Writes predictions to the open session of a viewer, and shows those of a session that was opened.

    Strategy
    --------
    A thread copies the layers' pixels, throws the copy away where the next run has begun to draw meanwhile, and
    writes. A newer prediction of the same layer stops the writing of an older one; what is on the disk is always whole.
    """

    def __init__(self, sessions: SessionService, viewer: Any) -> None:
        super().__init__(sessions)
        self._sessions, self._viewer = sessions, viewer
        self._background = Background(self)
        self._newest: dict[str, Event] = {}
        self._own: WeakSet[Layer] = WeakSet()
        self._has_warned = False
        sessions.opened.connect(self._read)
        sessions.closing.connect(self._finish)

    def keep(self, results: ResultLayers) -> None:
        """Write the results of a run that has ended to the session soon, if their image is one of the session's."""
        session, source, layers = self._sessions.session, results.source, results.shown()
        name = self._layer_on(session, source) if session is not None and source is not None else None
        if session is None or session.read_only or source is None or name is None or not layers:
            return
        self._stop(name)
        stop = self._newest[name] = Event()
        drawn = results.drawn
        images, abouts = [_on(source, layer) for layer in layers], [dict(each.metadata[RESULT_KEY]) for each in layers]
        work = partial(_write, session, name, images, abouts, lambda: results.drawn != drawn, stop.is_set)
        self._own.update(layers)
        self._background.run(work, lambda _nothing: self._sessions.changed.emit(), self._warn)

    def take_away(self) -> None:
        """Remove the layers that show what the session keeps."""
        for layer in [layer for layer in self._own if layer in self._viewer.layers]:
            self._viewer.layers.remove(layer)

    # ------------------------------------------------------------------ opening and closing

    def _read(self) -> None:
        session = self._sessions.session
        self._has_warned = False
        if session is not None and session.predictions.is_dir():
            read = partial(_read_all, session)
            self._background.run(read, partial(self._show, session), self._warn)

    def _show(self, session: Session, found: Shown) -> None:
        if self._sessions.session is not session:
            return
        belonging = [each for each in found if _belongs(session, each[0].about)]
        for stored, pixels in sorted(belonging, key=lambda each: ROLES.index(each[0].about["role"])):
            self._add(stored, pixels)
        self._sessions.changed.emit()

    def _add(self, stored: predictions.Stored, pixels: np.ndarray) -> None:
        about, image = dict(stored.about), stored.image
        source = self._source_of(about)
        if source is not None:
            about |= {"image": source.name, "image_id": str(source.unique_id)}
            image = _layers.fitting_level(_layers.image_of(source), pixels.shape)
        if image.shape() != pixels.shape or self._is_shown(about):
            return
        layer = result_layer(about["role"], image, source, about, colour_map(classes_of(about)), pixels)
        if source is not None:
            insert_above(self._viewer, source, layer)
        else:
            paint = self._sessions.layer(about["layer"])
            layers: Any = self._viewer.layers
            insert_at(self._viewer, layers.index(paint) if paint in layers else len(layers), layer)
        if about["role"] == PREDICTION and source is not None and accepted_on(self._viewer, source):
            layer.visible = False
        self._own.add(layer)

    def _is_shown(self, about: Mapping[str, Any]) -> bool:
        """Whether a run was quicker."""
        key = ("role", "image_id")
        return any(
            [each.metadata.get(RESULT_KEY, {}).get(part) for part in key] == [about.get(part) for part in key]
            for each in self._viewer.layers
        )

    def _finish(self) -> None:
        if not self._background.finish(FINISH_S):
            for name in self._newest:
                self._stop(name)
            self._background.finish(FINISH_S)

    # ------------------------------------------------------------------ inside

    def _stop(self, name: str) -> None:
        if name in self._newest:
            self._newest[name].set()

    def _layer_on(self, session: Session, source: Layer) -> str | None:
        """The layer of the session that lies on an image."""
        images = self._images()
        own = ((name, self._sessions.layer(name)) for name in layer_names(session))
        return next((name for name, layer in own if layer is not None and source in images_of(layer, images)), None)

    def _source_of(self, about: Mapping[str, Any]) -> Layer | None:
        images, layer = self._images(), self._sessions.layer(about["layer"])
        own = images_of(layer, images) if layer is not None else []
        return next(iter([*own, *(image for image in images if image.name == about.get("image"))]), None)

    def _images(self) -> list[Layer]:
        return [layer for layer in self._viewer.layers if _layers.is_image(layer)]

    def _warn(self, error: MedsegError) -> None:
        if not isinstance(error, RunCancelled) and not self._has_warned:
            self._has_warned = True
            show_warning(f"The prediction is not kept in the session; it can be made again. {error}")


def accepted_on(viewer: Any, source: Layer) -> list[Any]:
    """The layers with what was accepted, and corrected since, of an image; its prediction is not shown beside it."""
    images = [layer for layer in viewer.layers if _layers.is_image(layer)]
    annotations = [layer for layer in viewer.layers if layer.metadata.get(RESULT_KEY, {}).get("role") == ACCEPTED]
    return [layer for layer in annotations if source in images_of(layer, images) and layer.pyramid.max_label]


def classes_of(about: Mapping[str, Any]) -> tuple[SegmentationClass, ...]:
    """Names and colours of the classes in a result, from what it says of itself."""
    said = {**about.get("parameters", {}), **about}
    found: dict[str, dict[str, str]] = {}
    for key, part in (("classes", "name"), ("colours", "colour")):
        for label, text in said.get(key, {}).items():
            found.setdefault(str(label), {})[part] = text
    return from_json(found)


def _on(source: Layer, layer: Layer) -> Image:
    """A result as an image; its pixels are those of the layer, which the next run draws into."""
    role = layer.metadata[RESULT_KEY]["role"]
    image = _layers.fitting_level(_layers.image_of(source), tuple(layer.data.shape))
    derived = image.derive(layer.data, "labels" if role == PREDICTION else "probability", f"{source.name} {role}")
    return replace(derived, classes=classes_of(layer.metadata[RESULT_KEY]))


def _write(session: Session, name: str, images: list[Image], abouts: list[Json], is_stale: Ask, stop: Ask) -> None:
    """Copy, and where nothing was drawn meanwhile, write."""
    copies = [_copied(image) for image in images]
    if is_stale():
        return
    for image, about in zip(copies, abouts, strict=True):
        with session.files:
            predictions.write(session.predictions, name, about["role"], image, about, stop)


def _copied(image: Image) -> Image:
    """Half precision does for a map of values from 0 to 1, and halves what the disk has to take."""
    pixels = np.array(image.levels[0], np.float16 if image.kind == "probability" else None)
    return replace(image, levels=(pixels,))


def _read_all(session: Session) -> Shown:
    found: Shown = []
    for stored in predictions.read(session.predictions):
        # Another viewer may be writing the next one.
        with suppress(InputError):
            pixels = stored.pixels()
            found.append((stored, pixels.astype(np.float32) if pixels.dtype == np.float16 else pixels))
    return found


def _belongs(session: Session, about: Mapping[str, Any]) -> bool:
    """Whether the session is at the model that made a prediction, which other models than its own always are."""
    if about.get("role") not in ROLES:
        return False
    kept = KeptModel.of_json(session.docs.get(key_of(about[TAUGHT]))) if TAUGHT in about else None
    return TAUGHT not in about or (kept is not None and kept.digest == about.get("digest"))
