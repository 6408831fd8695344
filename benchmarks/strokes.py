"""The simulated strokes of every measurement; the package has them, because its demo paints them too."""

from napari_medseg.train.simulate.strokes import strokes

__all__ = ["strokes"]
