"""The present moment of a session, and the two ways it moves: a new action, and a way through the history.

Both change what is held in memory at once and hand the same to the writer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from napari_medseg.core.edits import Change, Edit
from napari_medseg.core.session import route, slots, transactions
from napari_medseg.core.session.action import START, Action, DocChange, Step, joined
from napari_medseg.core.session.ahead import Ahead, Recorded
from napari_medseg.core.session.docs import decode
from napari_medseg.core.session.journal import Journal
from napari_medseg.core.session.present import Present
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.writer import Writer

Values = Mapping[str, bytes | None]


class Timeline:
    """Head, journal and present values of one session. Its owner holds a lock around ``append`` and ``travel``.

    ``staged`` has what was put into tiles and belongs to no action yet.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._ahead = store, Ahead()
        self.present = Present(store, self._ahead)
        self.journal = Journal(store, self._ahead)
        self.staged: dict[str, bytes | None] = {}
        self.head = START
        self.go_on_from_disk()
        self.next_id = max(store.newest(), self.head) + 1

    def go_on_from_disk(self) -> None:
        """Take the head from the database, after it was compacted or repaired."""
        self.head = self._store.meta("head") or START

    def append(self, writer: Writer, about: Action, values: Values) -> int:
        """Add an action after the head; slots that stay as they are do not count. Its id and parent are set here."""
        action = replace(about, id=self.next_id, parent=self.head)
        # What cannot be stored is refused here, and not in the writer's thread.
        action.fields()
        changes = {slot: Change(self.present.value(slot), value) for slot, value in values.items()}
        changes = {slot: change for slot, change in changes.items() if change.before != change.after}
        after = {slot: change.after for slot, change in changes.items()}
        ticket = self._ahead.add(after, Recorded(action, changes))
        writer.put(partial(transactions.append, action=action, values=after), partial(self._ahead.written, ticket))
        self.head, self.next_id = action.id, action.id + 1
        for slot in values:
            self.staged.pop(slot, None)
        return action.id

    def travel(self, writer: Writer, end: int) -> Step:
        """Go to the state after the action ``end``."""
        way = route.between(self.journal, self.head, end)
        sources = route.sources(self.journal, way)
        values = {slot: self.journal.value_at(row, slot, side) for slot, (row, side) in sources.items()}
        changes = {slot: Change(self.present.value(slot), value) for slot, value in values.items()}
        ticket = self._ahead.add(values)
        writer.put(partial(transactions.move, head=end, sources=sources), partial(self._ahead.written, ticket))
        self.head = end
        return _step(end, way, changes)

    def staged_but(self, slots_: Iterable[str]) -> Values:
        """What is staged in other slots than these."""
        return {slot: value for slot, value in self.staged.items() if slot not in slots_}


def _step(head: int, way: route.Route, changes: Mapping[str, Change]) -> Step:
    """The changes of a way through the history, sorted into edits of layers and documents."""
    boxes = joined([action.boxes for action in (*way.undone, *way.redone)])
    edits: dict[str, Edit] = {}
    docs: dict[str, DocChange] = {}
    for slot, change in changes.items():
        if slots.is_tile(slot):
            layer, key = slots.tile(slot)
            edits.setdefault(layer, Edit({}, boxes.get(layer, ()))).changes[key] = change
        else:
            docs[slots.doc(slot)] = DocChange(decode(change.before), decode(change.after))
    undone, redone = (tuple(action.name for action in part) for part in (way.undone, way.redone))
    return Step(head, undone, redone, edits, docs)
