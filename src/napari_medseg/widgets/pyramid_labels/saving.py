"""Writes labels to files, any size, in streams: as `Layer.save` and as a writer in napari's save dialog."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Labels, Layer
from napari.plugins.io import save_layers

from napari_medseg.io import has_written_suffix, write_labels
from napari_medseg.widgets._layers import image_of


def save(path: str, layer: Labels) -> list[str]:
    """Write a layer; a name without an ending becomes that of an OME-TIFF. Formats of others are left to napari."""
    target = Path(path if Path(path).suffix else f"{path}.ome.tif")
    if has_written_suffix(target):
        return [str(write_labels(target, image_of(layer)))]
    return save_layers(path, [layer])


def write_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write what napari's save dialog hands over."""
    layer = Layer.create(data, meta, "labels")
    assert isinstance(layer, Labels)
    return save(path, layer)
