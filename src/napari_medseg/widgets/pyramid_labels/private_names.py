"""The names inside napari that painting on a pyramid leans on, and whether this napari has them.

They are not part of what napari promises to keep. Each was seen in napari 0.8.0 and 0.9.2.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import numpy as np
from napari.layers import Labels

LAYER = "napari.layers:Labels"

NAMES: dict[str, tuple[str, ...]] = {
    LAYER: (
        "_abort_stroke",
        "_append_to_undo_history",
        "_commit_stroke",
        "_create_polygon_mask",
        "_data_slice",
        "_drag_modes",
        "_draw",
        "_get_preserve_labels_source_label",
        "_get_value",
        "_get_value_3d",
        "_get_value_ray",
        "_raw_to_displayed",
        "_reset_editable",
        "_save_history",
        "_slice",
        "_type_string",
        "_update_draw",
        "_update_thumbnail",
        "_validate_label_in_range",
        "block_history",
        "locked_data_level",
    ),
    "napari.layers._multiscale_data:MultiScaleData": ("__array__", "shapes"),
    "napari.layers.labels._labels_constants": ("Mode",),
    "napari.layers.labels._labels_key_bindings": ("new_label",),
    "napari.layers.labels._labels_mouse_bindings": ("draw",),
    "napari.layers.labels._labels_utils": ("interpolate_coordinates",),
    "napari.utils.action_manager": ("action_manager",),
    "napari._vispy.layers.labels:VispyLabelsLayer": ("_on_matrix_change", "_on_partial_labels_update"),
    "napari._vispy.utils.visual": ("layer_to_visual",),
    "napari._qt.layer_controls.qt_labels_controls": ("QtLabelsControls",),
    "napari._qt.layer_controls.qt_layer_controls_container": ("layer_to_controls",),
}
"""Module, or module:class, and what it must have."""

ATTRIBUTES = ("_data", "_mode", "_overlays", "_slice_input", "_slicing_state", "_transforms")
"""What a Labels layer has once it is made."""


def missing(names: dict[str, tuple[str, ...]] | None = None) -> list[str]:
    """Names that this napari does not have; empty where all is well."""
    absent = []
    for place, wanted in (NAMES if names is None else names).items():
        module, _, inner = place.partition(":")
        try:
            owner = import_module(module)
            owner = getattr(owner, inner) if inner else owner
        except (ImportError, AttributeError):
            absent.append(place)
            continue
        absent += [f"{place}.{name}" for name in wanted if not hasattr(owner, name)]
    probe = Labels(np.zeros((1, 1), np.uint8))
    return absent + [f"{LAYER}.{name}" for name in ATTRIBUTES if not hasattr(probe, name)]


def sentence(absent: list[str], kept: bool = True) -> str:
    """What to tell the user.

    Parameters
    ----------
    kept
        True for an ordinary layer over a part, whose strokes reach the pyramid; False for one that is alone.
    """
    instead = (
        "You paint on the part in view instead, with an ordinary Labels layer; what you paint is kept."
        if kept
        else "You paint on an ordinary Labels layer instead, which no session keeps: save it yourself."
    )
    return (
        f"napari {version('napari')} is too different from what painting on a whole slide was made for "
        f"(it lacks {', '.join(absent)}). {instead} napari 0.9.2 has it all."
    )
