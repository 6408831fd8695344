"""Any sequence of actions, undos, redos, jumps, compactions, restarts and crashes equals the same on a plain model."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.session import START, Session

# Nearly every rule waits for the disk, so a disk in memory is taken where there is one.
MEMORY_DISK = "/dev/shm" if Path("/dev/shm").is_dir() else None

Slots = dict[tuple[str, str], object]

tiles = st.dictionaries(st.integers(0, 5), st.one_of(st.none(), st.binary(max_size=6)), max_size=4)
documents = st.dictionaries(
    st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 9), st.text(max_size=3)), max_size=2
)
layers = st.sampled_from(["annotation", "other/ä"])


class Model:
    """A history that keeps the whole state after each action."""

    def __init__(self) -> None:
        self.states: dict[int, Slots] = {START: {}}
        self.parents: dict[int, int] = {}
        self.head = START

    def record(self, number: int, changes: Slots) -> None:
        state = {slot: value for slot, value in (self.states[self.head] | changes).items() if value is not None}
        self.states[number], self.parents[number], self.head = state, self.head, number

    def undo(self) -> None:
        self.head = self.parents.get(self.head, START)

    def child(self) -> int | None:
        return max((each for each, parent in self.parents.items() if parent == self.head), default=None)

    def line(self) -> list[int]:
        found, at = [], self.head
        while at != START:
            found.append(at)
            at = self.parents[at]
        return found

    def compact(self, keep: int) -> None:
        before, at, after = self.line(), self.head, []
        kept = before[:keep]
        base = before[keep] if keep < len(before) else START
        while (child := self.child()) is not None:
            after.append(child)
            self.head = child
        self.head = at if kept else START
        self.states = {START: self.states[base]} | {each: self.states[each] for each in [*kept, *after]}
        self.parents = {each: START if self.parents[each] == base else self.parents[each] for each in [*kept, *after]}


class History(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="medseg-history-", dir=MEMORY_DISK))
        self.copies = 0
        self.model = Model()
        self.session = Session.create(self.root / "0.medseg", who="Ada")

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session.abandon()
            shutil.rmtree(self.root)

    @rule(changes=tiles, docs=documents, layer=layers, put_first=st.booleans())
    def record(self, changes: dict[int, bytes | None], docs: dict[str, object], layer: str, put_first: bool) -> None:
        edit = self._edit(changes)
        if put_first:
            self.session.tiles(layer).put(edit.changes)
        number = self.session.record("Action", edit=edit, layer=layer, docs=docs)
        self.model.record(number, self._slots(changes, layer) | {("doc", key): value for key, value in docs.items()})

    @rule()
    def undo(self) -> None:
        self.session.undo()
        self.model.undo()

    @rule()
    def redo(self) -> None:
        child = self.model.child()
        assert (self.session.redo() is None) == (child is None)
        self.model.head = self.model.head if child is None else child

    @rule(data=st.data())
    def go_to(self, data: st.DataObject) -> None:
        target = data.draw(st.sampled_from(sorted(self.model.states)))
        before = self._shown()
        step = self.session.go_to(target)
        self.model.head = target
        # The step that the viewer gets must lead from what it shows to what it has to show.
        for layer, edit in step.edits.items():
            for key, change in edit.changes.items():
                slot = (layer, str(key.column))
                assert before.pop(slot, None) == change.before
                before |= {slot: change.after} if change.after is not None else {}
        for key, change in step.docs.items():
            assert before.pop(("doc", key), None) == change.before
            before |= {("doc", key): change.after} if change.after is not None else {}
        assert before == self.model.states[target]

    @rule(keep=st.integers(0, 3))
    def compact(self, keep: int) -> None:
        self.session.compact(keep)
        self.model.compact(keep)

    @rule()
    def restart(self) -> None:
        self.session.close()
        self.session = Session.open(self.session.folder, who="Ada")
        assert self.session.recovered == []

    @rule(changes=tiles, layer=layers, with_draft=st.booleans())
    def crash(self, changes: dict[int, bytes | None], layer: str, with_draft: bool) -> None:
        """The files as they are on the disk at this moment are all that is left."""
        if with_draft:
            # Kept in two parts, the second without a tile of the first, as a stroke that went back would.
            self.session.draft(self._edit(changes | {9: b"gone"}), layer=layer)
            self.session.draft(self._edit(changes), layer=layer)
        self.session.flush(30)
        self.copies += 1
        copy = self.root / f"{self.copies}.medseg"
        shutil.copytree(self.session.folder, copy)
        self.session.abandon()
        self.session = Session.open(copy, who="Ada")
        assert "was not closed" in self.session.recovered[0]
        if with_draft and changes:
            assert "recovered" in self.session.recovered[1]
            self.model.record(self.session.head, self._slots(changes, layer))

    @invariant()
    def shows_what_the_model_holds(self) -> None:
        if hasattr(self, "session"):
            assert self.session.head == self.model.head
            assert self._shown() == self.model.states[self.model.head]

    @rule()
    def nothing_is_wrong_on_disk(self) -> None:
        self.session.flush(30)
        assert self.session.check() == []

    def _shown(self) -> Slots:
        found: Slots = {("doc", key): value for key, value in self.session.docs.items()}
        for layer in ("annotation", "other/ä"):
            held = self.session.tiles(layer)
            found |= {(layer, str(key.column)): held.get(key) for key in held.keys()}  # noqa: SIM118
        return found

    @staticmethod
    def _edit(changes: dict[int, bytes | None]) -> Edit:
        return Edit(
            {TileKey(0, 0, 0, column): Change(None, value) for column, value in changes.items()}, ((0, 1), (0, 1))
        )

    @staticmethod
    def _slots(changes: dict[int, bytes | None], layer: str) -> Slots:
        return {(layer, str(column)): value for column, value in changes.items()}


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
