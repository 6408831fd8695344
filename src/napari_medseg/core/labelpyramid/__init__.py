"""Labels of any size in a sparse quadtree of compressed tiles, painted and read at every level.

``pyramid`` is what others use. Below it: ``grid`` (where tiles lie), ``tiles`` (where their bytes are kept), ``slab``
and ``catalogue`` (which are decoded, which exist), ``store`` (the tree), ``reading``, ``operation`` (a change, and the
levels that follow it), ``painting`` and ``filling`` (which changes), ``edit`` (commit, abort, undo). ``levels`` shows
a pyramid as arrays.
"""

from napari_medseg.core.labelpyramid.grid import FINE_PX, TileGrid, edit_level
from napari_medseg.core.labelpyramid.levels import LevelView
from napari_medseg.core.labelpyramid.pyramid import LabelPyramid, Outcome, Statistics
from napari_medseg.core.labelpyramid.tiles import LaidOver, MemoryTiles, Tiles

__all__ = [
    "FINE_PX",
    "LabelPyramid",
    "LaidOver",
    "LevelView",
    "MemoryTiles",
    "Outcome",
    "Statistics",
    "TileGrid",
    "Tiles",
    "edit_level",
]
