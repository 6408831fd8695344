"""Between napari's layers and the package's images: choosers, geometry both ways, and what is in view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer
from napari.layers import Layer
from napari.layers import Shapes as ShapesLayer
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QWidget

from napari_medseg.core import axes as axes_
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box, Geometry, Image
from napari_medseg.core.job import Span
from napari_medseg.core.labelpyramid import LevelView
from napari_medseg.core.polygons import Filled, Outline, ellipse
from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets._elided import ElidedCombo

RESULT_KEY = "napari_medseg"
"""Key in a layer's metadata that marks a result of ours and tells how it was made."""

MOST_SCRIBBLE_PIXELS = 2**26

MOST_TAUGHT_PIXELS = 2**28
"""Of a label pyramid; they become one array."""

LEAST_SHARE = 0.4
"""Share of the view's longer side that a region shown by ``show_region`` takes at least."""

AREAS = ("rectangle", "ellipse", "polygon")
"""The shapes that enclose something."""

Accepts = Callable[[Layer], bool]


def is_image(layer: Layer) -> bool:
    """An Image layer that is not a result of ours."""
    return isinstance(layer, ImageLayer) and RESULT_KEY not in layer.metadata


def is_paint(layer: Layer) -> bool:
    """A Labels layer that is not a result of ours."""
    return isinstance(layer, LabelsLayer) and RESULT_KEY not in layer.metadata


def is_patches(layer: Layer) -> bool:
    """A layer that can mark dense patches: Labels or Shapes."""
    return is_paint(layer) or isinstance(layer, ShapesLayer)


class LayerChooser(ElidedCombo):
    """A combo box that follows the viewer's layer list.

    Parameters
    ----------
    layers
        The viewer's layer list.
    accepts
        Whether a layer may be chosen.
    none_text
        Shown where nothing is chosen.
    prefers
        Whether a layer may be chosen without the user's doing; None: any that is accepted.
    optional
        True starts with nothing, never chooses by itself, and can go back to nothing.
    """

    valueChanged = Signal(object)

    def __init__(
        self,
        layers: Any,
        accepts: Accepts,
        none_text: str,
        *,
        prefers: Accepts | None = None,
        optional: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._layers, self._accepts, self._prefers = layers, accepts, prefers or accepts
        self._none_text, self._optional = none_text, optional
        self._value: Layer | None = None
        self.setMinimumContentsLength(5)
        self.currentIndexChanged.connect(self._picked)
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered, layers.events.renamed):
            event.connect(self.refresh)
        self.refresh()

    def value(self) -> Any:
        """The chosen layer."""
        return self._value

    def setValue(self, value: Layer | None) -> None:
        """Choose ``value``, which must be in the list; None: nothing."""
        if value is None:
            self._show(None)
        else:
            self.setCurrentIndex(self._index_of(value))

    def refresh(self, _event: Any = None) -> None:
        """Offer what the layer list holds now; the choice stays where its layer stays."""
        offered = self._offered()
        keep = self._value if self._value in offered else None
        if keep is None and not self._optional:
            keep = next((layer for layer in reversed(offered) if self._prefers(layer)), None)
        self._show(keep)

    def _offered(self) -> list[Layer]:
        return [layer for layer in self._layers if self._accepts(layer)]

    def _show(self, chosen: Layer | None) -> None:
        """Fill the list anew, with ``chosen`` chosen; nothing can be chosen only where that is so already."""
        with QSignalBlocker(self):
            self.clear()
            if chosen is None or self._optional:
                self.addItem(self._none_text, None)
            for layer in self._offered():
                self.addItem(layer.name, layer)
            self.setCurrentIndex(0 if chosen is None else self._index_of(chosen))
        self._picked()

    def disconnect_layers(self) -> None:
        """Follow the layer list no longer."""
        events = self._layers.events
        for event in (events.inserted, events.removed, events.reordered, events.renamed):
            event.disconnect(self.refresh)

    def _index_of(self, layer: Layer) -> int:
        for index in range(self.count()):
            if self.itemData(index) is layer:
                return index
        raise ValueError(f"The layer {layer.name!r} is not offered here.")

    def _picked(self, _index: int = -1) -> None:
        chosen = self.currentData()
        if chosen is not self._value:
            self._value = chosen
            self.valueChanged.emit(chosen)


def image_of(layer: ImageLayer | LabelsLayer) -> Image:
    """The layer's data as an Image; nothing is copied or read."""
    data: Any = layer.data
    levels = tuple(data) if layer.multiscale else (data,)
    rgb = bool(getattr(layer, "rgb", False))
    axes = axes_.guess(len(levels[0].shape), rgb=rgb, labels=layer.axis_labels)
    kind = "labels" if isinstance(layer, LabelsLayer) else "raw"
    return Image(levels, axes, _geometry(layer, axes), kind, layer.name)


