"""Predictions in the folder of a session: one OME-Zarr image for each layer that was taught from, and each role.

They can be made again, so that only the newest of each is kept. One is there when all of it is on the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from napari_medseg.core.errors import InputError, RunCancelled
from napari_medseg.core.image import Image
from napari_medseg.io.lazy import READ_ERRORS
from napari_medseg.io.omezarr import open_omezarr, write_omezarr
from napari_medseg.io.saving import fresh

ABOUT_KEY = "napari-medseg-result"
"""Attribute that tells how a prediction was made."""

_PART = "."
"""What the names of unfinished ones begin with."""


@dataclass(frozen=True)
class Stored:
    """A prediction on the disk.

    Parameters
    ----------
    image
        Its pixels are read when they are indexed.
    about
        How it was made, as it was given; ``shape`` is that of its pixels, axes of length 1 included.
    """

    image: Image
    about: dict[str, Any]

    def pixels(self) -> np.ndarray:
        """Read all of it; InputError where a part is missing or damaged."""
        return np.asarray(self.image.levels[0][...]).reshape(self.about["shape"])


def write(root: Path, layer: str, role: str, image: Image, about: Mapping[str, Any], stop: Callable[[], bool]) -> None:
    """Put a prediction in the place of the one before; StorageError where the disk does not take it.

    Parameters
    ----------
    about
        Plain values that tell how it was made.
    stop
        Asked before each block; where it says so, RunCancelled is raised and all stays as it was.
    """
    import zarr

    _sweep(root)
    watched = replace(image, levels=(_Watched(image.levels[0], stop),))
    said = {**about, "role": role, "layer": layer, "shape": list(image.levels[0].shape)}
    with fresh(root / f"{role}-{quote(layer, safe='')}") as target:
        zarr.open_group(root, mode="a")
        write_omezarr(target, watched)
        zarr.open_group(target, mode="r+").attrs[ABOUT_KEY] = said


def read(root: Path) -> Iterator[Stored]:
    """The predictions that are whole; others can be made again and are passed over."""
    for path in sorted(root.glob(f"[!{_PART}]*/")):
        try:
            yield _open(path)
        except (InputError, *READ_ERRORS):
            continue


def _open(path: Path) -> Stored:
    import zarr

    about: Any = zarr.open_group(path, mode="r").attrs[ABOUT_KEY]
    image = open_omezarr(path)
    if not isinstance(about, dict) or np.prod(about["shape"]) != image.levels[0].size:
        raise InputError(f"{path} is no prediction of this package.")
    return Stored(image, about)


def _sweep(root: Path) -> None:
    """Remove what a crash left unfinished. The session is locked: nobody else writes here."""
    for path in root.glob(f"{_PART}*/"):
        shutil.rmtree(path, ignore_errors=True)


class _Watched:
    """An array that can be told to give no more."""

    def __init__(self, array: Any, stop: Callable[[], bool]) -> None:
        self.shape, self.dtype = array.shape, array.dtype
        self._array, self._stop = array, stop

    def __getitem__(self, key: Any) -> np.ndarray:
        if self._stop():
            raise RunCancelled("Keeping the prediction was stopped; it can be made again.")
        return self._array[key]
