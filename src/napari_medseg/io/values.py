"""Fit values into the types that a file format can hold."""

from __future__ import annotations

import numpy as np

from napari_medseg.core.errors import InputError

_NARROWER = {"bool": "uint8", "int64": "int32", "uint64": "uint32", "float16": "float32"}


def storable(dtype: np.dtype) -> np.dtype:
    """The native type that TIFF and NIfTI hold, for the type of an array."""
    native = np.dtype(dtype).newbyteorder("=")
    if native.kind not in "buif":
        raise InputError(f"Values of type {dtype} cannot be written; use whole or floating numbers.")
    return np.dtype(_NARROWER.get(native.name, native.name))


def cast(block: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Convert without changing any whole number; a value that does not fit raises."""
    if dtype.kind in "iu" and block.dtype.kind in "iu" and block.size and not np.can_cast(block.dtype, dtype):
        limits = np.iinfo(dtype)
        low, high = int(block.min()), int(block.max())
        if low < limits.min or high > limits.max:
            raise InputError(
                f"{name} has values from {low} to {high}, but the file holds {limits.min} to {limits.max} ({dtype}). "
                "Renumber the labels, or save as OME-Zarr."
            )
    return block.astype(dtype, copy=False)
