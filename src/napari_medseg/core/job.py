"""What a tool is asked to do: images, parameters, and where the user is looking."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from napari_medseg.core.image import Image
from napari_medseg.core.params import Params

Span = tuple[int, int]
"""First index and one past the last along one axis."""

Memory = MutableMapping[str, Any]
"""What a tool keeps between runs in one warm process (features, networks); empty at the start."""


@dataclass(frozen=True)
class Job:
    """One run of one tool.

    Parameters
    ----------
    images
        The inputs by role, as the tool's ``ROLES`` names them.
    params
        The tool's own ``Params``.
    view
        One span per spatial axis of the image, in its pixels: what is on screen and comes first.
    branch
        Runs of one branch go on from each other; another one forgets what the memory has learned.
    """

    images: Mapping[str, Image]
    params: Params
    view: tuple[Span, ...] | None = None
    branch: int = 0
