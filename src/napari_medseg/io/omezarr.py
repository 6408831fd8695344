"""OME-Zarr (NGFF) 0.1 to 0.5 read lazily; 0.5 written by region with its pyramid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_medseg.core import axes as axes_
from napari_medseg.core.classes import SegmentationClass, from_json
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box, Geometry, Image, Kind
from napari_medseg.io import pyramid, resolution
from napari_medseg.io.lazy import READ_ERRORS, View
from napari_medseg.io.saving import fresh

if TYPE_CHECKING:
    import zarr

SUFFIXES = (".zarr",)
ORDER = "tczyx"
"""The order of axes that the format asks for."""
_COLOUR = re.compile("#[0-9a-fA-F]{6}$")
_MALFORMED = (TypeError, IndexError, AttributeError)
"""What comes of attributes that are well-formed JSON of another shape than the format's."""
OWN_KEY = "napari-medseg"
"""Attribute with the parts of the geometry that NGFF 0.5 cannot say: rotation, shear, affine."""


def open_omezarr(path: Path | Any, kind: Kind = "raw") -> Image:
    """Open the first multiscale image of a group, or a bare array; no chunk is read.

    Parameters
    ----------
    path
        A folder, or a zarr store.
    """
    import zarr

    name = path.name if isinstance(path, Path) else "zarr store"
    try:
        node = zarr.open(store=path, mode="r")
        group = _multiscale_group(node, name)
        if isinstance(group, zarr.Array):
            return _bare(group, name, kind)
        return _multiscale(group, name, kind)
    except (*READ_ERRORS, *_MALFORMED) as error:
        raise InputError(f"{name} is not a whole OME-Zarr image ({error}). Copy it again from its source.") from error


def _multiscale_group(node: Any, name: str) -> Any:
    """The group that has the levels; bioformats2raw keeps it in "0"."""
    import zarr

    if isinstance(node, zarr.Array) or "multiscales" in _ome(node):
        return node
    if "0" in node and isinstance(node["0"], zarr.Group) and "multiscales" in _ome(node["0"]):
        return node["0"]
    raise InputError(f"{name} is a zarr group without 'multiscales'; open the image inside it.")


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    attributes: Mapping[str, Any] = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, dict) else attributes


def _bare(array: zarr.Array, name: str, kind: Kind) -> Image:
    axes = axes_.guess(array.ndim)
    geometry = Geometry.plain(len(axes_.spatial(axes)))
    return Image((View(array, tuple(range(array.ndim)), name),), axes, geometry, kind, _stem(name))


def _stem(name: str) -> str:
    return name.removesuffix(".zarr").removesuffix(".ome")


def _multiscale(group: zarr.Group, name: str, kind: Kind) -> Image:
    scales: Any = _ome(group)["multiscales"]
    first = scales[0]
    arrays: list[Any] = [group[dataset["path"]] for dataset in first["datasets"]]
    names, units = _named_axes(first.get("axes"), arrays[0].ndim, name)
    shown = tuple(i for i, axis in enumerate(names) if axis in "yx" or arrays[0].shape[i] > 1)
    axes = axes_.check("".join(names[i] for i in shown), len(shown))
    scale, translate = _transform(first, arrays[0].ndim)
    space = [i for i in shown if names[i] != "c"]
    vectors = [tuple(float(vector[i]) for i in space) for vector in (scale, translate)]
    geometry = Geometry(vectors[0], tuple(units[i] for i in space), vectors[1], **_own(group))
    levels = tuple(View(array, shown, name) for array in arrays)
    stored: Kind = "labels" if "image-label" in _ome(group) else kind
    title = str(first.get("name") or "").strip("/") or _stem(name)
    return Image(levels, axes, geometry, stored, title, _classes(_ome(group).get("image-label")))


def _classes(described: Any) -> tuple[SegmentationClass, ...]:
    """Names and colours of labels; what others have written in another way is passed over."""
    lists = described if isinstance(described, dict) else {}
    found: dict[str, dict[str, str]] = {}
    for row in [*(lists.get("colors") or ()), *(lists.get("properties") or ())]:
        if isinstance(row, dict) and isinstance(row.get("label-value"), int) and row["label-value"] > 0:
            said = found.setdefault(str(row["label-value"]), {})
            said |= {"name": str(row["class"])} if row.get("class") else {}
            said |= {"colour": _colour(row["rgba"])} if _is_rgba(row.get("rgba")) else {}
    return from_json({label: said for label, said in found.items() if said})


