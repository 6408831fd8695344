"""Pixel sizes and units as files give them."""

from __future__ import annotations

_UNITS = {
    "nanometer": "nm", "nanometre": "nm",
    "micrometer": "um", "micrometre": "um", "micron": "um", "microns": "um", "µm": "um", "μm": "um",
    "\\u00b5m": "um",
    "millimeter": "mm", "millimetre": "mm", "centimeter": "cm", "meter": "m",
    "second": "s", "seconds": "s", "sec": "s", "": "pixel", "pixels": "pixel",
}  # fmt: skip

LONG_NAMES = {
    "nm": "nanometer", "um": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter", "s": "second",
}  # fmt: skip
UM = {"nm": 1e-3, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}

_COARSEST_UM = 20.0
"""A coarser resolution tag (1270 dots per inch) is meant for a printer or a screen."""


def plain_unit(name: str) -> str:
    """The short name of a unit: "um" for "micrometer", "µm", "micron"."""
    return _UNITS.get(name.strip().lower(), name.strip())


def from_dots(per_cm_yx: tuple[float, float]) -> tuple[float, float] | None:
    """Pixel size in um along y and x from dots per centimetre; None where they tell of paper, not of tissue."""
    if min(per_cm_yx) <= 0:
        return None
    y_um, x_um = (1e4 / dots for dots in per_cm_yx)
    return (y_um, x_um) if max(y_um, x_um) <= _COARSEST_UM else None
