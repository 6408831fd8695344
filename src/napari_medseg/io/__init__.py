"""Readers and writers, one file per format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from napari_medseg.core import axes as axes_
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image, Kind
from napari_medseg.io import nifti, omezarr, raster, tiff

Reader = Callable[[Path, Kind], Image]
Writer = Callable[[Path, Image], None]

_READERS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    (tiff.SUFFIXES, tiff.open_tiff),
    (omezarr.SUFFIXES, omezarr.open_omezarr),
    (raster.SUFFIXES, raster.open_raster),
    (nifti.SUFFIXES, nifti.open_nifti),
)


@dataclass(frozen=True)
class Format:
    """A format that images are written in.

    Parameters
    ----------
    shown
        The suffix that help and messages offer.
    suffixes
        All that name it.
    check
        Complains, without reading a pixel, about an image that the format does not hold.
    fractions
        Whether it holds more than whole numbers.
    any_size
        Whether it is written tile by tile, with all levels.
    """

    shown: str
    suffixes: tuple[str, ...]
    write: Writer
    check: Callable[[Image, str], None] | None = None
    fractions: bool = True
    any_size: bool = True


_FORMATS = (
    Format(".tif", (".tif", ".tiff"), tiff.write_tiff),
    Format(".ome.zarr", omezarr.SUFFIXES, omezarr.write_omezarr),
    Format(".png", (".png",), raster.write_png, raster.check_png, fractions=False, any_size=False),
    Format(".nii.gz", nifti.SUFFIXES, nifti.write_nifti, nifti.check_nifti, any_size=False),
)


def _listed(formats: Iterable[Format]) -> str:
    shown = [format_.shown for format_ in formats]
    return " or ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


LABEL_FORMATS = _listed(_FORMATS)
"""What labels are written as, for help and messages."""
VALUE_FORMATS = _listed(item for item in _FORMATS if item.fractions)
"""The same for entropy and other fractions."""
LARGE_FORMATS = _listed(item for item in _FORMATS if item.any_size)
SMALL_FORMATS = _listed(item for item in _FORMATS if not item.any_size)

_MARKS: tuple[tuple[bytes, Reader], ...] = (
    (b"II*\0", tiff.open_tiff),
    (b"MM\0*", tiff.open_tiff),
    (b"II+\0", tiff.open_tiff),
    (b"MM\0+", tiff.open_tiff),
    (b"\x89PNG", raster.open_raster),
    (b"\xff\xd8\xff", raster.open_raster),
)
"""First bytes of the formats that have such; they count more than the suffix."""


def open_image(path: str | Path, kind: Kind = "raw", axes: str = "") -> Image:
    """Open an image file or an OME-Zarr folder; large ones are read when they are indexed.

    Parameters
    ----------
    path
        TIFF, OME-TIFF, OME-Zarr, PNG, JPEG, or NIfTI.
    kind
        What the values mean, where the file does not say: "labels" for a label map. Labels have no channels: what
        a file calls channels, and keeps ahead of y and x, is a stack there.
    axes
        A letter for each axis, such as "zyx", instead of what the file says.
    """
    path = Path(path)
    _check_there(path)
    image = _reader(path)(path, kind)
    if image.dtype.kind not in "buif":
        raise InputError(f"{path.name} holds {image.dtype} values; expected plain numbers.")
    image = replace(image, name=image.name.encode(errors="replace").decode())
    if axes:
        return _named(image, axes.lower(), path.name)
    return _named(image, _stacked(image.axes), path.name) if kind == "labels" else image


def _check_there(path: Path) -> None:
    try:
        there = path.exists()
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}. Check its name and rights.") from error
    if not there:
        raise InputError(_file_above(path) or f"{path} does not exist. Check the name and the folder.")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{path} is neither a file nor a folder; expected an image file or an OME-Zarr folder.")


def _file_above(path: Path) -> str:
    """A sentence about a file that stands where the path needs a folder."""
    above = next((parent for parent in path.parents if os.path.lexists(parent)), None)
    if above is None or above.is_dir():
        return ""
    return f"There can be no {path}: {above} is a file, not a folder."


def _named(image: Image, axes: str, name: str) -> Image:
    """The same pixels with other letters for their axes; sizes go with the letters, and a new one counts pixels."""
    if axes == image.axes:
        return image
    try:
        axes_.check(axes, len(image.axes))
    except InputError as error:
        raise InputError(f"{name} is read as {image.axes}, size {image.levels[0].shape}. {error}") from error
    old = image.geometry
    if any(matrix is not None for matrix in (old.rotate, old.shear, old.affine)):
        raise InputError(f"{name} says how its axes {image.axes} lie in space; they cannot be called {axes}.")
    place = [image.spatial_axes.find(letter) for letter in axes_.spatial(axes)]
    geometry = Geometry(
        tuple(old.scale[i] if i >= 0 else 1.0 for i in place),
        tuple(old.units[i] if i >= 0 else "pixel" for i in place),
        tuple(old.translate[i] if i >= 0 else 0.0 for i in place),
    )
    return replace(image, axes=axes, geometry=geometry)


def _stacked(axes: str) -> str:
    """The axes with channels that come ahead of y and x taken for a stack, where there is a letter left."""
    free = [letter for letter in "zt" if letter not in axes]
    return axes.replace("c", free[0]) if free and not axes.endswith("c") else axes


def _reader(path: Path) -> Reader:
    if path.is_dir():
        if omezarr.is_zarr(path):
            return omezarr.open_omezarr
        raise InputError(f"{path} is a folder; expected an image file or an OME-Zarr folder.")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its rights.") from error
    if not head:
        raise InputError(f"{path.name} is empty. Copy it again from where it came.")
    marked = next((reader for mark, reader in _MARKS if head.startswith(mark)), None)
    return marked or _by_suffix(path)


def _by_suffix(path: Path) -> Reader:
    name = path.name.lower()
    for suffixes, reader in _READERS:
        if name.endswith(suffixes):
            return reader
    known = ", ".join(suffix for suffixes, _ in _READERS for suffix in suffixes)
    raise InputError(f"{path.name} is not an image that can be read: {_ending(path)}; expected one of {known}.")


def _ending(path: Path) -> str:
    return f"its name ends in {path.suffix!r}" if path.suffix else "its name has no ending"


def write_image(path: str | Path, image: Image) -> Path:
    """Write level 0 of an image in the format that the suffix names, with a pyramid where the format has one."""
    path = Path(path)
    check_writable(path, image)
    _format(path).write(path, image)
    return path


def check_writable(path: Path, image: Image | None = None) -> None:
    """Complain, ahead of a long run, about what cannot be written.

    That is an unknown format, a folder that is not there, a folder in the place of the file and, where ``image`` is
    given, pixels that the format does not hold.
    """
    format_ = _format(path)
    if not path.parent.is_dir():
        raise InputError(_file_above(path) or f"The folder {path.parent} does not exist. Make it, or choose another.")
    folder = format_.write is omezarr.write_omezarr
    if folder and path.exists() and not omezarr.is_zarr(path):
        raise InputError(f"{path} exists and is no zarr folder; choose another name.")
    if not folder and path.is_dir():
        raise InputError(f"{path} is a folder, and no file takes its place; choose another name.")
    if image is not None and format_.check is not None:
        format_.check(image, path.name)


def has_written_suffix(path: Path) -> bool:
    """Whether the name is that of an image file that can be written."""
    return _written(path) is not None


def _format(path: Path) -> Format:
    found = _written(path)
    if found is None:
        raise InputError(f"{path.name} cannot be written: {_ending(path)}; expected {LABEL_FORMATS}.")
    return found


def _written(path: Path) -> Format | None:
    return next((item for item in _FORMATS if path.name.lower().endswith(item.suffixes)), None)


def is_readable(path: Path) -> bool:
    """Whether the name, or the folder, is that of an image in one of the formats; nothing is opened."""
    if path.is_dir():
        return omezarr.is_zarr(path)
    return path.name.lower().endswith(tuple(suffix for suffixes, _ in _READERS for suffix in suffixes))


def write_labels(path: str | Path, image: Image) -> Path:
    """Write a label map; coarser levels keep whole labels."""
    if image.kind != "labels" or image.dtype.kind not in "bui":
        raise InputError(f"{image.name} is {image.kind} of {image.dtype}; expected labels of whole numbers.")
    return write_image(path, image)
