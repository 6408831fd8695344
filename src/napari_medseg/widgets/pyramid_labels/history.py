"""Undo and redo of the edits of one annotation, in memory, where there is no session that remembers them."""

from __future__ import annotations

from collections.abc import Callable

from napari_medseg.core.edits import Edit

MOST_BYTES = 256 << 20
"""Of compressed tiles before and after; beyond that the oldest edits are forgotten."""


class MemoryHistory:
    """The edits done and those undone.

    Parameters
    ----------
    apply
        Called with an edit, or its inverse, whose changes are to be shown.
    """

    def __init__(self, apply: Callable[[Edit], None]) -> None:
        self._apply = apply
        self._done: list[Edit] = []
        self._undone: list[Edit] = []

    def record(self, edit: Edit) -> None:
        """Remember an edit; what was undone before it can no longer be done again."""
        self._undone.clear()
        self._done.append(edit)
        while sum(map(_bytes, self._done)) > MOST_BYTES and len(self._done) > 1:
            del self._done[0]

    def undo(self) -> None:
        """Take back the last edit, if there is one."""
        if self._done:
            self._apply(self._done[-1].inverse())
            self._undone.append(self._done.pop())

    def redo(self) -> None:
        """Do again what was undone last, if anything was."""
        if self._undone:
            self._apply(self._undone[-1])
            self._done.append(self._undone.pop())


def _bytes(edit: Edit) -> int:
    return sum(len(before or b"") + len(after or b"") for before, after in edit.changes.values())
