"""The model that a Teach panel is at: each run that has come to its end is an action, and undo goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_medseg.core.errors import MedsegError
from napari_medseg.core.events import Result
from napari_medseg.core.session import KeptModel, Session, Step
from napari_medseg.core.session.models import key_of
from napari_medseg.widgets._background import Background
from napari_medseg.widgets._history_model import when
from napari_medseg.widgets._results import TAUGHT
from napari_medseg.widgets._sessions import CLOSE_S, SessionService


@dataclass(frozen=True)
class _Run:
    """A run on a layer of a session."""

    session: Session
    layer: str
    tool: str
    parameters: dict[str, Any]
    is_asked_for: bool
    travels: int


@dataclass(frozen=True)
class _Lesson:
    """A run that has ended, its model on the disk, that is no action yet."""

    run: _Run
    result: Result
    kept: KeptModel

    def record(self) -> None:
        """Make it an action."""
        run, values = self.run, self.result.values
        run.session.record(
            name_of(values),
            run.tool,
            docs={key_of(run.layer): self.kept.as_json()},
            parameters=run.parameters,
            model=self.kept.digest,
        )


class Taught(QObject):
    """The model of a session that a panel is at.

    Strategy
    --------
    A run's model is copied into the session by another thread; then the action is recorded that names it. A run that
    nobody asked for (live mode) must not take away what can be redone: its action waits for the next one, and is given
    up where undo or redo goes elsewhere before, or where the session closes while something can be redone.

    Attributes
    ----------
    said
        What to say of the run at hand, which only shows where undo or redo has gone; empty for other runs.
    branch
        Counts how often undo or redo has gone to another model: what was learned on the way there is no part of it.
    """

    refused = Signal(str)
    """Why a model is not kept."""

    def __init__(self, sessions: SessionService, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.said = ""
        self._at: tuple[Session, KeptModel] | None = None
        self._sessions = sessions
        self._background = Background(self)
        self._run: _Run | None = None
        self._travels = 0
        self._origin: tuple[Session, str, KeptModel] | None = None
        self.branch = 0
        self._waiting: _Lesson | None = None
        sessions.changed.connect(self._record_what_waits)
        sessions.closing.connect(self._close)

    @property
    def kept(self) -> KeptModel | None:
        """The current model; ``None`` where the panel is at none of the open session."""
        return self._at[1] if self._at is not None and self._at[0] is self._sessions.session else None

    @property
    def file(self) -> str:
        """The weights of the current model; empty where there is none. ModelError for a file that is gone."""
        kept, session = self.kept, self._sessions.session
        return "" if kept is None or session is None else str(session.models.path(kept))

    def start(self, layer: Any, chosen: str) -> str:
        """What the next run on a layer starts from: the model that undo or redo has gone to, or else ``chosen``."""
        if self._origin is None:
            return chosen
        session, name, kept = self._origin
        if session is not self._sessions.session or name != self._sessions.name_of(layer):
            return chosen
        return str(session.models.path(kept))

    def forget_start(self, _chosen: Any = None) -> None:
        """The user has chosen what to start from."""
        self._origin = None

    def set_layer(self, layer: Any) -> None:
        """Go on with the model that was taught last from a layer, where its session has one."""
        session, name = self._sessions.session, self._sessions.name_of(layer)
        if self._waiting is not None and self._waiting.run.layer == name:
            return
        kept = None if session is None or name is None else KeptModel.of_json(session.docs.get(key_of(name)))
        if session is not None and kept is not None:
            self._at = session, kept

    def about(self, layer: Any) -> dict[str, str]:
        """What the results of a run on a layer say of themselves, to be shown again beside its model only."""
        name = self._sessions.name_of(layer)
        return {} if name is None else {TAUGHT: name}

    # ------------------------------------------------------------------ runs

    def begin(self, layer: Any, about: Mapping[str, Any], *, is_asked_for: bool) -> None:
        """A training run on ``layer`` has begun."""
        session, name = self._sessions.session, self._sessions.name_of(layer)
        if session is not None and name is not None and not session.read_only:
            self._run = _Run(session, name, about["tool"], about["parameters"], is_asked_for, self._travels)

    def begin_other(self) -> None:
        """A run has begun that is no training run of a session."""
        self._run, self.said = None, ""

    def end(self, result: Result) -> None:
        """The run has come to its end; a training run becomes an action."""
        run, self._run = self._run, None
        model, digest = str(result.values.get("model", "")), str(result.values.get("digest", ""))
        if not model or (self.kept is not None and self.kept.digest == digest):
            return
        self._at = self._waiting = None
        if run is not None:
            keep = partial(run.session.models.keep, Path(model), Path(model).with_suffix(".json"), digest)
            self._background.run(keep, partial(self._on_kept, run, result), self._refuse)

    # ------------------------------------------------------------------ undo and redo

    def travel(self, step: Step, layer: Any) -> bool:
        """Follow undo, redo or a jump; whether the current model is another one now. ``said`` says which."""
        self._travels += 1
        self._waiting = None
        name = self._sessions.name_of(layer)
        change = step.docs.get(key_of(name)) if name is not None else None
        if change is None:
            return False
        session, kept = self._sessions.session, KeptModel.of_json(change.after)
        self._run = self._at = None
        if session is None or kept is None:
            self.said = "Back before the first model."
        else:
            self._at = session, kept
            self.said = f"{'Forward' if step.redone else 'Back'} to the model of {when(kept.time)}."
        self._origin = None if session is None or kept is None or name is None else (session, name, kept)
        self.branch += 1
        return True

    # ------------------------------------------------------------------ inside

    def _on_kept(self, run: _Run, result: Result, kept: KeptModel) -> None:
        if self._sessions.session is not run.session:
            return
        self._waiting = _Lesson(run, result, kept)
        if run.is_asked_for and run.travels == self._travels:
            self._record()
        else:
            self._record_what_waits()

    def _record_what_waits(self) -> None:
        """Nothing can be redone: the action takes nothing away."""
        if self._waiting is not None and self._waiting.run.session.redo_name is None:
            self._record()

    def _record(self) -> None:
        lesson, self._waiting = self._waiting, None
        if lesson is None or self._sessions.session is not lesson.run.session:
            return
        try:
            lesson.record()
        except MedsegError as error:
            self._refuse(error)
            return
        self._at = lesson.run.session, lesson.kept

    def _close(self) -> None:
        self._background.finish(CLOSE_S)
        self._record_what_waits()
        self._waiting = None

    def _refuse(self, error: MedsegError) -> None:
        self.refused.emit(f"The model is not in the session's history. {error}")


def name_of(values: dict[str, Any]) -> str:
    """What the history calls a training run."""
    dice = f", Dice {values['dice']:.2f}" if "dice" in values else ""
    return f"Taught {values.get('steps', 0)} steps{dice}"
