"""TIFF and OME-TIFF: every level read lazily; written tile by tile with its pyramid."""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
import uuid
import weakref
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_medseg.core import axes as axes_
from napari_medseg.core.classes import SegmentationClass, from_json
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box, Geometry, Image, Kind
from napari_medseg.io import pyramid, resolution, values
from napari_medseg.io.lazy import READ_ERRORS, View
from napari_medseg.io.saving import fresh

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

SUFFIXES = (".tif", ".tiff", ".btf", ".svs", ".ndpi", ".scn", ".bif", ".qptiff")

CLASSES_NAMESPACE = "napari-medseg/classes"
"""Of the annotation that names the classes: each label with its name and its colour, as in "tumour #e6553a"."""
_NO_UUID = str(uuid.UUID(int=0))


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
    _check_whole(file, series.keyframe, name)
    _check_codec(series, name)
    axes, order = _axes(series.axes, series.shape, name)
    levels = tuple(
        View(zarr.open(series.aszarr(level=depth), mode="r"), order, name, keep)
        for depth, level in enumerate(series.levels)
        if level.axes == series.axes
    )
    described = _described(file)
    classes = _classes(described)
    geometry = _geometry(file, number, axes_.spatial(axes), described)
    return Image(levels, axes, geometry, "labels" if classes else kind, _stem(name), classes)


def _area(series: TiffPageSeries) -> int:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    return sizes.get("Y", 0) * sizes.get("X", 0)


def _stem(name: str) -> str:
    return re.sub(r"(\.ome)?\.\w+$", "", name, flags=re.IGNORECASE)


def _check_whole(file: TiffFile, page: TiffPage, name: str) -> None:
    """Complain about a page that is larger than the file and has too few tiles, which would be read as empty."""
    there, expected = len(page.dataoffsets), math.prod(page.chunked)
    if there < expected and page.nbytes > file.filehandle.size:
        raise InputError(
            f"{name} is damaged or incomplete: it has {there} of the {expected} parts that its size "
            f"{' x '.join(map(str, page.shape))} asks for. Copy it again from its source."
        )


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


# --- what stands in the OME-XML, and pixel size ---------------------------------------------------------------


def _described(file: TiffFile) -> ElementTree.Element:
    """The OME-XML; an empty element where there is none."""
    try:
        return ElementTree.fromstring(file.ome_metadata or "<OME/>")
    except ElementTree.ParseError:
        return ElementTree.Element("OME")


def _classes(described: ElementTree.Element) -> tuple[SegmentationClass, ...]:
    """Names and colours of labels, as `_Plan.metadata` writes them."""
    rows = described.findall(f".//{{*}}MapAnnotation[@Namespace='{CLASSES_NAMESPACE}']/{{*}}Value/{{*}}M")
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        label, said = row.get("K", ""), re.fullmatch(r"(.*?) ?(#[0-9a-fA-F]{6})?", row.text or "", re.DOTALL)
        if re.fullmatch("[1-9][0-9]{0,18}", label) and said:
            parts = {"name": said[1], "colour": said[2]}
            found[label] = {key: part for key, part in parts.items() if part}
    return from_json(found)


def _geometry(file: TiffFile, series: int, spatial: str, described: ElementTree.Element) -> Geometry:
    page = file.series[series].keyframe
    sizes = _ome_sizes(described, series) or _imagej_sizes(file, page) or _tag_sizes(page)
    scale = tuple(sizes[axis][0] if axis in sizes else 1.0 for axis in spatial)
    units = tuple(sizes[axis][1] if axis in sizes else "pixel" for axis in spatial)
    return Geometry(scale, units, (0.0,) * len(spatial))


def _ome_sizes(described: ElementTree.Element, series: int) -> dict[str, tuple[float, str]]:
    """Pixel size and unit by axis from the OME-XML."""
    images = described.findall(".//{*}Pixels")
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
    `pyramid.levels_to_keep`), and all their empty tiles are one in the file. Equal images make equal bytes.
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
        _name_by_content(target)


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
        found |= {"Name": _for_xml(self.image.name), "UUID": _NO_UUID}
        for axis, size, unit in self._sizes():
            found |= {f"PhysicalSize{axis.upper()}": size, f"PhysicalSize{axis.upper()}Unit": unit.replace("um", "µm")}
        if self.image.classes:
            rows = {str(row.label): _for_xml(f"{row.name} {row.colour}") for row in self.image.classes}
            found["MapAnnotation"] = {"Namespace": CLASSES_NAMESPACE, "Value": rows}
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


def _name_by_content(path: Path) -> None:
    """Put a UUID made from the file itself in the place of the empty one: other content, and only that, is another."""
    from tifffile import TiffFile

    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with TiffFile(path, mode="r+") as file:
        tag = file.pages.first.tags["ImageDescription"]
        file.filehandle.seek(tag.valueoffset)
        text = file.filehandle.read(tag.count).replace(
            _NO_UUID.encode(), str(uuid.uuid5(uuid.NAMESPACE_OID, digest)).encode(), 1
        )
        file.filehandle.seek(tag.valueoffset)
        file.filehandle.write(text)


def _for_xml(text: str) -> str:
    """The text without the characters that XML cannot hold."""
    return re.sub(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


def _pages(file: TiffFile) -> Iterator[TiffPage]:
    """All planes of all levels."""
    for level in file.series[0].levels:
        yield from (page.aspage() for page in level.pages if page is not None)
