"""A session at work, to be killed: paints, accepts predictions, keeps drafts, undoes and redoes until it dies.

Before each action it notes in a log of its own, brought to the disk at once, which state the session will be in, and
after the call that it has been made. ``benchmarks.session_store`` kills it and compares.

    python -m benchmarks.session_child FOLDER LOG SEED
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.session import Session

STROKE_TILES, PREDICTION_TILES = 12, 85
"""85: the 64 tiles of 4,096 x 4,096 pixels and the 21 coarser ones above them."""

TILE_BYTES = (300, 6000)
LONGEST_PAUSE_S = 0.02

State = dict[str, bytes]


def edit_of(rng: random.Random, count: int) -> Edit:
    """An edit of some tiles of incompressible bytes; one in ten takes its tile away."""
    keys = [TileKey(0, 0, rng.randrange(40), rng.randrange(40)) for _ in range(count)]
    changes = {
        key: Change(None, rng.randbytes(rng.randint(*TILE_BYTES)) if rng.random() > 0.1 else None) for key in keys
    }
    return Edit(changes, ((0, 4096), (0, 4096)))


def after(state: State, edit: Edit) -> State:
    """The state that an edit leads to."""
    changed = {str(tuple(key)): change.after for key, change in edit.changes.items()}
    return {key: value for key, value in (state | changed).items() if value is not None}  # type: ignore[operator]


def shown(session: Session) -> State:
    """What a session holds."""
    tiles = session.tiles()
    found = {str(tuple(key)): tiles.get(key) for key in tiles.keys()}  # noqa: SIM118
    return {key: value for key, value in found.items() if value is not None}


def digest(state: State) -> str:
    """A short name of a state."""
    whole = hashlib.sha256()
    for key in sorted(state):
        whole.update(key.encode() + hashlib.sha256(state[key]).digest())
    return whole.hexdigest()[:16]


class Script:
    """Random actions on a session, and the same on a plain list of states."""

    def __init__(self, session: Session, log: Path, seed: int) -> None:
        self._session, self._rng = session, random.Random(seed)
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._states, self._at, self._number = [shown(session)], 0, 0
        self._note("will", self._states[0])
        self._note("did", self._states[0])

    def run(self) -> None:
        """Act until killed."""
        actions: list[Callable[[], None]] = [self._stroke] * 5 + [self._predict, self._undo, self._undo, self._redo]
        while True:
            self._rng.choice(actions)()
            time.sleep(self._rng.uniform(0, LONGEST_PAUSE_S))

    def _stroke(self) -> None:
        edit = edit_of(self._rng, STROKE_TILES)
        if self._rng.random() < 0.3:
            half = Edit(dict(list(edit.changes.items())[: STROKE_TILES // 2]), edit.box)
            self._do(after(self._states[self._at], half), lambda: self._session.draft(half))
        self._record("Stroke", edit)

    def _predict(self) -> None:
        self._record("Accepted", edit_of(self._rng, PREDICTION_TILES))

    def _record(self, name: str, edit: Edit) -> None:
        state = after(self._states[self._at], edit)
        self._do(state, lambda: self._session.record(name, edit=edit))
        self._states[self._at + 1 :] = [state]
        self._at += 1

    def _undo(self) -> None:
        if self._at > 0:
            self._do(self._states[self._at - 1], self._session.undo)
            self._at -= 1

    def _redo(self) -> None:
        if self._at + 1 < len(self._states):
            self._do(self._states[self._at + 1], self._session.redo)
            self._at += 1

    def _do(self, state: State, action: Callable[[], Any]) -> None:
        self._number += 1
        self._note("will", state)
        action()
        self._note("did", state)

    def _note(self, what: str, state: State) -> None:
        line = {"what": what, "number": self._number, "state": digest(state), "seconds": time.monotonic()}
        os.write(self._log, (json.dumps(line) + "\n").encode())
        os.fsync(self._log)


def main() -> None:
    folder, log, seed = sys.argv[1:]
    Script(Session.open(folder, who="script"), Path(log), int(seed)).run()


if __name__ == "__main__":
    main()
