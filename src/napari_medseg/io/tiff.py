"""TIFF and OME-TIFF: every level read lazily; written tile by tile with its pyramid."""

from __future__ import annotations

import re
import tempfile
import weakref
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_medseg.core import axes as axes_
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box, Geometry, Image, Kind
from napari_medseg.io import pyramid, resolution, values
from napari_medseg.io.lazy import READ_ERRORS, View
from napari_medseg.io.saving import fresh

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

SUFFIXES = (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn", ".bif", ".qptiff")


def open_tiff(path: Path, kind: Kind = "raw") -> Image:
    """Open the largest series of a TIFF (not the label or the overview) with all its levels; no pixel is read."""
    from tifffile import TiffFile

    try:
        file = TiffFile(path)
    except READ_ERRORS as error:
        raise InputError(f"{path.name} is not a whole TIFF file ({error}); expected TIFF or OME-TIFF.") from error
    keep = _Open(file)
    try:
        return _largest_series(file, path.name, keep, kind)
    except READ_ERRORS as error:
        raise InputError(f"{path.name} is damaged or incomplete ({error}). Copy it again from its source.") from error


class _Open:
    """Closes the file when the last array on it is gone."""

    def __init__(self, file: TiffFile) -> None:
        weakref.finalize(self, file.close)


def _largest_series(file: TiffFile, name: str, keep: _Open, kind: Kind) -> Image:
    import zarr

    number = max(range(len(file.series)), key=lambda i: _area(file.series[i]), default=None)
    if number is None or _area(file.series[number]) == 0:
        raise InputError(f"{name} holds no image. Copy it again from its source.")
    series = file.series[number]
    _check_codec(series, name)
    axes, order = _axes(series.axes, series.shape, name)
    levels = tuple(
        View(zarr.open(series.aszarr(level=depth), mode="r"), order, name, keep)
        for depth, level in enumerate(series.levels)
        if level.axes == series.axes
    )
    return Image(levels, axes, _geometry(file, number, axes_.spatial(axes)), kind, _stem(name))


def _area(series: TiffPageSeries) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes.get("Y", 0) * sizes.get("X", 0)


def _stem(name: str) -> str:
    return re.sub(r"(\.ome)?\.\w+$", "", name, flags=re.IGNORECASE)


def _check_codec(series: TiffPageSeries, name: str) -> None:
    from tifffile import TIFF

    compression = series.keyframe.compression
    try:
        TIFF.DECOMPRESSORS[compression]
    except KeyError as error:
        raise InputError(
            f"{name} is compressed with {getattr(compression, 'name', compression)}, which needs imagecodecs: "
            "pip install napari-medseg[slides]"
        ) from error


def _axes(stored: str, shape: tuple[int, ...], name: str) -> tuple[str, tuple[int, ...]]:
    """Our letters and the axes to show, from tifffile's: S (samples) is c, an unnamed stack is z, then t."""
    shown = [i for i, (axis, size) in enumerate(zip(stored, shape, strict=True)) if size > 1 or axis in "YX"]
    known = {stored[i] for i in shown}
    free = [letter for letter in "zt" if letter.upper() not in known]
    letters = {}
    for i in reversed(shown):
        axis = stored[i]
        if axis in "TZYXC":
            letters[i] = axis.lower()
        elif axis == "S" and "C" not in known:
            letters[i] = "c"
        elif free:
            letters[i] = free.pop(0)
        else:
            raise InputError(f"{name} has the axes {stored} of size {shape}; at most t, z, y, x and c are read.")
    axes = "".join(letters[i] for i in shown)
    return axes_.check(axes, len(shown)), tuple(shown)


# --- pixel size -----------------------------------------------------------------------------------------------


def _geometry(file: TiffFile, series: int, spatial: str) -> Geometry:
    page = file.series[series].keyframe
    sizes = _ome_sizes(file, series) or _imagej_sizes(file, page) or _tag_sizes(page)
    scale = tuple(sizes[axis][0] if axis in sizes else 1.0 for axis in spatial)
    units = tuple(sizes[axis][1] if axis in sizes else "pixel" for axis in spatial)
    return Geometry(scale, units, (0.0,) * len(spatial))


def _ome_sizes(file: TiffFile, series: int) -> dict[str, tuple[float, str]]:
    """Pixel size and unit by axis from the OME-XML."""
    if not file.ome_metadata:
        return {}
    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return {}
    images = root.findall(".//{*}Pixels")
    found = dict(images[series].attrib) if series < len(images) else {}
    steps = {"x": "PhysicalSizeX", "y": "PhysicalSizeY", "z": "PhysicalSizeZ"}
    sizes = {axis: (float(found[key]), found.get(f"{key}Unit", "µm")) for axis, key in steps.items() if key in found}
    return {axis: (size, resolution.plain_unit(unit)) for axis, (size, unit) in sizes.items() if size > 0}


def _imagej_sizes(file: TiffFile, page: Any) -> dict[str, tuple[float, str]]:
    """Pixel size and unit by axis from ImageJ's header: pixels per unit in the resolution tags."""
    found = file.imagej_metadata
    unit = resolution.plain_unit(str((found or {}).get("unit", "")))
    if not found or unit not in resolution.UM:
        return {}
    per_unit = {"y": _ratio(page, "YResolution"), "x": _ratio(page, "XResolution")}
    sizes = {axis: (1 / dots, unit) for axis, dots in per_unit.items() if dots > 0}
    if found.get("spacing"):
        sizes["z"] = (abs(float(found["spacing"])), unit)
    return sizes


def _tag_sizes(page: Any) -> dict[str, tuple[float, str]]:
    """Pixel size from the scanner's description (Aperio's MPP) or the resolution tags."""
    mpp = re.search(r"\bMPP\s*=\s*([0-9.]+)", page.description or "")
    if mpp and float(mpp[1]) > 0:
        return {axis: (float(mpp[1]), "um") for axis in "yx"}
    tag = page.tags.get("ResolutionUnit")
    units_per_cm = {2: 1 / 2.54, 3: 1.0}.get(int(tag.value) if tag else 0)
    if units_per_cm is None:
        return {}
    dots = _ratio(page, "YResolution") * units_per_cm, _ratio(page, "XResolution") * units_per_cm
    size = resolution.from_dots(dots)
    return {} if size is None else {"y": (size[0], "um"), "x": (size[1], "um")}


def _ratio(page: Any, tag: str) -> float:
    found = page.tags.get(tag)
    if found is None:
        return 0.0
    above, below = found.value
    return above / below if below else 0.0


# --- writing --------------------------------------------------------------------------------------------------


def write_tiff(path: Path, image: Image, tile: int = pyramid.TILE) -> None:
    """Write a tiled, deflated OME-TIFF with a pyramid in SubIFDs.

    Reads each region once and holds a few tiles at a time. The pixel size is kept; OME-TIFF has no place
    for a rotation or an affine (OME-Zarr has). Labels keep the levels that they have (see
    `pyramid.levels_to_keep`), and all their empty tiles are one in the file.
    """
    from tifffile import TiffWriter

    plan = _Plan(image)
    kept = len(pyramid.levels_to_keep(image))
    shapes = pyramid.level_shapes(plan.shape, plan.axes, count=kept if kept > 1 else None)
    options = {"tile": (tile, tile), "compression": "zlib", "photometric": "rgb" if plan.rgb else "minisblack"}
    options |= plan.resolution()
    large = int(np.prod(plan.shape, dtype=np.int64)) * plan.dtype.itemsize > 2**31
    with fresh(path) as target:
        with (
            tempfile.TemporaryDirectory(dir=target.parent) as scratch,
            TiffWriter(target, ome=True, bigtiff=large) as writer,
        ):
            source: Any = None
            for number, shape in enumerate(shapes):
                read = partial(plan.read, level=number) if number < kept else source.__getitem__
                source = _scratch_array(scratch, shapes, number, plan) if number + 1 >= kept else None
                writer.write(
                    _tiles(plan, read, shape, source, tile),
                    shape=shape,
                    dtype=plan.dtype,
                    subifds=len(shapes) - 1 if number == 0 else None,
                    subfiletype=1 if number else 0,
                    metadata=plan.metadata() if number == 0 else None,
                    **options,
                )
        if plan.labels:
            _share_empty_tile(target, bytes(tile**2 * plan.dtype.itemsize))


class _Plan:
    """How an image is laid out in the file: pages over t, z, c (any order), then y, x, then RGB samples."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.dtype = values.storable(image.dtype)
        self.labels = image.kind == "labels"
        colour = image.axes.endswith("c") and image.channels in (3, 4)
        self.rgb = colour and self.dtype.kind == "u" and not self.labels
        pages = "".join(axis for axis in image.axes if axis not in ("yxc" if self.rgb else "yx"))
        self.axes = pages + "yx" + ("c" if self.rgb else "")
        sizes = dict(zip(image.axes, image.levels[0].shape, strict=True))
        self.shape = tuple(sizes[axis] for axis in self.axes)

    def read(self, box: Box, level: int) -> np.ndarray:
        """A region of a level in the order of the file."""
        spans = dict(zip(self.axes, box, strict=True))
        block = np.asarray(self.image.levels[level][tuple(spans[axis] for axis in self.image.axes)])
        ordered = block.transpose([self.image.axes.index(axis) for axis in self.axes])
        return values.cast(ordered, self.dtype, self.image.name)

    def metadata(self) -> dict[str, Any]:
        """What tifffile turns into OME-XML."""
        found: dict[str, Any] = {"axes": self.axes.upper() if not self.rgb else self.axes[:-1].upper() + "S"}
        found["Name"] = self.image.name
        for axis, size, unit in self._sizes():
            found |= {f"PhysicalSize{axis.upper()}": size, f"PhysicalSize{axis.upper()}Unit": unit.replace("um", "µm")}
        if self.image.classes:
            found["MapAnnotation"] = {str(row.label): f"{row.name} {row.colour}" for row in self.image.classes}
        return found

    def resolution(self) -> dict[str, Any]:
        """Dots per centimetre for readers that know no OME."""
        size_um = self.image.pixel_size_um()
        if size_um is None:
            return {}
        by_axis = dict(zip(self.image.spatial_axes, size_um, strict=True))
        return {"resolution": (1e4 / by_axis["x"], 1e4 / by_axis["y"]), "resolutionunit": "CENTIMETER"}

    def _sizes(self) -> Iterator[tuple[str, float, str]]:
        geometry = self.image.geometry
        for axis, size, unit in zip(self.image.spatial_axes, geometry.scale, geometry.units, strict=True):
            if axis in "zyx":
                yield axis, abs(float(size)), resolution.plain_unit(unit)


def _scratch_array(folder: str, shapes: list[tuple[int, ...]], number: int, plan: _Plan) -> Any:
    """A compressed array on disk for the next level, so that the image is read only once."""
    import zarr

    if number + 1 == len(shapes):
        return None
    chunks = tuple(
        min(size, {"y": pyramid.TILE // 2, "x": pyramid.TILE // 2, "c": size}.get(axis, 1))
        for size, axis in zip(shapes[number + 1], plan.axes, strict=True)
    )
    store = str(Path(folder) / str(number + 1))
    return zarr.create_array(store=store, shape=shapes[number + 1], chunks=chunks, dtype=plan.dtype)


def _tiles(
    plan: _Plan, read: Callable[[Box], Any], shape: tuple[int, ...], coarser: Any, tile: int
) -> Iterator[np.ndarray | None]:
    """Yield the tiles of one level in the order of the file, and fill the next level on the way.

    Of labels, a tile of background alone is ``None``, which tifffile leaves out; not the first, whose type it asks for.
    """
    page_axes = plan.axes.replace("c", "p") if not plan.rgb else plan.axes
    for number, box in enumerate(pyramid.boxes(shape, page_axes, tile)):
        block = np.asarray(read(box))
        if plan.labels and number and not block.any():
            yield None
            continue
        if coarser is not None:
            coarser[pyramid.halved_box(box, plan.axes)] = pyramid.halve(block, plan.axes, plan.labels)
        plane = block[(0,) * (block.ndim - (3 if plan.rgb else 2))]
        margins = [(0, tile - plane.shape[0]), (0, tile - plane.shape[1])] + [(0, 0)] * (plane.ndim - 2)
        yield np.ascontiguousarray(np.pad(plane, margins))


def _share_empty_tile(path: Path, empty: bytes) -> None:
    """Let all tiles that were left out be one tile, at the end of the file.

    Readers built on libtiff (Pillow, ITK, MATLAB) take a tile without bytes for damage.
    """
    from tifffile import TiffFile

    packed = zlib.compress(empty)
    with TiffFile(path, mode="r+") as file:
        end = file.filehandle.seek(0, 2)
        file.filehandle.write(packed)
        for page in _pages(file):
            sizes = page.databytecounts
            offsets = [offset if size else end for offset, size in zip(page.dataoffsets, sizes, strict=True)]
            page.tags["TileOffsets"].overwrite(offsets)
            page.tags["TileByteCounts"].overwrite([size or len(packed) for size in sizes])


def _pages(file: TiffFile) -> Iterator[TiffPage]:
    """All planes of all levels."""
    for level in file.series[0].levels:
        yield from (page.aspage() for page in level.pages if page is not None)
