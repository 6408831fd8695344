"""What a session's history calls things, and where the viewer finds the image again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from napari.errors import MultipleReaderError, NoAvailableReaderError, ReaderPluginError
from napari.layers import Layer

from napari_medseg.core.annotation import SHOWN, classes_key, layer_names
from napari_medseg.core.classes import SegmentationClass, to_json
from napari_medseg.core.errors import InputError
from napari_medseg.core.session import ImageReference, Session
from napari_medseg.io import session_folders

Classes = tuple[SegmentationClass, ...]

_READING = (MultipleReaderError, NoAvailableReaderError, ReaderPluginError, OSError, ValueError, KeyError)
"""What napari raises where it cannot open a file or a sample."""


def numbered(name: str) -> Iterator[str]:
    """The name, then "name 2", "name 3" and so on."""
    yield name
    yield from (f"{name} {number}" for number in itertools.count(2))


def stroke_name(title: str, classes: Classes) -> str:
    """The name of a stroke with its class for the number of the label."""
    for row in classes:
        label = f"label {row.label}"
        if title.endswith(label):
            return title[: -len(label)] + row.name
    return title


def class_change(before: Classes, after: Classes) -> str:
    """What was done to the classes, in a few words."""
    old, new = ({row.label: row for row in rows} for rows in (before, after))
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    changed = [label for label in old.keys() & new.keys() if old[label] != new[label]]
    if [len(added), len(removed), len(changed)] == [1, 0, 0]:
        return f"Added {new[added[0]].name}"
    if [len(added), len(removed), len(changed)] == [0, 1, 0]:
        return f"Removed {old[removed[0]].name}"
    if [len(added), len(removed), len(changed)] == [0, 0, 1]:
        was, now = old[changed[0]], new[changed[0]]
        return f"Colour of {now.name}" if was.name == now.name else f"Renamed {was.name} to {now.name}"
    return "Changed classes"


def place_of(layer: Layer) -> dict[str, Any]:
    """Where a layer's data came from, as plain values: path and plugin, or the sample."""
    source = layer.source
    known = {"path": source.path, "plugin": source.reader_plugin, "sample": source.sample}
    if source.path is not None:
        known["path"] = str(Path(source.path).resolve())
    return {key: list(value) if isinstance(value, tuple) else value for key, value in known.items() if value}


def show_image(viewer: Any, path: Path | str | None, place: Mapping[str, Any]) -> None:
    """Open an image as it was opened before, unless the viewer shows it already."""
    sample, plugin = place.get("sample"), place.get("plugin")
    known = {"sample": sample} if sample else {"path": str(Path(path).resolve())} if path else {}
    here = [place_of(layer) for layer in viewer.layers]
    if not known or any(each.get(key) == value for each in here for key, value in known.items()):
        return
    try:
        if sample:
            viewer.open_sample(*sample)
        elif path is not None and Path(path).exists():
            viewer.open(str(path), plugin=plugin)
    except _READING as error:
        raise InputError(
            f"The image {path or sample} could not be opened ({error}). Open it yourself; the labels lie on it."
        ) from error


def layers_on_image(session: Session) -> set[str]:
    """The layers of a session that lie on the image that it knows by content; others lie on images of their own."""
    if session.image is None:
        return set()
    names, known = layer_names(session), session.image.absolute
    own = {name for name in names if session.facts.get(SHOWN + name, {}).get("path") == known}
    return own or set(names if len(names) == 1 else ())


def move_image(session: Session, path: Path) -> None:
    """Let a session, and its layers on the image, belong to the image at another place."""
    on_image = layers_on_image(session)
    session.set_image(path)
    for name in on_image:
        shown = session.facts.get(SHOWN + name, {})
        session.facts.state(SHOWN + name, {**shown, "path": str(path.resolve())})


def create_session(source: Layer) -> Session:
    """A session for an image, where those lie that nobody has named; it knows the image where that is a file."""
    folder = session_folders.new_folder(source.name, datetime.now())
    path = place_of(source).get("path")
    return Session.create(folder, ImageReference.of(Path(path), folder) if path and Path(path).exists() else None)


def unsaved_classes(session: Session, name: str, classes: Classes) -> dict[str, Any]:
    """The document of a layer's classes, where the session holds another or none."""
    key, stored = classes_key(name), to_json(classes)
    return {} if session.docs.get(key) == stored else {key: stored}
