"""The session of a viewer: puts every stroke on disk, and shows what undo, redo and jumps bring."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import QObject, QTimer, Signal

from napari_medseg.core.annotation import SHOWN, Annotation, classes_key, classes_of, create_layer, layer_names
from napari_medseg.core.classes import SegmentationClass, from_json
from napari_medseg.core.edits import Edit
from napari_medseg.core.errors import MedsegError, SessionError, StorageError
from napari_medseg.core.labelpyramid import LabelPyramid
from napari_medseg.core.layer_repair import open_mended
from napari_medseg.core.session import ANNOTATION, Found, Session, Step
from napari_medseg.io import session_folders
from napari_medseg.widgets import _layers, _session_names
from napari_medseg.widgets._classes import CLASSES_KEY, DEFAULTS, colour_map, from_metadata, to_metadata
from napari_medseg.widgets._closing import Closing
from napari_medseg.widgets._paint import MOST_LABELS, with_labels
from napari_medseg.widgets._pairs import made_at, made_on
from napari_medseg.widgets._predictions import Predictions
from napari_medseg.widgets._session_errors import nothing, noticed, shown_errors
from napari_medseg.widgets.pyramid_labels import add_labels, follow, private_names

IDLE_MS = 50
"""Pause before it is looked again whether a stroke has ended."""

CLOSE_S = 5.0
"""How long a closing viewer waits for a slow disk."""


class SessionService(QObject):
    """Owns the open session of one viewer, and the layers that show it.

    A session begins by itself with the first annotation and is kept in the user's data folder until it gets a name.
    All layers of a session share one undo.
    """

    changed = Signal()
    """A session was opened or closed, or its history, its state on disk or what is said of it changed."""

    travelled = Signal(object)
    """A `Step` of undo, redo or a jump, when the layers show it."""

    opened = Signal()
    """A session was opened, and its layers are shown."""

    closing = Signal()
    """The session is about to close: what is still to be written to it must be now."""

    _wrote = Signal(object)

    def __init__(self, viewer: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.session: Session | None = None
        self.notices: list[str] = []
        self._viewer = viewer
        self._layers: weakref.WeakValueDictionary[str, LabelsLayer] = weakref.WeakValueDictionary()
        self._pyramids: weakref.WeakValueDictionary[str, LabelPyramid] = weakref.WeakValueDictionary()
        self._classes: dict[str, tuple[SegmentationClass, ...]] = {}
        self.is_dismissed = False
        self._wrote.connect(self._on_disk)
        self.predictions = Predictions(self, viewer)
        self._stop_following = nothing if private_names.missing() else follow(viewer.layers)

    # ------------------------------------------------------------------ what is there

    @property
    def trouble(self) -> str:
        """Why nothing can be written at the moment; empty where all is well."""
        return (self.session.trouble or "") if self.session is not None else ""

    @property
    def is_automatic(self) -> bool:
        """Whether nobody has named the session yet."""
        return self.session is not None and session_folders.is_automatic(self.session.folder)

    def layer(self, name: str) -> Any:
        """The layer of the viewer that shows a layer of the session; None where it shows none."""
        return self._layers.get(name)

    def name_of(self, layer: Any) -> str | None:
        """What the session calls a layer; None for one that is not its own."""
        return next((name for name, own in self._layers.items() if own is layer), None)

    def last_work(self) -> session_folders.Work | None:
        """The last work that nobody has named, to go on with; None while a session is open."""
        return None if self.is_dismissed or self.session is not None else session_folders.last_work()

    def dismiss(self) -> None:
        """Offer the last work no more in this viewer; it stays where it is."""
        self.is_dismissed = True
        self.changed.emit()

    # ------------------------------------------------------------------ beginning, opening, closing

    def new_layer(self, source: ImageLayer, classes: tuple[SegmentationClass, ...]) -> LabelsLayer:
        """Add an empty layer for annotations on an image; a session begins where there is none.

        It is an ordinary layer, of which nothing is kept, where this napari or the disk allows no other.
        """
        if absent := private_names.missing():
            show_warning(private_names.sentence(absent, kept=False))
            return self._add_plain(source, classes)
        try:
            session = self.begun(source)
        except StorageError as error:
            show_warning(f"What you paint is not kept on disk. {error}")
            return self._add_plain(source, classes)
        image = _layers.paintable_level(_layers.image_of(source))
        name = next(name for name in _session_names.numbered(ANNOTATION) if name not in layer_names(session))
        made = create_layer(session, image, name, np.uint8)
        shown = {"name": f"{source.name} scribbles", "classes": to_metadata(classes), **_session_names.place_of(source)}
        session.facts.state(SHOWN + name, shown)
        labels = _layers.layer_arguments(image, source)["axis_labels"]
        metadata = {CLASSES_KEY: to_metadata(classes), **made_on(source)}
        return self.show(session, made, {"axis_labels": labels, "metadata": metadata})

    def begun(self, source: ImageLayer) -> Session:
        """The open session; one begins on an image where there is none. StorageError where it cannot be made."""
        return self.session or self._begin(source)

    def open(self, folder: Path | str) -> None:
        """Open a session in place of the one that is open, and show its image and layers."""
        folder = Path(folder)
        if self.session is not None and folder.resolve() == self.session.folder.resolve():
            self._show_missing(self.session, self.session.find_image())
            show_info(f"The session {folder.name} is open already.")
            return
        session = Session.open(folder)
        try:
            self.close()
        except MedsegError:
            session.close()
            raise
        self._take(session)
        found = session.find_image()
        self.notices = [session.read_only, *session.recovered, found.sentence if found else ""]
        self._show_missing(session, found)
        self.notices = list(filter(None, self.notices))
        if self.notices:
            show_warning("\n".join(self.notices))
        self.opened.emit()
        self.changed.emit()

    def close(self) -> None:
        """Close the session and take its layers away; one that was begun by itself and never used goes.

        StorageError where the disk does not take what waits; the session then stays open.
        """
        if self.session is None:
            return
        self._end(self.session)
        for layer in [layer for layer in self._layers.values() if layer in self._viewer.layers]:
            self._viewer.layers.remove(layer)
        self._layers.clear()
        self._pyramids.clear()
        self.predictions.take_away()
        self.changed.emit()

    def save_as(self, folder: Path | str) -> None:
        """Give the session a name and a place; nothing is left where it was."""
        session = self._require()
        folder = Path(folder)
        if folder.suffix != session_folders.SUFFIX:
            folder = folder.with_name(folder.name + session_folders.SUFFIX)
        found = session.find_image()
        session.move_to(folder)
        if found is not None and found.path is not None and found.state in ("same", "moved"):
            _session_names.move_image(session, found.path)
        self.notices = []
        self.changed.emit()

    def compact(self) -> int:
        """Drop the history; return the bytes that the disk gets back."""
        freed = self._require().compact()
        self.notices = []
        self.changed.emit()
        return freed

    def leave(self, _window: Any = None) -> None:
        """Close the session, the viewer being about to go; a disk that fails is said."""
        self._stop_following()
        self._stop_following = nothing
        if self.session is not None:
            with shown_errors():
                self._end(self.session)

    def when_idle(self, action: Callable[[], object]) -> None:
        """Call ``action`` at once or, while a stroke or another edit of the session's labels is open, at its end."""
        if self._is_busy:
            QTimer.singleShot(IDLE_MS, partial(self.when_idle, action))
        else:
            action()

    # ------------------------------------------------------------------ history

    def undo(self) -> None:
        """Take the newest action of the session back, whichever layer it was in."""
        self._travel(lambda session: session.undo())

    def redo(self) -> None:
        """Do again what was undone last."""
        self._travel(lambda session: session.redo())

    def go_to(self, action: int) -> None:
        """Go to the state after an action."""
        self._travel(lambda session: session.go_to(action) if action != session.head else None)

    def record_classes(self, layer: Any, classes: tuple[SegmentationClass, ...]) -> None:
        """Record names and colours that the user has changed; for a layer that is no session's nothing happens."""
        name, session = self.name_of(layer), self.session
        if name is None or session is None or session.read_only or classes == self._classes[name]:
            return
        before, self._classes[name] = self._classes[name], classes
        with shown_errors():
            docs = _session_names.unsaved_classes(session, name, classes)
            session.record(_session_names.class_change(before, classes), "classes", docs=docs)

    # ------------------------------------------------------------------ inside: sessions

    def _begin(self, source: ImageLayer) -> Session:
        session = _session_names.create_session(source)
        self.notices = []
        self._take(session)
        return session

    def _take(self, session: Session) -> None:
        self.session = session
        # They come from the thread that writes; a signal brings them to the viewer's.
        session.on_trouble = self._wrote.emit
        session.on_change = self.changed.emit

    def _end(self, session: Session) -> None:
        self.closing.emit()
        unused = session_folders.is_automatic(session.folder) and not session.read_only and not session.history(1)
        session.on_trouble, session.on_change = nothing, nothing
        try:
            session.close(CLOSE_S)
        except MedsegError:
            self._take(session)
            raise
        self.session, self.notices = None, []
        if unused:
            session_folders.discard(session.folder)

    def _require(self) -> Session:
        if self.session is None:
            raise SessionError("No session is open. Open one, or press New in the Teach panel.")
        return self.session

    def _on_disk(self, trouble: str | None) -> None:
        if trouble is None:
            show_info("Writing to the disk works again; nothing was lost.")
        else:
            show_error(f"{trouble} What you do meanwhile waits in memory and is written as soon as that is possible.")
        self.changed.emit()

    # ------------------------------------------------------------------ inside: layers

    def _add_plain(self, source: ImageLayer, classes: tuple[SegmentationClass, ...]) -> LabelsLayer:
        data, arguments = _layers.empty_scribbles(source)
        metadata = {CLASSES_KEY: to_metadata(classes), **made_on(source)}
        return self._viewer.add_labels(data, metadata=metadata, **arguments)

    def _show_missing(self, session: Session, found: Found | None) -> None:
        """Show the layers of a session that the viewer does not show: none yet, or the user has removed them."""
        on_image = _session_names.layers_on_image(session)
        for name in layer_names(session):
            if self._layers.get(name) not in self._viewer.layers:
                with noticed(self.notices):
                    self._reopen(session, name, found.path if found and name in on_image else None)

    def _shown(self, name: str) -> dict[str, Any]:
        return {} if self.session is None else self.session.facts.get(SHOWN + name, {})

    def _reopen(self, session: Session, name: str, path: Path | None) -> None:
        shown = self._shown(name)
        with noticed(self.notices):
            _session_names.show_image(self._viewer, path or shown.get("path"), shown)
        made = open_mended(session, name)
        self.notices += made.notes
        classes = classes_of(session, name) or from_json(shown.get("classes", {})) or DEFAULTS
        metadata = {CLASSES_KEY: to_metadata(classes), **made_at(shown, path), **shown.get("metadata", {})}
        looks = {"opacity": shown["opacity"]} if "opacity" in shown else {}
        self.show(session, made, {"metadata": metadata, **looks})

    def show(self, session: Session, made: Annotation, options: dict[str, Any]) -> LabelsLayer:
        """Add a layer of the viewer for a layer of the session."""
        name = made.name
        layer = add_labels(
            self._viewer,
            made.pyramid,
            **{**_layers.layer_arguments(made.image), **options},
            name=self._shown(name).get("name", name),
            may_edit=not (session.read_only or made.is_shown_only),
            on_edit=partial(self._on_edit, session, name),
            on_draft=partial(self._on_draft, session, name),
            undo=self.undo,
            redo=self.redo,
        )
        self._layers[name] = layer
        self._pyramids[name] = made.pyramid
        self.show_classes(name, layer)
        return layer

    def show_classes(self, name: str, layer: LabelsLayer) -> None:
        """Colour a layer as the classes in its metadata say."""
        self._classes[name] = from_metadata(layer.metadata)
        layer.colormap = colour_map(self._classes[name])

    def _on_edit(self, session: Session, name: str, edit: Edit, title: str) -> None:
        """A stroke has ended; classes that the session does not know yet go along with it."""
        layer = self._layers.get(name)
        tool = ""
        if layer is not None:
            tool = str(layer.mode)
            if tool != "erase":
                self._know_label(name, layer)
        title = _session_names.stroke_name(title, self._classes[name])
        with shown_errors():
            docs = _session_names.unsaved_classes(session, name, self._classes[name])
            session.record(title, tool, edit=edit, layer=name, docs=docs)

    def _know_label(self, name: str, layer: LabelsLayer) -> None:
        """A label that is painted for the first time becomes a class, within the same action."""
        label = int(layer.selected_label)
        if 0 < label <= MOST_LABELS and label not in {row.label for row in self._classes[name]}:
            layer.metadata[CLASSES_KEY] = to_metadata(with_labels(self._classes[name], [label]))
            self.show_classes(name, layer)

    def _on_draft(self, session: Session, name: str, draft: Edit | None) -> None:
        with shown_errors():
            if draft is None or session.draft_due:
                session.draft(draft, "stroke", name)

    def _travel(self, go: Callable[[Session], Step | None]) -> None:
        session = self.session
        if session is None or self._is_busy:
            return
        with shown_errors():
            # Whoever hears of the change must find the layers where the history is.
            session.on_change = nothing
            try:
                step = go(session)
            finally:
                session.on_change = self.changed.emit
            if step is not None:
                self._follow(step)
                self.changed.emit()

    @property
    def _is_busy(self) -> bool:
        """Whether a stroke is under way, or a model writes into the labels."""
        return any(pyramid.is_open for pyramid in self._pyramids.values())

    def _follow(self, step: Step) -> None:
        for name, edit in step.edits.items():
            layer: Any = self._layers.get(name)
            if layer is not None:
                layer.apply(edit.changes)
        for name, layer in self._layers.items():
            change, shown = step.docs.get(classes_key(name)), self._shown(name)
            after = None if change is None else change.after or shown.get("classes")
            if after:
                layer.metadata[CLASSES_KEY] = after
                self.show_classes(name, layer)
        self.travelled.emit(step)


def sessions_of(viewer: Any) -> SessionService:
    """The sessions of a viewer: a child of its window, made when it is first asked for."""
    # Opened by name, napari hands over a proxy that hides the window.
    viewer = getattr(viewer, "__wrapped__", viewer)
    window = viewer.window._qt_window
    service = window.findChild(SessionService)
    if service is None:
        service = SessionService(viewer, window)
        Closing(service, window)
    return service
