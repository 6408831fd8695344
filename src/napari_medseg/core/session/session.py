"""A session: annotations, documents and their whole history in one folder."""

from __future__ import annotations

import atexit
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from napari_medseg.core.edits import Box, Edit
from napari_medseg.core.errors import MedsegError, SessionError, StorageError
from napari_medseg.core.session import (
    check,
    compaction,
    info,
    mending,
    models,
    moving,
    opening,
    route,
    schema,
    slots,
    transactions,
    troubles,
)
from napari_medseg.core.session.action import START, Action, Clock, Entry, Step, stamp, utc_now
from napari_medseg.core.session.docs import Docs, encode
from napari_medseg.core.session.drafts import Drafts, left_behind
from napari_medseg.core.session.facts import Facts
from napari_medseg.core.session.image_reference import Found, ImageReference
from napari_medseg.core.session.lock import user_name
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.tiles import SessionTiles, values_of
from napari_medseg.core.session.timeline import Timeline, Values
from napari_medseg.core.session.writer import Writer

ANNOTATION = "annotation"
"""The layer that an edit belongs to where none is named."""

Boxes = dict[str, Box]
Json = dict[str, Any]

CLOSE_S = 60.0
EXIT_S = 5.0


class Session:
    """Records actions, and goes back and forth among them. Use ``create`` or ``open``.

    Strategy
    --------
    ``record``, ``undo``, ``redo`` and ``go_to`` change what this object holds in memory and return; a thread writes
    the same to the database, one transaction an action. So a slow or full disk holds nobody up, and reading sees
    every recorded action at once. All methods may be called from any thread.

    Attributes
    ----------
    recovered
        What was found on opening, in words: a bad end, a repair, a stroke that was not finished.
    read_only
        Why nothing can be written, in words; empty where writing is possible.
    image
        The image that the session belongs to; see ``set_image``.
    docs, facts
        The documents, by key; and what is said once and is no part of the history.
    models, files
        The models that were taught, in files; and what is held while files are written: the folder stays meanwhile.
    on_trouble
        Called from the writing thread with a sentence when writing begins to fail, and ``None`` when it works again.
    on_change
        Called after each action, undo, redo and jump, in the thread that made it.
    """

    def __init__(self, opened: opening.Opened, who: str, clock: Clock) -> None:
        self.recovered = opened.recovered
        self.read_only = opened.read_only
        self.on_trouble: Callable[[str | None], None] = lambda trouble: None
        self.on_change: Callable[[], None] = lambda: None
        self.who = who
        self._clock, self._opened = clock, opened
        self._lock = threading.RLock()
        self._closed = False
        self.files = threading.RLock()
        self.models = models.Models(lambda: self.folder, self.files, clock)
        self._store = Store(opened.database)
        stored = self._store.meta("image")
        self.image = ImageReference.from_json(stored) if stored else None
        self._timeline = Timeline(self._store)
        self.docs = Docs(self._timeline.present)
        self.facts = Facts(self._store, self._must_write)
        self._writer: Writer | None = None
        if not opened.read_only:
            self._start_writing()

    @classmethod
    def create(
        cls,
        folder: Path | str,
        image: ImageReference | None = None,
        *,
        who: str | None = None,
        clock: Clock = utc_now,
    ) -> Session:
        """Make a session in a new or empty folder, ``NAME.medseg``, and open it."""
        opening.create_folder(Path(folder), image, stamp(clock()))
        return cls.open(folder, who=who, clock=clock)

    @classmethod
    def open(
        cls, folder: Path | str, *, who: str | None = None, clock: Clock = utc_now, writable: bool = True
    ) -> Session:
        """Open a session, for reading only where asked; see ``read_only`` and ``recovered`` for how it went."""
        name = who or user_name()
        opened = opening.open_folder(Path(folder), name, clock, writable=writable)
        try:
            return cls(opened, name, clock)
        except BaseException:
            opened.close()
            raise

    # --- where it lies ---------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """The folder of the session."""
        return self._opened.database.folder

    @property
    def predictions(self) -> Path:
        """Where predictions lie, which can be made again; others write there."""
        return self.folder / "predictions.zarr"

    def find_image(self) -> Found | None:
        """Where the image is now and whether it is still the same; ``None`` for a session without an image."""
        return self.image.find(self.folder) if self.image else None

    def set_image(self, image: Path) -> None:
        """Let the session belong to the image at another place."""
        writer, reference = self._must_write(), ImageReference.of(image, self.folder)
        writer.put(lambda connection: transactions.set_meta(connection, "image", reference.as_json()))
        self.image = reference

    # --- what it holds ---------------------------------------------------------------------------------------------

    def tiles(self, layer: str = ANNOTATION) -> SessionTiles:
        """The tiles of one layer."""
        return SessionTiles(layer, self._timeline.present, self._timeline.staged, self._must_write)

    @property
    def head(self) -> int:
        """The id of the newest action in effect; ``START`` where there is none."""
        return self._timeline.head

    def history(self, limit: int = 200, below: int | None = None) -> list[Entry]:
        """The newest actions, newest first; for the page after, give the last one's id as ``below``."""
        journal, head = self._timeline.journal, self._timeline.head
        page = journal.page(limit, self._timeline.next_id if below is None else below)
        in_effect = route.ancestors(journal, head, page[-1].id) if page else set()
        return [Entry(action, action.id in in_effect, action.id == head) for action in page]

    @property
    def undo_name(self) -> str | None:
        """The name of what undo would take back."""
        return None if self.head == START else self._timeline.journal.action(self.head).name

    @property
    def redo_name(self) -> str | None:
        """The name of what redo would do again."""
        child = self._timeline.journal.newest_child(self.head)
        return None if child is None else self._timeline.journal.action(child).name

    @property
    def damage(self) -> tuple[str, ...]:
        """What could not be read since the session was opened, in words; ``repair`` helps."""
        return tuple(self._timeline.present.damage.values())

    # --- changing it -----------------------------------------------------------------------------------------------

    def record(
        self,
        name: str,
        tool: str = "",
        *,
        edit: Edit | None = None,
        layer: str = ANNOTATION,
        docs: Mapping[str, Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        model: str = "",
    ) -> int:
        """Record an action; return its id.

        Parameters
        ----------
        name
            What the history shows, such as "Brush stroke".
        edit
            The tiles of ``layer`` that changed; what the session holds counts as the state before.
        docs
            New values by key; ``None`` removes a document.
        parameters
            How the tool was set, as JSON.
        """
        values = {
            **values_of(layer, edit),
            **{slots.of_doc(key): encode(value) for key, value in (docs or {}).items()},
        }
        about = self._about(name, tool, {layer: edit.box} if edit else {}, dict(parameters or {}), model)
        with self._lock:
            self._record_staged(values)
            self.models.recorded(docs or {})
            return self._append(about, values)

    def undo(self) -> Step | None:
        """Take the newest action in effect back; ``None`` where there is none."""
        with self._lock:
            self._record_staged()
            return None if self.head == START else self.go_to(self._timeline.journal.action(self.head).parent)

    def redo(self) -> Step | None:
        """Do the newest action that followed the present one again; ``None`` where there is none."""
        with self._lock:
            self._record_staged()
            child = self._timeline.journal.newest_child(self.head)
            return None if child is None else self.go_to(child)

    def go_to(self, action: int) -> Step:
        """Go to the state after any action of the history, or to ``START``, in one transaction."""
        writer = self._must_write()
        with self._lock:
            self._record_staged()
            step = self._timeline.travel(writer, action)
            self._drafts.ended()
        self.on_change()
        return step

    @property
    def draft_due(self) -> bool:
        """Whether an open stroke should call ``draft`` now: about once a second."""
        return self._writer is not None and self._drafts.due

    def draft(self, edit: Edit | None, tool: str = "", layer: str = ANNOTATION) -> None:
        """Keep what an open stroke has done up to now, for the case of a crash; ``None`` where it was given up."""
        self._must_write()
        with self._lock:
            if edit is None:
                self._drafts.forget()
                return
            about = {"tool": tool, "time_utc": stamp(self._clock()), "boxes": {layer: edit.box}}
            self._drafts.keep(values_of(layer, edit), about)

    # --- the disk --------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many actions are recorded and not on disk yet."""
        return self._writer.waiting if self._writer else 0

    @property
    def trouble(self) -> str | None:
        """Why nothing can be written at the moment, in words."""
        return self._writer.trouble if self._writer else None

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all is on disk; StorageError where it is not within ``timeout`` seconds."""
        if self._writer is not None:
            self._writer.flush(timeout)

    def info(self) -> info.Info:
        """Facts and disk cost, of what is on disk."""
        return info.gather(self._opened.database, self.predictions)

    def check(self) -> list[check.Problem]:
        """Read all that is on disk and list what is wrong with it."""
        return check.everything(self.folder / schema.FILE)

    def repair(self) -> list[str]:
        """Repair what ``check`` finds; return what was done and what was lost, in words."""
        writer = self._must_write()
        with self._lock:
            writer.flush(CLOSE_S)
            if not check.check(self.folder / schema.FILE):
                return []
            count = len(self.recovered)
            writer.call(lambda connection: self._mend())
            self._timeline.go_on_from_disk()
            self._timeline.present.damage.clear()
            return self.recovered[count:]

    def compact(self, keep: int = 0) -> int:
        """Drop the history but for the last ``keep`` actions and what redo would bring; return the bytes freed."""
        writer = self._must_write()
        with self._lock:
            self._record_staged()
            writer.flush(CLOSE_S)
            before = info.stored_bytes(self.folder)
            try:
                writer.call(partial(compaction.compact, keep=keep))
                self.models.drop_all_but(writer.call(models.named))
            except sqlite3.Error as error:
                why = troubles.sentence(error, self.folder)
                raise StorageError(f"The history was left as it was. {why}") from error
            self._timeline.go_on_from_disk()
            return before - info.stored_bytes(self.folder)

    def move_to(self, folder: Path | str) -> None:
        """Move the session to a new folder, on another drive too; it stays open."""
        writer = self._must_write()
        with self._lock, self.files:
            self._record_staged()
            writer.flush(CLOSE_S)
            moving.move(self._opened, Path(folder), self.who, stamp(self._clock()), writer.call)

    def close(self, timeout: float = CLOSE_S) -> None:
        """Write what waits and close. StorageError where that cannot be done; the session then stays open."""
        if self._closed:
            return
        if self._writer is not None:
            with self._lock:
                self._record_staged()
            self._writer.flush(timeout)
            # A disk that is full by now keeps the mark of an open session; the next opening then checks the file.
            with suppress(sqlite3.Error):
                self._writer.call(lambda connection: transactions.set_meta(connection, "open", None))
        self.abandon()

    def abandon(self) -> None:
        """Close without waiting for the disk; what is not on it is lost."""
        if self._writer is not None:
            self._writer.stop()
        atexit.unregister(self._close_at_exit)
        if not self._closed:
            self._closed = True
            self._opened.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _start_writing(self) -> None:
        self._writer = Writer(self._opened.database, lambda trouble: self.on_trouble(trouble), self._mend)
        self._drafts = Drafts(self._writer)
        self._recover_draft()
        mark = {"who": self.who, "since": stamp(self._clock())}
        self._writer.put(lambda connection: transactions.set_meta(connection, "open", mark))
        atexit.register(self._close_at_exit)

    def _recover_draft(self) -> None:
        """Make an action of what a stroke had done when the last viewer ended."""
        left = left_behind(self._store)
        if left.values:
            self._append(self._about("Recovered stroke", left.tool, left.boxes), left.values)
        self.recovered += left.sentences

    def _must_write(self) -> Writer:
        if self._writer is None:
            raise SessionError(self.read_only)
        return self._writer

    def _about(
        self, name: str, tool: str = "", boxes: Boxes | None = None, parameters: Json | None = None, model: str = ""
    ) -> Action:
        """An action as it is described; the timeline gives it its place."""
        moment = stamp(self._clock())
        return Action(START, START, moment, self.who, tool, name, boxes or {}, parameters or {}, model)

    def _append(self, about: Action, values: Values) -> int:
        added = self._timeline.append(self._must_write(), about, values)
        self._drafts.ended()
        self.on_change()
        return added

    def _record_staged(self, but: Iterable[str] = ()) -> None:
        """Record what was put into tiles and belongs to no action, so that nothing is on screen alone."""
        if left := self._timeline.staged_but(but):
            self._append(self._about("Change without a name"), left)

    def _mend(self) -> None:
        """Repair the database while the session stays open; readers wait."""
        database = self._opened.database
        with database.exclusive():
            database.close()
            try:
                self.recovered += mending.mend(self.folder, self._clock())
            finally:
                database.open()
            self.facts.reload()

    def _close_at_exit(self) -> None:
        with suppress(MedsegError):
            self.close(EXIT_S)
