"""An image that keeps its geometry through everything that is derived from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_medseg.core import axes as axes_
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError

Kind = Literal["raw", "probability", "labels", "stain"]
Box = tuple[slice, ...]

_UM_PER_UNIT = {
    "nm": 1e-3, "nanometer": 1e-3, "um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0,
    "micrometer": 1.0, "mm": 1e3, "millimeter": 1e3, "cm": 1e4, "centimeter": 1e4,
    "m": 1e6, "meter": 1e6,
}  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """Where the pixels lie in the world, in napari's terms, for the spatial axes only.

    ``None`` means "not given": the identity.
    """

    scale: tuple[float, ...]
    units: tuple[str, ...]
    translate: tuple[float, ...]
    rotate: np.ndarray | None = None
    shear: np.ndarray | None = None
    affine: np.ndarray | None = None

    @classmethod
    def plain(cls, ndim: int, scale: tuple[float, ...] | None = None, unit: str = "pixel") -> Geometry:
        """Axis-aligned geometry at the origin."""
        return cls(scale or (1.0,) * ndim, (unit,) * ndim, (0.0,) * ndim)

    def matrix(self) -> np.ndarray:
        """Homogeneous matrix of scale, shear, rotate and translate, then affine (napari's order)."""
        ndim = len(self.scale)
        inner = np.eye(ndim + 1)
        linear = np.diag(self.scale)
        linear = (np.eye(ndim) if self.shear is None else self.shear) @ linear
        linear = (np.eye(ndim) if self.rotate is None else self.rotate) @ linear
        inner[:ndim, :ndim] = linear
        inner[:ndim, ndim] = self.translate
        return inner if self.affine is None else self.affine @ inner

    def coarser(self, factors: tuple[float, ...]) -> Geometry:
        """Geometry of the same scene with pixels ``factors`` times as large.

        The outer edge stays where it is, so the centre of the first pixel moves by half the growth.
        """
        shift = np.array([(factor - 1) / 2 for factor in factors])
        inner = replace(self, affine=None).matrix()[:-1, :-1]
        moved = np.array(self.translate) + inner @ shift
        scale = tuple(s * f for s, f in zip(self.scale, factors, strict=True))
        return replace(self, scale=scale, translate=tuple(moved))


@dataclass(frozen=True)
class Image:
    """A picture, lazily read, with its axes and geometry.

    Parameters
    ----------
    levels
        Arrays (numpy, dask, zarr or anything with ``shape``, ``dtype`` and basic indexing), finest first.
        All have the same axes.
    axes
        One letter an axis, of "tzyxc".
    geometry
        For the spatial axes (all but c) of level 0.
    classes
        Names and colours of labels, where they are known.
    """

    levels: tuple[Any, ...]
    axes: str
    geometry: Geometry
    kind: Kind = "raw"
    name: str = "image"
    classes: tuple[SegmentationClass, ...] = ()

    def __post_init__(self) -> None:
        if not self.levels:
            raise InputError(f"The image {self.name!r} has no data.")
        axes_.check(self.axes, len(self.levels[0].shape))
        if len(self.geometry.scale) != len(self.spatial_axes):
            raise InputError(
                f"The image {self.name!r} has {len(self.spatial_axes)} spatial axes but "
                f"{len(self.geometry.scale)} pixel sizes."
            )

    @classmethod
    def of(cls, array: Any, axes: str = "", **kwargs: Any) -> Image:
        """Wrap one array; axes are guessed (zyx order, no channels) where they are not given."""
        axes = axes or axes_.guess(len(array.shape))
        geometry = kwargs.pop("geometry", None) or Geometry.plain(len(axes_.spatial(axes)))
        return cls((array,), axes, geometry, **kwargs)

    @property
    def spatial_axes(self) -> str:
        """The axes without the channel."""
        return axes_.spatial(self.axes)

    @property
    def channels(self) -> int:
        """Number of channels; 1 where there is no channel axis."""
        return self.levels[0].shape[self.axes.index("c")] if "c" in self.axes else 1

    @property
    def dtype(self) -> np.dtype:
        """Type of the stored values."""
        return np.dtype(self.levels[0].dtype)

    def shape(self, level: int = 0) -> tuple[int, ...]:
        """Spatial shape of a level, the channel axis left out."""
        sizes = zip(self.axes, self.levels[level].shape, strict=True)
        return tuple(size for axis, size in sizes if axis != "c")

    def factors(self, level: int) -> tuple[float, ...]:
        """How many level-0 pixels a pixel of ``level`` spans along each spatial axis."""
        return tuple(
            float(round(a / b)) if abs(a / b - round(a / b)) < 0.05 * a / b else a / b
            for a, b in zip(self.shape(), self.shape(level), strict=True)
        )

    def pixel_size_um(self, level: int = 0) -> tuple[float, ...] | None:
        """Pixel size along each spatial axis in micrometres; None where the unit is no length."""
        plane = [self.geometry.units[self.spatial_axes.index(axis)] for axis in "yx"]
        if any(unit.lower() not in _UM_PER_UNIT for unit in plane):
            return None
        per_unit = [_UM_PER_UNIT.get(unit.lower(), 1.0) for unit in self.geometry.units]
        scales = zip(self.geometry.scale, per_unit, self.factors(level), strict=True)
        return tuple(scale * um * factor for scale, um, factor in scales)

    def read(self, box: Box | None = None, level: int = 0) -> np.ndarray:
        """Read a region as numpy, channels last.

        Parameters
        ----------
        box
            One slice per spatial axis, in pixels of ``level``; None reads all of the level.

        Returns
        -------
        array of shape (*region, channels), in the stored type, native byte order
        """
        spatial_box = box or (slice(None),) * len(self.spatial_axes)
        boxes = iter(spatial_box)
        index = tuple(slice(None) if axis == "c" else next(boxes) for axis in self.axes)
        array = np.asarray(self.levels[level][index])
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if "c" not in self.axes:
            return array[..., np.newaxis]
        return np.moveaxis(array, self.axes.index("c"), -1)

    def at_level(self, level: int) -> Image:
        """The image that starts at ``level``, with the geometry of that level."""
        if level == 0:
            return self
        geometry = self.geometry.coarser(self.factors(level))
        return replace(self, levels=self.levels[level:], geometry=geometry)

    def derive(self, array: Any, kind: Kind, name: str, *, channels: bool = False) -> Image:
        """A result on the same pixels: inherits the whole geometry; ``channels`` adds a last axis c."""
        axes = self.spatial_axes + ("c" if channels else "")
        return Image((array,), axes, self.geometry, kind, name)
