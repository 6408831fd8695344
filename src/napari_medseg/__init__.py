"""Annotate, segment and review medical images in napari."""

__version__ = "0.1.0"
