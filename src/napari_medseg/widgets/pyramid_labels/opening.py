"""Adds a label pyramid to the viewer: as a layer of any size where napari allows it, else over the part in view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_medseg.core.edits import Box
from napari_medseg.core.labelpyramid import LabelPyramid, LevelView
from napari_medseg.widgets.pyramid_labels import private_names

if TYPE_CHECKING:
    from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels

PLAIN_SIDE = 4096
"""Of the part that is painted where no other is chosen and this napari cannot show the whole."""

Adopt = Callable[["PyramidLabels"], None]


def add_labels(viewer: Any, pyramid: LabelPyramid, region: Box | None = None, plane: int = 0, **options: Any) -> Labels:
    """Add a layer to paint on.

    Parameters
    ----------
    region, plane
        The part of level 0, along y and x, to paint on where this napari cannot show the whole; a warning says so.
    options
        As of `PyramidLabels`: ``on_edit``, ``undo``, ``name``, ``scale`` ...
    """
    absent = private_names.missing()
    if not absent:
        register()
        return viewer.add_layer(_layer(pyramid, options))
    show_warning(private_names.sentence(absent))
    return viewer.add_layer(_region(pyramid, region, plane, options))


def _layer(pyramid: LabelPyramid, options: dict[str, Any]) -> PyramidLabels:
    from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels

    return PyramidLabels(pyramid, **options)


def _region(pyramid: LabelPyramid, region: Box | None, plane: int, options: dict[str, Any]) -> Labels:
    from napari_medseg.widgets.pyramid_labels.region import Region

    ours = ("on_draft", "undo", "redo", "may_edit")
    plain = {name: value for name, value in options.items() if name not in ours}
    if region is None:
        region = tuple((0, min(size, PLAIN_SIDE)) for size in pyramid.shape[-2:])
    made = Region(pyramid, region, plane, **plain)
    made.layer.editable = options.get("may_edit", True)
    return made.layer


def register() -> None:
    """Tell napari how the layer is drawn and which controls it has. A second call changes nothing."""
    from napari._qt.layer_controls.qt_layer_controls_container import layer_to_controls
    from napari._vispy.utils.visual import layer_to_visual

    from napari_medseg.widgets.pyramid_labels.controls import PyramidLabelsControls, bind_new_label
    from napari_medseg.widgets.pyramid_labels.layer import PyramidLabels
    from napari_medseg.widgets.pyramid_labels.visual import VispyPyramidLabels

    layer_to_visual[PyramidLabels] = VispyPyramidLabels
    layer_to_controls[PyramidLabels] = PyramidLabelsControls  # pyright: ignore[reportArgumentType]
    bind_new_label()


def follow(layers: Any, adopt: Adopt | None = None) -> Callable[[], None]:
    """Turn what napari makes of a `PyramidLabels` layer into one that can be painted, too.

    napari knows plain Labels layers only, so "Duplicate" and "Convert to labels" yield one that is read-only. A level
    that was extracted becomes an array.

    Parameters
    ----------
    layers
        The viewer's layer list.
    adopt
        Called with each layer that takes the place of a plain one; its labels are in memory up to then.

    Returns
    -------
    function that stops it
    """
    handler = partial(_on_inserted, layers, adopt)
    layers.events.inserted.connect(handler, position="last")
    return partial(layers.events.inserted.disconnect, handler)


def _on_inserted(layers: Any, adopt: Adopt | None, event: Any) -> None:
    plain = event.value
    if type(plain) is not Labels:
        return
    if isinstance(plain.data, LevelView):
        plain.data = np.array(plain.data)
    elif plain.multiscale and isinstance(plain.data[0], LevelView):
        # napari is not done with the new layer: it selects it next.
        QTimer.singleShot(0, partial(_take_place, layers, plain, adopt))


def _take_place(layers: Any, plain: Labels, adopt: Adopt | None) -> None:
    if plain not in layers:
        return
    index, name = layers.index(plain), plain.name
    layer = _painted_like(plain)
    layers.remove(plain)
    layers.insert(index, layer)
    layer.name = name
    if adopt is not None:
        adopt(layer)


def _painted_like(plain: Labels) -> PyramidLabels:
    """A layer of ours over the levels of a plain one, with its looks."""
    levels: Any = plain.data
    _, state, _ = plain.as_layer_data_tuple()
    state.pop("multiscale", None)
    return _layer(levels[0].pyramid, state)
