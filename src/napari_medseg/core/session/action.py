"""One action of the history: who did what, when, with what; and the step that undo, redo or a jump makes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from napari_medseg.core.edits import Box, Edit
from napari_medseg.core.errors import InputError

START = 0
"""The id of the state before the first action; no row has it."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The time by this machine's clock, which may be wrong: the order of actions never comes from it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Action:
    """One row of the journal.

    Parameters
    ----------
    id, parent
        An action's id is always greater than its parent's; ``START`` is the parent of the first.
    boxes
        By layer: what was touched, in pixels of level 0.
    model
        Digest of the model that took part; empty for none.
    """

    id: int
    parent: int
    time_utc: str
    who: str
    tool: str
    name: str
    boxes: dict[str, Box] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    model: str = ""

    def fields(self) -> tuple[Any, ...]:
        """The columns of its row."""
        texts = (clean(text) for text in (self.time_utc, self.who, self.tool, self.name))
        return self.parent, *texts, to_json(self.boxes), to_json(self.parameters), clean(self.model)

    @classmethod
    def of_row(cls, row_id: int, row: Sequence[Any]) -> Action:
        """The action of a row of the journal."""
        parent, time_utc, who, tool, name, boxes, parameters, model = row
        return cls(row_id, parent, time_utc, who, tool, name, boxes_of(boxes), json.loads(parameters), model)


@dataclass(frozen=True)
class DocChange:
    """A document before and after; ``None`` where there was or is none."""

    before: Any
    after: Any


@dataclass(frozen=True)
class Step:
    """What undo, redo or a jump changed, for the viewer to follow.

    Parameters
    ----------
    head
        The action that is the newest one now.
    undone, redone
        Names of the actions in the order in which they were taken back and done again.
    edits
        By layer: its tiles before and after the whole step.
    docs
        By key: the documents before and after the whole step.
    """

    head: int
    undone: tuple[str, ...]
    redone: tuple[str, ...]
    edits: dict[str, Edit]
    docs: dict[str, DocChange]


@dataclass(frozen=True)
class Entry:
    """One line of the history panel.

    Parameters
    ----------
    in_effect
        Whether the action is part of the present state; others are on a branch, or undone.
    is_head
        Whether it is the newest action in effect.
    """

    action: Action
    in_effect: bool
    is_head: bool


def stamp(moment: datetime) -> str:
    """A moment as text, in UTC to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    """Text that can be stored: a name read from a disk may hold bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def to_json(value: Any) -> str:
    """The value as JSON text, always the same for equal values."""
    try:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A session cannot store {value!r}: {error}. "
            "Give text, whole or finite numbers, true, false, None, and lists and dictionaries of these."
        ) from error


def boxes_of(text: str) -> dict[str, Box]:
    """Boxes by layer from their JSON text."""
    return {layer: tuple((int(a), int(b)) for a, b in box) for layer, box in json.loads(text).items()}


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all; empty where there is none."""
    sides = zip(*boxes, strict=False)
    return tuple((min(a for a, _ in side), max(b for _, b in side)) for side in sides)


def joined(boxes: Sequence[Mapping[str, Box]]) -> dict[str, Box]:
    """The union of boxes layer by layer."""
    layers = dict.fromkeys(layer for each in boxes for layer in each)
    return {layer: union([each[layer] for each in boxes if layer in each]) for layer in layers}