def _is_rgba(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(part in range(256) for part in value)


def _colour(rgba: list[int]) -> str:
    return "#" + bytes(map(int, rgba[:3])).hex()


def _named_axes(axes: Any, ndim: int, name: str) -> tuple[list[str], list[str]]:
    """Letters and units; version 0.3 gives names only, earlier ones always t, c, z, y, x."""
    listed = [{"name": letter} for letter in ORDER[-ndim:]] if axes is None else axes
    listed = [{"name": item} if isinstance(item, str) else item for item in listed]
    names = [str(item["name"]).lower() for item in listed]
    names = ["c" if letter in axes_.CHANNEL_NAMES else letter for letter in names]
    if len(names) != ndim or set(names) - set(ORDER):
        raise InputError(f"{name} has the axes {', '.join(names)}; expected {ndim} of t, c, z, y, x.")
    return names, [resolution.plain_unit(str(item.get("unit") or "")) for item in listed]


def _transform(scales: Mapping[str, Any], ndim: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale and translation of level 0: its own transforms, then those of the whole pyramid."""
    scale, translate = np.ones(ndim), np.zeros(ndim)
    own = scales["datasets"][0].get("coordinateTransformations") or []
    for step in [*own, *(scales.get("coordinateTransformations") or [])]:
        factor = np.array(step.get("scale", np.ones(ndim)), dtype=float)
        scale, translate = scale * factor, translate * factor + np.array(step.get("translation", np.zeros(ndim)))
    return scale, translate


def _own(group: zarr.Group) -> dict[str, np.ndarray]:
    found: Any = group.attrs.get(OWN_KEY) or {}
    return {key: np.array(found[key], dtype=float) for key in ("rotate", "shear", "affine") if key in found}


# --- writing --------------------------------------------------------------------------------------------------


def create_pyramid(
    path: Path,
    shape: tuple[int, ...],
    dtype: Any,
    axes: str,
    geometry: Geometry,
    kind: Kind = "raw",
    name: str = "image",
    chunk: int = pyramid.TILE,
    count: int | None = None,
    classes: Sequence[SegmentationClass] = (),
) -> tuple[zarr.Array, ...]:
    """Create an empty OME-Zarr 0.5 image and return its levels, finest first.

    Write into level 0 in any order, then call `build_pyramid` for the regions that were written.

    Parameters
    ----------
    axes
        In the order t, c, z, y, x, as the format asks; any but y and x may be missing.
    geometry
        For the spatial axes.
    count
        Number of levels; as many as a viewer needs by default.
    classes
        Names and colours of labels.
    """
    import zarr

    axes_.check(axes, len(shape))
    if axes != "".join(letter for letter in ORDER if letter in axes):
        raise InputError(f"OME-Zarr wants its axes in the order {ORDER}, not {axes}.")
    shapes = pyramid.level_shapes(shape, axes, count=count)
    attributes = _attributes(axes, len(shapes), geometry, kind, name)
    if kind == "labels":
        attributes["ome"]["image-label"] = _image_label(classes)
    group = zarr.create_group(store=path, attributes=attributes)
    native = np.dtype(dtype).newbyteorder("=")
    limits = {"y": chunk, "x": chunk}
    return tuple(
        group.create_array(
            str(number),
            shape=level,
            chunks=tuple(max(min(size, limits.get(axis, 1)), 1) for size, axis in zip(level, axes, strict=True)),
            dtype=native,
            dimension_names=list(axes),
        )
        for number, level in enumerate(shapes)
    )


def build_pyramid(levels: tuple[Any, ...], axes: str, kind: Kind = "raw", box: Box | None = None) -> Iterator[Box]:
    """Fill the coarser levels from level 0, a tile at a time; yields each tile after it was written.

    Parameters
    ----------
    box
        Only what depends on this region of level 0 (one slice per axis); None does all of it.
    """
    for finer, coarser in zip(levels, levels[1:], strict=False):
        box = box and pyramid.halved_box(box, axes)
        for target in pyramid.boxes(tuple(coarser.shape), axes, within=box):
            source = tuple(
                slice(2 * new.start, min(2 * new.stop, size)) if axis in "yx" else new
                for new, axis, size in zip(target, axes, finer.shape, strict=True)
            )
            coarser[target] = pyramid.halve(np.asarray(finer[source]), axes, kind == "labels")
            yield target


def write_omezarr(path: Path, image: Image) -> None:
    """Write OME-Zarr 0.5 with a pyramid; reads region by region. What is at ``path`` is replaced.

    Regions of background alone take no room. Labels keep the levels that they have; see `pyramid.levels_to_keep`.
    """
    axes = "".join(letter for letter in ORDER if letter in image.axes)
    place = [image.axes.index(letter) for letter in axes]
    shape = tuple(image.levels[0].shape[i] for i in place)
    geometry = _sorted_geometry(image.geometry, image.spatial_axes, axes_.spatial(axes))
    kept = pyramid.levels_to_keep(image)
    count = len(kept) if len(kept) > 1 else None
    with fresh(path) as target:
        levels = create_pyramid(
            target, shape, image.dtype, axes, geometry, image.kind, image.name, count=count, classes=image.classes
        )
        for source, level in zip(kept, levels, strict=False):
            for box in pyramid.boxes(tuple(level.shape), axes):
                spans = dict(zip(axes, box, strict=True))
                block = np.asarray(source[tuple(spans[letter] for letter in image.axes)])
                # A new array is background all over, and asking costs a hundredth of what writing does.
                if block.any():
                    level[box] = block.transpose(place).astype(level.dtype, copy=False)
        for _ in build_pyramid(levels[len(kept) - 1 :], axes, image.kind):
            pass


def is_zarr(path: Path) -> bool:
    """Whether the folder is a zarr group or array."""
    return any((path / mark).is_file() for mark in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


def _sorted_geometry(geometry: Geometry, old: str, new: str) -> Geometry:
    """The geometry with its axes in another order."""
    place = [old.index(letter) for letter in new]
    square = [None if m is None else m[np.ix_(place, place)] for m in (geometry.rotate, geometry.shear)]
    full = [*place, len(place)]
    affine = None if geometry.affine is None else geometry.affine[np.ix_(full, full)]
    return Geometry(
        tuple(geometry.scale[i] for i in place),
        tuple(geometry.units[i] for i in place),
        tuple(geometry.translate[i] for i in place),
        rotate=square[0],
        shear=square[1],
        affine=affine,
    )


def _attributes(axes: str, levels: int, geometry: Geometry, kind: Kind, name: str) -> dict[str, Any]:
    spatial = axes_.spatial(axes)
    datasets = []
    for number in range(levels):
        growth = [float(2**number) if letter in "yx" else 1.0 for letter in spatial]
        level = geometry.coarser(tuple(growth))
        steps = {"scale": (level.scale, 1.0), "translation": (level.translate, 0.0)}
        transforms = [{"type": key, key: _with_channel(axes, *step)} for key, step in steps.items()]
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    units = dict(zip(spatial, geometry.units, strict=True))
    ome: dict[str, Any] = {
        "version": "0.5",
        "multiscales": [{"name": name, "axes": [_axis(letter, units) for letter in axes], "datasets": datasets}],
    }
    own = {key: getattr(geometry, key) for key in ("rotate", "shear", "affine")}
    stored = {key: np.asarray(matrix).tolist() for key, matrix in own.items() if matrix is not None}
    return {"ome": ome} | ({OWN_KEY: stored} if stored else {})


def _image_label(classes: Sequence[SegmentationClass]) -> dict[str, Any]:
    """What says that an image is one of labels, with the names and colours of those that have any."""
    colours = [{"label-value": row.label, "rgba": _rgba(row.colour)} for row in classes if _COLOUR.match(row.colour)]
    names = [{"label-value": row.label, "class": row.name} for row in classes if row.name]
    lists = {"colors": colours, "properties": names}
    return {"version": "0.5", **{key: rows for key, rows in lists.items() if rows}}


def _rgba(colour: str) -> list[int]:
    return [*bytes.fromhex(colour[1:7]), 255]


def _axis(letter: str, units: Mapping[str, str]) -> dict[str, str]:
    kind = {"t": "time", "c": "channel"}.get(letter, "space")
    unit = resolution.LONG_NAMES.get(resolution.plain_unit(units.get(letter, "")))
    return {"name": letter, "type": kind} | ({"unit": unit} if unit else {})


def _with_channel(axes: str, vector: tuple[float, ...], channel: float) -> list[float]:
    spatial = iter(vector)
    return [channel if letter == "c" else float(next(spatial)) for letter in axes]
