"""The levels of a label pyramid as the data that napari, and other plugins, expect a layer to have."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers._multiscale_data import MultiScaleData

from napari_medseg.core.labelpyramid import LabelPyramid, LevelView


class PyramidData(MultiScaleData):
    """All levels, finest first, as the ``data`` of a layer.

    ``data[2]`` is a level. Any other index, ``np.asarray`` and ``astype`` mean the labels themselves, that is level 0:
    another plugin never takes coarse labels for the real ones. Where level 0 is too large for one array, they raise
    an `InputError` that says so.
    """

    def __init__(self, pyramid: LabelPyramid) -> None:
        super().__init__([LevelView(pyramid, level) for level in range(len(pyramid.level_shapes))])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int | np.integer | slice):
            return self._data[key]
        return self._data[0][key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._data[0], dtype=dtype)

    def astype(self, dtype: Any) -> np.ndarray:
        """Level 0 as an array of another type."""
        return np.asarray(self, dtype=dtype)

    def __deepcopy__(self, memo: dict[int, Any]) -> PyramidData:
        return PyramidData(self._data[0].__deepcopy__(memo).pyramid)