def is_pyramid(layer: LabelsLayer) -> bool:
    """Whether the layer shows a label pyramid, whose levels are one annotation."""
    return bool(layer.multiscale) and isinstance(layer.data[0], LevelView)


def painted(layer: LabelsLayer) -> Image:
    """The labels of a layer as they are now, to be handed to a tool; of a label pyramid a copy of the finest level."""
    image = image_of(layer)
    if not is_pyramid(layer):
        return image
    pixels = prod(image.shape())
    if pixels > MOST_TAUGHT_PIXELS:
        raise InputError(
            f"The labels {layer.name!r} have {pixels:,} pixels; at most {MOST_TAUGHT_PIXELS:,} can be learned from at "
            "once. Press New for labels on a coarser level of the image."
        )
    return replace(image, levels=(np.asarray(image.levels[0]).copy(),))


def layer_arguments(image: Image, source: Layer | None = None) -> dict[str, Any]:
    """Keyword arguments for ``add_labels`` or ``add_image`` that place a layer where ``image`` lies.

    Units are always given: one layer without units switches unit rendering off for all. Axis labels come
    from ``source``, the layer that the image was made of.
    """
    geometry = image.geometry
    labels = None if source is None else _spatial_labels(source, image.spatial_axes)
    return {
        "scale": geometry.scale,
        "translate": geometry.translate,
        "rotate": geometry.rotate,
        "shear": geometry.shear,
        "affine": geometry.affine,
        "units": geometry.units,
        "axis_labels": labels,
    }


def fitting_level(image: Image, shape: tuple[int, ...]) -> Image:
    """The image that starts at the level with ``shape``; the finest where none has it."""
    levels = [level for level in range(len(image.levels)) if image.shape(level) == shape]
    return image.at_level(levels[0]) if levels else image


def paintable_level(image: Image) -> Image:
    """The image that starts at the finest level that can be painted without trouble."""
    small = [level for level in range(len(image.levels)) if prod(image.shape(level)) <= MOST_SCRIBBLE_PIXELS]
    return image.at_level(small[0] if small else len(image.levels) - 1)


def empty_scribbles(layer: ImageLayer) -> tuple[np.ndarray, dict[str, Any]]:
    """An empty uint8 array for scribbles on ``layer`` and the arguments that place it."""
    image = paintable_level(image_of(layer))
    arguments = layer_arguments(image, layer)
    return np.zeros(image.shape(), np.uint8), {**arguments, "name": f"{layer.name} scribbles"}


def view_of(viewer: Any, layer: ImageLayer | LabelsLayer, image: Image | None = None) -> tuple[Span, ...] | None:
    """What is on screen, as spans in the pixels of ``image``.

    Parameters
    ----------
    layer
        A drawn layer; on a rotated one the spans are the bounding box.
    image
        Made of the layer, at any level of it; None: the layer's own pixels.

    Returns
    -------
    one span per spatial axis; None in 3D, across the channels, or where nothing of the layer is in view
    """
    image = image or image_of(layer)
    spatial = [own for own, letter in enumerate(image.axes[: layer.ndim]) if letter != "c"]
    displayed = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or not set(displayed) <= set(spatial):
        return None
    drawn, full = (np.array(shape)[spatial] for shape in (_drawn_shape(layer), _full_shape(layer)))
    point = np.asarray(layer.world_to_data(viewer.dims.point))[-layer.ndim :][spatial]
    spans = [(int(at), int(at) + 1) for at in (point + 0.5) * image.shape() / full]
    # A label pyramid has loaded more than what is in view.
    exact: dict[int, tuple[float, float]] = getattr(layer, "in_view", {})
    for own in displayed:
        at = spatial.index(own)
        if own in exact:
            first, stop = np.array(exact[own]) * image.shape()[at] / full[at]
            spans[at] = (int(first), int(np.ceil(stop)))
            continue
        zoom = drawn[at] / image.shape()[at]
        first, last = layer.corner_pixels[:, own] / zoom
        spans[at] = (int(first), int(np.ceil(last + 1 / zoom)))
    return _inside(spans, image.shape())


def _drawn_shape(layer: ImageLayer | LabelsLayer) -> tuple[int, ...]:
    """Shape of the level that ``corner_pixels`` refers to."""
    return tuple((layer.data[layer.data_level] if layer.multiscale else layer.data).shape[: layer.ndim])


def _full_shape(layer: ImageLayer | LabelsLayer) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape[: layer.ndim])


