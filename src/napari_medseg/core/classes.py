"""The classes of an annotation: a name and a colour for each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

PALETTE = ("#e6553a", "#3a9ee6", "#5fbf4c", "#f2c231", "#b36ae2", "#45c8c1", "#f08bb4", "#9a7b4f", "#c9c9c9")


@dataclass(frozen=True)
class SegmentationClass:
    """One class: its label in the scribbles, its name and its colour (#rrggbb)."""

    label: int
    name: str
    colour: str


def default_class(label: int) -> SegmentationClass:
    """What a label is called, and its colour, where nobody has said so."""
    return SegmentationClass(label, f"class {label}", PALETTE[(label - 1) % len(PALETTE)])


def to_json(classes: Iterable[SegmentationClass]) -> dict[str, dict[str, str]]:
    """Plain values, for a layer's metadata or a session."""
    return {str(row.label): {"name": row.name, "colour": row.colour} for row in classes}


def from_json(stored: Mapping[str, Any]) -> tuple[SegmentationClass, ...]:
    """Classes from plain values, in the order of their labels; what is not said is as by default."""
    rows = (replace(default_class(int(label)), **_known(row)) for label, row in stored.items())
    return tuple(sorted(rows, key=lambda row: row.label))


def _known(row: Mapping[str, Any]) -> dict[str, str]:
    """What this version knows of a row; a newer one may say more."""
    return {key: str(row[key]) for key in ("name", "colour") if key in row}
