"""What napari names differently from version to version."""

from __future__ import annotations

from typing import Any


def camera_of(viewer: Any) -> Any:
    """The camera of a viewer: ``viewer.scene.camera`` from napari 0.9, ``viewer.camera`` before."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera
