"""Readers and writers, one file per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image, Kind
from napari_medseg.io import nifti, omezarr, raster, tiff

Function = TypeVar("Function")
Reader = Callable[[Path, Kind], Image]
Writer = Callable[[Path, Image], None]

_READERS: tuple[tuple[tuple[str, ...], Reader], ...] = (
    (tiff.SUFFIXES, tiff.open_tiff),
    (omezarr.SUFFIXES, omezarr.open_omezarr),
    (raster.SUFFIXES, raster.open_raster),
    (nifti.SUFFIXES, nifti.open_nifti),
)
_WRITERS: tuple[tuple[tuple[str, ...], Writer], ...] = (
    ((".tif", ".tiff"), tiff.write_tiff),
    (omezarr.SUFFIXES, omezarr.write_omezarr),
    ((".png",), raster.write_png),
    (nifti.SUFFIXES, nifti.write_nifti),
)
_MARKS: tuple[tuple[bytes, Reader], ...] = (
    (b"II*\0", tiff.open_tiff),
    (b"MM\0*", tiff.open_tiff),
    (b"II+\0", tiff.open_tiff),
    (b"MM\0+", tiff.open_tiff),
    (b"\x89PNG", raster.open_raster),
    (b"\xff\xd8\xff", raster.open_raster),
)
"""First bytes of the formats that have such; they count more than the suffix."""


def open_image(path: str | Path, kind: Kind = "raw") -> Image:
    """Open an image file or an OME-Zarr folder; large ones are read when they are indexed.

    Parameters
    ----------
    path
        TIFF, OME-TIFF, OME-Zarr, PNG, JPEG, or NIfTI.
    kind
        What the values mean, where the file does not say: "labels" for a label map.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the name and the folder.")
    return _reader(path)(path, kind)


def _reader(path: Path) -> Reader:
    if path.is_dir():
        if omezarr.is_zarr(path):
            return omezarr.open_omezarr
        raise InputError(f"{path.name} is a folder; expected an image file or an OME-Zarr folder.")
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Check its rights.") from error
    if not head:
        raise InputError(f"{path.name} is empty. Copy it again from where it came.")
    marked = next((reader for mark, reader in _MARKS if head.startswith(mark)), None)
    return marked or _by_suffix(path, _READERS, "is not an image that can be read")


def write_image(path: str | Path, image: Image) -> Path:
    """Write level 0 of an image in the format that the suffix names, with a pyramid where the format has one."""
    path = Path(path)
    check_writable(path)
    _by_suffix(path, _WRITERS, "cannot be written")(path, image)
    return path


def check_writable(path: Path) -> None:
    """Complain, ahead of a long run, about a format that cannot be written or a folder that is not there."""
    _by_suffix(path, _WRITERS, "cannot be written")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist. Make it, or choose another.")


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


def _by_suffix(path: Path, table: tuple[tuple[tuple[str, ...], Function], ...], failure: str) -> Function:
    name = path.name.lower()
    for suffixes, function in table:
        if name.endswith(suffixes):
            return function
    known = ", ".join(suffix for suffixes, _ in table for suffix in suffixes)
    raise InputError(f"{path.name} {failure}: its name ends in {path.suffix or 'nothing'!r}; known are {known}.")
