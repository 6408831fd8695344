"""The way through the history from one action to another, and what each slot holds at its end.

Strategy
--------
The history is a tree whose ids grow from parent to child. Two actions meet at their common ancestor: whichever has
the greater id steps up to its parent, until both are the same. Going up takes an action back (its ``before``), going
down does it again (its ``after``). For each slot only the last of these counts, so a jump over thousands of actions
reads one value a slot.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session.action import START, Action
from napari_medseg.core.session.journal import Journal
from napari_medseg.core.session.transactions import Source


@dataclass(frozen=True)
class Route:
    """Actions to take back, newest first, then actions to do again, oldest first."""

    undone: tuple[Action, ...]
    redone: tuple[Action, ...]


def between(journal: Journal, start: int, end: int) -> Route:
    """The way from the state after ``start`` to the state after ``end``."""
    undone: list[Action] = []
    redone: list[Action] = []
    while start != end:
        if start > end:
            undone.append(journal.action(start))
            start = undone[-1].parent
        else:
            redone.append(journal.action(end))
            end = redone[-1].parent
    return Route(tuple(undone), tuple(reversed(redone)))


def sources(journal: Journal, route: Route) -> dict[str, Source]:
    """By slot: where in the history the value lies that it holds at the end of the route."""
    found: dict[str, Source] = {}
    for action in route.undone:
        found |= {slot: Source(action.id, "before") for slot in journal.changed(action.id)}
    for action in route.redone:
        found |= {slot: Source(action.id, "after") for slot in journal.changed(action.id)}
    return found


def ancestors(journal: Journal, start: int, lowest: int) -> set[int]:
    """``start`` and the actions before it, down to the id ``lowest`` or to an action that is damaged."""
    found: set[int] = set()
    with suppress(SessionError):
        while start != START and start >= lowest:
            found.add(start)
            start = journal.action(start).parent
    return found
