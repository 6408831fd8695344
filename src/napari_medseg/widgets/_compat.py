"""What napari names differently from version to version, or gives no public name."""

from __future__ import annotations

from typing import Any


def camera_of(viewer: Any) -> Any:
    """The camera of a viewer: ``viewer.scene.camera`` from napari 0.9, ``viewer.camera`` before."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def undone_steps(layer: Any) -> int:
    """How many strokes of a Labels layer have been undone and can be redone; 0 where napari does not tell."""
    return len(getattr(layer, "_redo_history", ()))
