"""NIfTI volumes, through nibabel (the ``medical`` extra)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image, Kind
from napari_medseg.io import resolution, values
from napari_medseg.io.lazy import READ_ERRORS, View
from napari_medseg.io.saving import fresh

SUFFIXES = (".nii", ".nii.gz")
_LABEL_INTENT = 1002
LONGEST = 32767
"""Pixels along an axis; the header counts them in 16 bits."""
_STORED = "xyztc"
"""Meaning of the axes in the file, first to last."""


def open_nifti(path: Path, kind: Kind = "raw") -> Image:
    """Open a volume as z, y, x (t and c before them); an unzipped file is read lazily.

    The geometry is the file's affine in the order of our axes, in millimetres unless the file says otherwise.
    """
    nibabel = _nibabel(path.name)
    try:
        # It prints what it finds wrong in a header, beside raising it.
        with nibabel.imageglobals.LoggingOutputSuppressor():
            volume: Any = nibabel.load(path)
    except (*READ_ERRORS, *_format_errors(nibabel)) as error:
        raise InputError(f"{path.name} is not a whole NIfTI file ({error}); expected .nii or .nii.gz.") from error
    if not isinstance(volume, nibabel.Nifti1Image):
        raise InputError(f"{path.name} is {type(volume).__name__}, not NIfTI; convert it to .nii or .nii.gz.")
    array = _Volume(volume, path.name)
    kept = [i for i, size in enumerate(array.shape) if size > 1 or i < _least(array.shape)]
    if len(array.shape) > len(_STORED):
        raise InputError(f"{path.name} has {len(array.shape)} axes; at most x, y, z, t and channels are read.")
    axes = "".join(_STORED[i] for i in reversed(kept))
    stored: Kind = "labels" if int(volume.header["intent_code"]) == _LABEL_INTENT else kind
    view = View(array, tuple(reversed(kept)), path.name)
    return Image((view,), axes, _geometry(volume, axes.replace("c", "")), stored, path.name.split(".nii")[0])


def _least(shape: tuple[int, ...]) -> int:
    """Axes that stay even where they are one long: all three of space, or two in a flat picture."""
    return min(3, len(shape))


def _nibabel(name: str) -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise InputError(f"{name} is a NIfTI file, which needs nibabel: pip install napari-medseg[medical]") from error
    return nibabel


def _format_errors(nibabel: Any) -> tuple[type[Exception], ...]:
    wrong_size = nibabel.wrapstruct.WrapStructError
    return nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError, wrong_size


class _Volume:
    """The stored array; a zipped one is unzipped whole when it is first read, since it cannot be read in parts."""

    def __init__(self, volume: Any, name: str) -> None:
        self._stored: Any = volume.dataobj
        self._zipped = name.lower().endswith(".gz")
        self.shape: tuple[int, ...] = tuple(volume.shape)
        scaled = (volume.dataobj.slope, volume.dataobj.inter) != (1.0, 0.0)
        self.dtype = np.dtype(np.float32) if scaled else volume.get_data_dtype().newbyteorder("=")
        if self.dtype.kind not in "buif":
            raise InputError(f"{name} holds {volume.get_data_dtype()} values; expected plain numbers.")

    def __getitem__(self, index: Any) -> np.ndarray:
        if self._zipped and not isinstance(self._stored, np.ndarray):
            self._stored = np.asarray(self._stored)
        return np.asarray(self._stored[index]).astype(self.dtype, copy=False)


def _geometry(volume: Any, axes: str) -> Geometry:
    """Split the affine into pixel size, origin, and, where the axes are turned or flipped, the rest."""
    space, time = (resolution.plain_unit(unit) for unit in volume.header.get_xyzt_units())
    matrix = _reordered(np.asarray(volume.affine, dtype=float), axes)
    scale = np.linalg.norm(matrix[:-1, :-1], axis=0)
    scale[scale == 0] = 1.0
    if "t" in axes:
        zooms = volume.header.get_zooms()
        scale[0] = matrix[0, 0] = float(zooms[3]) or 1.0
    length = space if space in resolution.UM else "mm"
    units = tuple((time if time in ("s", "ms", "us") else "pixel") if axis == "t" else length for axis in axes)
    if np.allclose(matrix[:-1, :-1], np.diag(scale)):
        return Geometry(tuple(scale.tolist()), units, tuple(matrix[:-1, -1].tolist()))
    affine = matrix @ np.diag([*(1 / scale), 1.0])
    return Geometry(tuple(scale.tolist()), units, (0.0,) * len(axes), affine=affine)


def _reordered(affine_xyz: np.ndarray, axes: str) -> np.ndarray:
    """The homogeneous matrix for our axes from that for x, y, z; t stays apart."""
    matrix = np.eye(len(axes) + 1)
    here = [i for i, axis in enumerate(axes) if axis != "t"]
    there = ["xyz".index(axes[i]) for i in here]
    matrix[np.ix_([*here, -1], [*here, -1])] = affine_xyz[np.ix_([*there, 3], [*there, 3])]
    return matrix


def check_nifti(image: Image, name: str) -> None:
    """Complain, without reading a pixel, about what ``name``, a NIfTI file, does not hold."""
    _nibabel(name)
    values.storable(image.dtype)
    if max(image.levels[0].shape) > LONGEST:
        raise InputError(
            f"{image.name} has {' x '.join(map(str, image.shape()))} pixels; NIfTI holds up to {LONGEST} along an "
            "axis. Save as OME-TIFF or OME-Zarr."
        )


def write_nifti(path: Path, image: Image) -> None:
    """Write level 0, which is held in memory; scale, units, rotation and origin are kept."""
    nibabel = _nibabel(path.name)
    dtype = values.storable(image.dtype)
    axes = [axis for axis in _STORED if axis in image.axes]
    order = [(image.spatial_axes + "c").index(axis) for axis in axes]
    block = image.read()
    if "c" not in image.axes:
        block = block[..., 0]
    array = values.cast(block.transpose(order), dtype, image.name)
    try:
        volume = nibabel.Nifti1Image(_filled(array, axes), _affine(image))
    except nibabel.spatialimages.HeaderDataError as error:
        raise InputError(f"{image.name} does not fit NIfTI ({error}). Save as OME-TIFF or OME-Zarr.") from error
    unit = resolution.plain_unit(image.geometry.units[image.spatial_axes.index("x")])
    volume.header.set_xyzt_units({"um": "micron", "mm": "mm", "m": "meter"}.get(unit, "unknown"))
    if "t" in axes:
        step = float(image.geometry.scale[image.spatial_axes.index("t")])
        volume.header.set_zooms((*volume.header.get_zooms()[:3], step, *volume.header.get_zooms()[4:]))
    if image.kind == "labels":
        volume.header.set_intent("label")
    with fresh(path) as target:
        nibabel.save(volume, target)


def _filled(array: np.ndarray, axes: list[str]) -> np.ndarray:
    """Put in z and t where a later axis is there, so that each axis is at its place."""
    for place, axis in enumerate(_STORED):
        if axis not in axes and any(_STORED.index(later) > place for later in axes):
            array = np.expand_dims(array, place)
    return array


def _affine(image: Image) -> np.ndarray:
    matrix = image.geometry.matrix()
    affine = np.eye(4)
    here = [i for i, axis in enumerate(image.spatial_axes) if axis != "t"]
    there = ["xyz".index(image.spatial_axes[i]) for i in here]
    affine[np.ix_([*there, 3], [*there, 3])] = matrix[np.ix_([*here, -1], [*here, -1])]
    return affine
