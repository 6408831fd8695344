"""Which scribbles were made on which image: what the three layer choosers of a panel show stays together.

Strategy
--------
A scribble layer keeps in its metadata the images that it is meant for: at first the one that it was made on. Choosing
an image brings its scribbles, or none; choosing scribbles brings their image. So strokes of one image are never taught
on another of the same size by accident. Who wants just that, on an image without scribbles of its own, chooses the
image once more when the panel has left it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from napari.layers import Layer
from qtpy.QtCore import QObject, Signal

from napari_medseg.widgets._classes import is_ours
from napari_medseg.widgets._layers import LayerChooser, is_image, is_paint, is_patches
from napari_medseg.widgets._session_names import place_of

IMAGES_KEY = "napari_medseg_images"
"""Key in a scribble layer's metadata: the images that it is meant for, the one that it was made on first."""

PLACES = ("sample", "path")


def made_on(image: Layer) -> dict[str, Any]:
    """Metadata of a layer that is made on an open image."""
    return {IMAGES_KEY: [_record(image)]}


def made_at(place: Mapping[str, Any], path: Path | None = None) -> dict[str, Any]:
    """Metadata of a layer whose image came from ``place``, and lies at ``path`` now; empty where neither is known."""
    known = {key: place[key] for key in PLACES if key in place} | ({"path": str(path.resolve())} if path else {})
    return {IMAGES_KEY: [known]} if known else {}


def note(scribbles: Layer, image: Layer) -> None:
    """Remember that the strokes are meant for this open image too."""
    records = scribbles.metadata.get(IMAGES_KEY, [])
    if _id(image) not in [record.get("id") for record in records]:
        scribbles.metadata[IMAGES_KEY] = [*records, _record(image)]


def images_of(scribbles: Layer, images: list[Layer]) -> list[Layer]:
    """Those of the open images that the strokes are meant for."""
    records = scribbles.metadata.get(IMAGES_KEY, [])
    exactly = [image for record in records for image in images if record.get("id") == _id(image)]
    return exactly or [image for record in records for image in images if _same_place(record, image)]


def is_of_another(scribbles: Layer, image: Layer, images: list[Layer]) -> bool:
    """Whether the strokes are known to be meant for other images than this one."""
    own = images_of(scribbles, images)
    # An image that was open here and is closed now is another one; a place that nobody has opened may be this one.
    closed = any("id" in record for record in scribbles.metadata.get(IMAGES_KEY, []))
    return image not in own if own else closed


def _record(image: Layer) -> dict[str, Any]:
    place = place_of(image)
    return {"id": _id(image), **{key: place[key] for key in PLACES if key in place}}


def _same_place(record: Mapping[str, Any], image: Layer) -> bool:
    place = place_of(image)
    return any(key in record and place.get(key) == record[key] for key in PLACES)


def _id(layer: Layer) -> str:
    return str(layer.unique_id)


class LayerChoosers(QObject):
    """Choosers of an image, of the scribbles on it, and of dense patches.

    Parameters
    ----------
    layers
        The viewer's layer list.

    Attributes
    ----------
    told
        What was chosen besides, and why; empty where a choice brought nothing else.
    """

    told = Signal(str)

    def __init__(self, layers: Any, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._layers = layers
        self._aside: WeakSet[Layer] = WeakSet()
        self._last: WeakValueDictionary[str, Layer] = WeakValueDictionary()
        self._patches: WeakValueDictionary[str, Layer] = WeakValueDictionary()
        self._left: tuple[Layer, Layer] | None = None
        self.image = LayerChooser(layers, is_image, "open an image")
        self.scribbles = LayerChooser(layers, is_paint, "press New", prefers=self._suits)
        self.dense = LayerChooser(layers, is_patches, "none", optional=True)
        self._shown = self.image.value()
        self.image.valueChanged.connect(self._on_image)
        self.scribbles.valueChanged.connect(self._on_scribbles)
        self._on_scribbles(self.scribbles.value())

    def used(self) -> None:
        """The scribbles are painted or taught: from now on they belong to the image."""
        image, scribbles = self.image.value(), self.scribbles.value()
        self._left = None
        if image is not None and scribbles is not None:
            note(scribbles, image)

    def _suits(self, layer: Layer) -> bool:
        """Whether scribbles may be chosen without the user's doing."""
        return is_ours(layer) and layer not in self._aside

    def _images(self) -> list[Layer]:
        return [layer for layer in self._layers if is_image(layer)]

    def _on_image(self, image: Layer | None) -> None:
        before, self._shown = self._shown, image
        # Where the image before was closed, nobody has chosen this one.
        left, self._left = (self._left if before in self._layers else None), None
        scribbles, images = self.scribbles.value(), self._images()
        self._aside.clear()
        if image is None:
            return
        self._aside.update(each for each in self._layers if is_paint(each) and is_of_another(each, image, images))
        if scribbles is not None and left == (scribbles, image):
            note(scribbles, image)
            self._settle(scribbles, image)
            self.told.emit(f"{image.name!r} is taught with {scribbles.name!r}, which were made on another image.")
            return
        self._change_patches(before, image)
        if scribbles is None or image not in images_of(scribbles, images):
            self._bring_scribbles(image, scribbles)

    def _bring_scribbles(self, image: Layer, before: Layer | None) -> None:
        """Choose the scribbles of an image; those of another one are left."""
        own = self._own(image)
        if own is not None:
            self.scribbles.setValue(own)
        elif before in self._aside:
            self.scribbles.setValue(None)
            self.told.emit(f"The scribbles were made on another image. Press New to paint on {image.name!r}.")
            return
        self.told.emit("")

    def _own(self, image: Layer) -> Layer | None:
        """The scribbles that were chosen last with an image, else the topmost ones made on it."""
        images = self._images()
        own = [layer for layer in self._layers if is_paint(layer) and image in images_of(layer, images)]
        last = self._last.get(_id(image))
        return last if last in own else next(reversed(own), None)

    def _on_scribbles(self, scribbles: Layer | None) -> None:
        image, images = self.image.value(), self._images()
        self._left = None
        if scribbles is None or image is None:
            return
        if not is_of_another(scribbles, image, images):
            self._settle(scribbles, image)
            return
        home = next(iter(images_of(scribbles, images)), None)
        if home is None:
            self._settle(scribbles, image)
            note(scribbles, image)
            return
        self.image.setValue(home)
        self._settle(scribbles, home)
        said = f"{scribbles.name!r} were made on {home.name!r}, which is chosen too."
        if self._own(image) is None:
            self._left = (scribbles, image)
            said += f" To teach {image.name!r} with them, choose it again."
        self.told.emit(said)

    def _settle(self, scribbles: Layer, image: Layer) -> None:
        self._last[_id(image)] = scribbles
        if IMAGES_KEY in scribbles.metadata and image in images_of(scribbles, self._images()):
            note(scribbles, image)

    def _change_patches(self, before: Layer | None, image: Layer) -> None:
        """Dense patches are of one image: those of the image before are left, those of this one come back."""
        if before is None:
            return
        if self.dense.value() is not None:
            self._patches[_id(before)] = self.dense.value()
        own = self._patches.get(_id(image))
        self.dense.setValue(own if own in self._layers else None)
