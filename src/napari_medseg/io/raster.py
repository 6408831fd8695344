"""PNG, JPEG and other plain pictures, through Pillow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image, Kind
from napari_medseg.io import resolution, values
from napari_medseg.io.lazy import READ_ERRORS
from napari_medseg.io.saving import fresh

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_INSTEAD = "Save as OME-TIFF or OME-Zarr."
_DEEP_COLOUR = {(16, 2), (16, 4), (16, 6)}
"""Bit depth and colour type of PNG files that Pillow would cut down to 8 bits."""


def open_raster(path: Path, kind: Kind = "raw") -> Image:
    """Read a picture; a palette stays as indices for labels and becomes colours otherwise."""
    from PIL import Image as pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pillow.DecompressionBombWarning)
            with pillow.open(path) as picture:
                if kind == "labels" and picture.format == "JPEG":
                    raise InputError(f"{path.name} is a JPEG, which changes labels. Save them as .png or .tif.")
                array = _deep(path) if _is_deep(path) else _array(picture, kind)
                size_um = _pixel_size(picture)
    except pillow.DecompressionBombError as error:
        raise InputError(f"{path.name} is too large for this format; convert it to OME-TIFF or OME-Zarr.") from error
    except (*READ_ERRORS, SyntaxError) as error:
        raise InputError(f"{path.name} is not a whole picture ({error}); expected PNG or JPEG.") from error
    geometry = Geometry.plain(2) if size_um is None else Geometry.plain(2, size_um, "um")
    return Image.of(array, "yx" if array.ndim == 2 else "yxc", geometry=geometry, kind=kind, name=path.stem)


def _array(picture: Picture, kind: Kind) -> np.ndarray:
    if picture.mode in ("P", "PA") and kind != "labels":
        picture = picture.convert("RGBA")
    elif picture.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    array = np.array(picture)
    if picture.mode in ("RGBA", "LA") and (array[..., -1] == 255).all():
        array = array[..., :-1]
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _is_deep(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(26)
    return head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) == 26 and (head[24], head[25]) in _DEEP_COLOUR


def _deep(path: Path) -> np.ndarray:
    try:
        from imagecodecs import png_decode
    except ImportError as error:
        raise InputError(
            f"{path.name} has 16 bits per colour, which needs imagecodecs: pip install napari-medseg[slides]"
        ) from error
    return np.asarray(png_decode(path.read_bytes()))


def _pixel_size(picture: Picture) -> tuple[float, float] | None:
    dots = picture.info.get("dpi")
    return resolution.from_dots((float(dots[1]) / 2.54, float(dots[0]) / 2.54)) if dots else None


def write_png(path: Path, image: Image) -> None:
    """Write a 2D image of whole numbers: 8 or 16 bits grey, or 8 bits RGB(A)."""
    from PIL import Image as pillow

    array = _writable(image, path.name)
    picture = pillow.fromarray(array)
    size_um = image.pixel_size_um()
    options = {} if size_um is None else {"dpi": (25400 / size_um[1], 25400 / size_um[0])}
    with fresh(path) as target:
        picture.save(target, format="PNG", **options)


def check_png(image: Image, name: str) -> None:
    """Complain about what ``name``, a PNG, does not hold; no pixel is read."""
    if len(image.spatial_axes) != 2:
        raise InputError(f"{image.name} has the axes {image.axes}; PNG holds y and x only. {_INSTEAD}")
    if image.dtype.kind not in "bui":
        raise InputError(f"{image.name} has {image.dtype} values; PNG holds whole numbers. {_INSTEAD}")
    if image.channels > 1 and (image.channels not in (3, 4) or image.dtype != np.uint8):
        raise InputError(
            f"{image.name} has {image.channels} channels of {image.dtype}; PNG takes 1 channel, or 3 or 4 of uint8. "
            f"{_INSTEAD}"
        )


def _writable(image: Image, name: str) -> np.ndarray:
    check_png(image, name)
    array = image.read()
    return _grey(array[..., 0], image.name) if array.shape[-1] == 1 else np.ascontiguousarray(array)


def _grey(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype == bool or array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    small = array.dtype != np.uint16 and (array.size == 0 or int(array.max()) < 256)
    return values.cast(np.ascontiguousarray(array), np.dtype(np.uint8 if small else np.uint16), name)
