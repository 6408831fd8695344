"""Takes a prediction, with the user's paint on top, into an annotation that is kept and can be corrected by hand."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton, QVBoxLayout, QWidget

from napari_medseg.core.annotation import ACCEPTED, classes_key, create_layer, layer_names, open_layer
from napari_medseg.core.classes import SegmentationClass, to_json
from napari_medseg.core.edits import TileKey
from napari_medseg.core.errors import InputError, MedsegError, SessionError
from napari_medseg.core.image import Image
from napari_medseg.core.labelpyramid.replacing import encoded, replacement
from napari_medseg.core.layer_repair import open_mended
from napari_medseg.core.session import Session, Step
from napari_medseg.widgets import _layers
from napari_medseg.widgets._background import Background
from napari_medseg.widgets._classes import CLASSES_KEY
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._pairs import PLACES, images_of, made_on
from napari_medseg.widgets._predictions import accepted_on, classes_of
from napari_medseg.widgets._results import OPACITY, PREDICTION, WHOLE, ResultLayers, move_above, same_choice
from napari_medseg.widgets._session_names import SHOWN, numbered, place_of
from napari_medseg.widgets._sessions import CLOSE_S, SessionService
from napari_medseg.widgets.pyramid_labels import private_names

ACTION = "Accepted prediction"
MARK = {RESULT_KEY: {"role": ACCEPTED}}
"""Metadata of the layer: nothing is taught from it unasked."""

IDLE, BUSY = "Accept prediction", "Accepting …"
NOTHING_YET = "There is no prediction of this image yet. Press Teach, and accept it when the run has come to its end."
UNFINISHED = "The prediction is that of a run that is not at its end. Wait for the end, or press Teach; then accept it."
NO_SESSION = "A prediction is accepted into a session, and this napari cannot show its labels. Update napari-medseg."


@dataclass(frozen=True)
class _Choice:
    """What is accepted.

    Parameters
    ----------
    shown
        The prediction's layer.
    pixels
        The prediction with paint on top, shape (..., y, x).
    about
        What the prediction says of itself.
    """

    source: Layer
    shown: Layer
    image: Image
    pixels: np.ndarray
    about: Mapping[str, Any]
    classes: tuple[SegmentationClass, ...]

    def provenance(self, name: str) -> dict[str, Any]:
        """What the history says of it, and the classes that go along to the layer ``name``."""
        about = self.about
        return {
            "tool": about.get("tool", ""),
            "parameters": about.get("parameters", {"model": about.get("model", "")}),
            "model": about.get("digest", ""),
            "docs": {classes_key(name): to_json(self.classes)},
        }

    def planes(self) -> Iterator[np.ndarray]:
        """Each plane, of shape (y, x)."""
        return (self.pixels[index] for index in itertools.product(*map(range, self.pixels.shape[:-2])))


class Acceptance(QWidget):
    """A button, and what it does.

    Strategy
    --------
    A thread makes the tiles of the new labels, which takes a second for 16 megapixels. They take the place of the old
    ones in one go, between two strokes, and that is recorded as one action. Nobody waits, and what is painted on the
    annotation meanwhile is an action before it, which undo brings back.

    Parameters
    ----------
    image, scribbles
        Give the layers that are chosen.
    """

    told = Signal(str)
    refused = Signal(str)

    def __init__(
        self,
        viewer: Any,
        sessions: SessionService,
        results: ResultLayers,
        image: Callable[[], Any],
        scribbles: Callable[[], Any],
    ) -> None:
        super().__init__()
        self._viewer, self._sessions, self._results = viewer, sessions, results
        self._image, self._scribbles = image, scribbles
        self._background = Background(self)
        self._hidden: WeakKeyDictionary[Layer, str] = WeakKeyDictionary()
        self.button = QPushButton(IDLE)
        self.button.setToolTip(
            "Take the prediction, with your strokes on top, into an annotation of its own, which is kept in the "
            "session and can be corrected by hand. Accepting again replaces it; Ctrl+Z takes that back."
        )
        self.button.clicked.connect(self.accept)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button)
        sessions.closing.connect(self._finish)
        sessions.travelled.connect(self._on_travel)

    def accept(self) -> None:
        """Accept the prediction of the chosen image."""
        try:
            chosen = self._chosen()
            session = self._session(chosen)
            name = self._annotation(session, chosen) or _new_annotation(session, chosen)
            made = open_layer(session, name)
        except MedsegError as error:
            self.refused.emit(str(error))
            return
        self._show_busy(True)
        make = partial(encoded, chosen.planes(), made.pyramid.grid, made.pyramid.dtype)
        self._background.run(make, partial(self._put_when_idle, session, name, chosen), self._fail)

    def show_prediction(self, source: Layer) -> None:
        """A run on an image draws its prediction: that is shown, and not the annotation that it would be mixed with."""
        annotations = [layer for layer in accepted_on(self._viewer, source) if layer.visible]
        for annotation in annotations:
            annotation.visible = False
        for layer in self._viewer.layers:
            about = layer.metadata.get(RESULT_KEY, {})
            is_its = (about.get("role"), about.get("image_id")) == (PREDICTION, str(source.unique_id))
            if is_its and (annotations or layer in self._hidden):
                layer.visible = True
                self._hidden.pop(layer, None)

    # ------------------------------------------------------------------ what is accepted

    def _chosen(self) -> _Choice:
        source, paint = self._image(), self._scribbles()
        self._results.flush()
        layer = None if source is None else self._prediction(source, paint)
        if layer is None:
            raise InputError(NOTHING_YET)
        about = layer.metadata[RESULT_KEY]
        if not about.get(WHOLE):
            raise InputError(UNFINISHED)
        image = _layers.fitting_level(_layers.image_of(source), layer.data.shape)
        pixels = layer.data.copy()
        if paint is not None and source in images_of(paint, [source]):
            _lay_on(pixels, _layers.painted(paint))
        return _Choice(source, layer, image, pixels, about, classes_of(about))

    def _prediction(self, source: Layer, paint: Any) -> Any:
        """On the pixels of the scribbles, or else where a saved model was applied."""
        images = [] if paint is None else [_layers.image_of(paint)]
        images.append(_layers.paintable_level(_layers.image_of(source)))
        found = (self._results.find(PREDICTION, source, image.shape()) for image in images)
        return next((layer for layer in found if layer is not None), None)

    def _session(self, chosen: _Choice) -> Session:
        if private_names.missing():
            raise SessionError(NO_SESSION)
        session = self._sessions.begun(chosen.source)
        if session.read_only:
            raise SessionError(session.read_only)
        return session

    def _annotation(self, session: Session, chosen: _Choice) -> str | None:
        """The annotation of the image that an earlier Accept has made."""
        for name in layer_names(session):
            shown = session.facts.get(SHOWN + name, {})
            is_ours = shown.get("metadata") == MARK and self._lies_on(name, shown, chosen.source)
            if is_ours and open_layer(session, name).pyramid.shape == chosen.pixels.shape:
                return name
        return None

    def _lies_on(self, name: str, shown: Mapping[str, Any], source: Layer) -> bool:
        """The viewer's layer knows best: its image may have been moved since, or share its file with another one."""
        layer, images = self._sessions.layer(name), [each for each in self._viewer.layers if _layers.is_image(each)]
        own = [] if layer is None else images_of(layer, images)
        return source in own if own else _is_of(shown, source)

    # ------------------------------------------------------------------ putting it there

    def _put_when_idle(self, session: Session, name: str, chosen: _Choice, tiles: dict[TileKey, bytes]) -> None:
        self._sessions.when_idle(partial(self._put, session, name, chosen, tiles))

    def _put(self, session: Session, name: str, chosen: _Choice, tiles: dict[TileKey, bytes]) -> None:
        self._show_busy(False)
        if self._sessions.session is not session:
            return
        try:
            layer = self._layer(session, name, chosen)
            edit = replacement(layer.pyramid.grid, session.tiles(name), tiles)
            if edit is not None:
                session.record(ACTION, edit=edit, layer=name, **chosen.provenance(name))
                layer.apply(edit.changes)
                layer.metadata[CLASSES_KEY] = to_json(chosen.classes)
                self._sessions.show_classes(name, layer)
        except MedsegError as error:
            self.refused.emit(str(error))
            return
        self._hide(chosen.shown, name)
        layer.visible = True
        self._viewer.layers.selection.active = layer
        self.told.emit(f"Accepted into {layer.name!r}. Paint on it to correct it; Ctrl+Z takes it back.")

    def _layer(self, session: Session, name: str, chosen: _Choice) -> Any:
        """The layer that shows the annotation; the user may have removed it."""
        layer = self._sessions.layer(name)
        if layer is not None and layer in self._viewer.layers:
            return layer
        options = {
            "axis_labels": _layers.layer_arguments(chosen.image, chosen.source)["axis_labels"],
            "metadata": {CLASSES_KEY: to_json(chosen.classes), **made_on(chosen.source), **MARK},
            "opacity": OPACITY,
        }
        with same_choice(self._viewer):
            layer = self._sessions.show(session, open_mended(session, name), options)
            move_above(self._viewer, chosen.source, layer)
        return layer

    def _hide(self, prediction: Layer, name: str) -> None:
        """Else what is corrected in the annotation would still show the prediction's colour."""
        prediction.visible = False
        self._hidden[prediction] = name

    def _show(self, predictions: Iterable[Layer]) -> None:
        for layer in list(predictions):
            layer.visible = True
            del self._hidden[layer]

    def _on_travel(self, step: Step) -> None:
        if ACTION in step.undone:
            self._show(layer for layer, name in self._hidden.items() if name in step.edits)

    def _finish(self) -> None:
        self._background.finish(CLOSE_S)

    def _fail(self, error: MedsegError) -> None:
        self._show_busy(False)
        self.refused.emit(str(error))

    def _show_busy(self, busy: bool) -> None:
        self.button.setEnabled(not busy)
        self.button.setText(BUSY if busy else IDLE)


def _lay_on(pixels: np.ndarray, paint: Image) -> None:
    """What the user has painted has the last word."""
    if paint.shape() == pixels.shape:
        labels = np.asarray(paint.levels[0])
        np.copyto(pixels, labels, where=labels > 0, casting="unsafe")


def _is_of(shown: Mapping[str, Any], source: Layer) -> bool:
    """Whether a layer lies on an image; the name tells only where one of both comes from no file and no sample."""
    place = place_of(source)
    if any(key in place for key in PLACES) and any(key in shown for key in PLACES):
        return any(key in place and shown.get(key) == place[key] for key in PLACES)
    return shown.get("image") == source.name


def _new_annotation(session: Session, chosen: _Choice) -> str:
    name = next(name for name in numbered(ACCEPTED) if name not in layer_names(session))
    create_layer(session, chosen.image, name, np.uint8)
    title = {"name": f"{chosen.source.name} annotation", "image": chosen.source.name}
    session.facts.state(SHOWN + name, {**title, **place_of(chosen.source), "metadata": MARK, "opacity": OPACITY})
    return name
