"""What a tool yields while it runs. Events are plain data: they cross process borders."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True)
class Progress:
    """How far the run is; ``total`` 0 means that the end is not known."""

    done: int
    total: int
    message: str = ""


@dataclass(frozen=True)
class Tile:
    """A region of the result layer ``layer`` is ready; draw it.

    ``offset`` is the first index of ``data`` in the full result array, in its pixels.
    """

    layer: str
    offset: tuple[int, ...]
    data: np.ndarray


@dataclass(frozen=True)
class Scalar:
    """One point of the curve ``name``."""

    name: str
    step: int
    value: float


@dataclass(frozen=True)
class Note:
    """A sentence for the user."""

    message: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True)
class Draft:
    """A model as good as what is drawn so far has been stored in the file ``model``."""

    model: str


Event = Progress | Tile | Scalar | Note | Draft


@dataclass(frozen=True)
class Result:
    """What a run leaves behind.

    ``summary`` is the one line shown when the run ends; ``values`` holds JSON-able facts
    (paths, figures, seed, model digest) and small numpy arrays.
    """

    summary: str
    values: dict[str, Any] = field(default_factory=dict)


Run = Generator[Event, None, Result]
