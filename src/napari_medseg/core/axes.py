"""Names of array axes: t (time), z, y, x (space) and c (channel)."""

from __future__ import annotations

from collections.abc import Sequence

from napari_medseg.core.errors import InputError

LETTERS = "tzyxc"
CHANNEL_NAMES = {"c", "channel", "channels", "ch"}


def check(axes: str, ndim: int) -> str:
    """Return ``axes`` if it names ``ndim`` axes of an image that has y and x; else raise."""
    if len(axes) != ndim:
        raise InputError(f"The axes {axes!r} name {len(axes)} axes, but the image has {ndim}.")
    if len(set(axes)) != len(axes) or set(axes) - set(LETTERS):
        raise InputError(f"The axes {axes!r} are not understood; use each of {LETTERS!r} at most once.")
    if "y" not in axes or "x" not in axes:
        raise InputError(f"The axes {axes!r} have no y and x; a picture needs both.")
    if not spatial(axes).endswith("yx"):
        raise InputError(f"The axes {axes!r} do not end with y, x (channels aside); transpose the image.")
    return axes


def spatial(axes: str) -> str:
    """Return ``axes`` without the channel axis."""
    return axes.replace("c", "")


def guess(ndim: int, *, rgb: bool = False, labels: Sequence[str] = ()) -> str:
    """Guess the axes of an array from napari's hints.

    Parameters
    ----------
    ndim
        Dimensions of the array, the colour axis of an RGB image included.
    rgb
        The last axis holds red, green, blue (and alpha).
    labels
        Names of the axes where the user or the file gave any.
    """
    named = _from_labels(labels, ndim - rgb)
    plain = _plain(ndim - rgb) if not named or (rgb and "c" in named) else named
    return plain + "c" if rgb else plain


def _plain(ndim: int) -> str:
    if not 2 <= ndim <= 4:
        raise InputError(f"An image with {ndim} axes is not supported; open one with 2 to 4 axes (t, z, y, x).")
    return "tzyx"[-ndim:]


def _from_labels(labels: Sequence[str], ndim: int) -> str:
    letters = "".join("c" if name.lower() in CHANNEL_NAMES else name.lower()[:1] for name in labels)
    usable = len(letters) == ndim and len(set(letters)) == ndim and set(letters) <= set(LETTERS)
    return letters if usable and spatial(letters).endswith("yx") else ""
