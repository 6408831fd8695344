"""Synthetic images with known truth."""

from napari_medseg.train.simulate.tissue import CLASSES, six_class_tissue

__all__ = ["CLASSES", "six_class_tissue"]