def _inside(spans: list[Span], shape: tuple[int, ...]) -> tuple[Span, ...] | None:
    clipped = tuple((max(0, a), min(size, b)) for (a, b), size in zip(spans, shape, strict=True))
    return clipped if all(a < b for a, b in clipped) else None


def show_region(viewer: Any, layer: LabelsLayer, centre: tuple[int, ...], box: Box) -> None:
    """Move the view to a region of ``layer``; zoom in where the region would be small."""
    world = layer.data_to_world(centre)
    lead = viewer.dims.ndim - layer.ndim
    for axis in viewer.dims.not_displayed:
        if axis >= lead:
            viewer.dims.set_point(axis, world[axis - lead])
    seen = view_of(viewer, layer)
    if seen is not None:
        share = max(s.stop - s.start for s in box[-2:]) / max(b - a for a, b in seen[-2:])
        camera_of(viewer).zoom *= max(1.0, LEAST_SHARE / share)
    camera_of(viewer).center = tuple(world[axis - lead] for axis in viewer.dims.displayed)


def patches_of(layer: Layer, image: Image) -> Image:
    """Dense patches as labels on the pixels of ``image``; the areas of a Shapes layer are filled as they are read."""
    if isinstance(layer, LabelsLayer):
        return painted(layer)
    areas = zip(layer.data, layer.shape_type, strict=True) if isinstance(layer, ShapesLayer) else ()
    outlines = [_outline(corners, kind, layer, image) for corners, kind in areas if kind in AREAS]
    if not outlines:
        raise InputError(
            f"The dense patches {layer.name!r} hold no shape with an area. Draw a rectangle, or choose no patches."
        )
    return image.derive(Filled(image.shape(), outlines), "labels", layer.name)


def _outline(corners: np.ndarray, kind: str, layer: Layer, image: Image) -> Outline:
    line = _in_pixels(ellipse(corners) if kind == "ellipse" else corners, layer, image)
    planes = line[:, :-2]
    if np.ptp(planes, axis=0).max(initial=0) > 0.5:
        raise InputError(f"A shape of {layer.name!r} goes through several planes. Draw it with y and x on screen.")
    return Outline(tuple(int(at) for at in np.round(planes.mean(axis=0))), line[:, -2:])


def _in_pixels(corners: np.ndarray, layer: ShapesLayer, image: Image) -> np.ndarray:
    world = np.array([layer.data_to_world(corner) for corner in corners])
    ndim = len(image.spatial_axes)
    padded = np.zeros((len(world), ndim))
    padded[:, -min(ndim, world.shape[1]) :] = world[:, -ndim:]
    inverse = np.linalg.inv(image.geometry.matrix())
    return padded @ inverse[:-1, :-1].T + inverse[:-1, -1]


def _geometry(layer: Layer, axes: str) -> Geometry:
    """Geometry of the spatial axes; the channel axis of a layer that has one is left out."""
    plain = axes[: layer.ndim]
    keep = [index for index, axis in enumerate(plain) if axis != "c"]
    shear = np.asarray(layer.shear, float)
    affine = np.asarray(layer.affine.affine_matrix, float)
    return Geometry(
        scale=tuple(float(layer.scale[i]) for i in keep),
        units=tuple(str(layer.units[i]) for i in keep),
        translate=tuple(float(layer.translate[i]) for i in keep),
        rotate=_unless_identity(_rotation(layer)[np.ix_(keep, keep)]),
        shear=_unless_identity((shear if shear.ndim == 2 else _upper(shear, layer.ndim))[np.ix_(keep, keep)]),
        affine=_unless_identity(affine[np.ix_([*keep, layer.ndim], [*keep, layer.ndim])]),
    )


def _rotation(layer: Layer) -> np.ndarray:
    """The rotation matrix; mirrored axes are in napari's scale already and do not count twice."""
    rotate = np.asarray(layer.rotate, float)
    mirrored = np.allclose(rotate, np.diag(np.diag(rotate)))
    return np.eye(len(rotate)) if mirrored else rotate


def _upper(vector: np.ndarray, ndim: int) -> np.ndarray:
    matrix = np.eye(ndim)
    if vector.any():
        matrix[np.triu_indices(ndim, 1)] = vector
    return matrix


def _unless_identity(matrix: np.ndarray) -> np.ndarray | None:
    return None if np.allclose(matrix, np.eye(len(matrix))) else matrix


def _spatial_labels(layer: Layer, spatial: str) -> tuple[str, ...] | None:
    """The layer's own names of the spatial axes; None where it has only napari's numbers."""
    labels = tuple(label for label in layer.axis_labels if label.lower() not in axes_.CHANNEL_NAMES)
    named = len(labels) == len(spatial) and not all(label.lstrip("-").isdigit() for label in labels)
    return labels if named else None
