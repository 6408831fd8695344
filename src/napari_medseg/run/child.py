"""A warm child process that carries runs for the viewer: no torch here, no Qt.

Strategy
--------
``_Ticket`` is one submitted run; at most one is current and one waits. What may take long has a lane (thread)
of its own: sending (copies arrays, writes to the pipe), reading (answers the child's requests for regions)
and telling (calls the callbacks). The state changes under one lock; no callback is called under it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from napari_medseg.core.errors import InputError, MedsegError, RunCancelled, RunnerDied
from napari_medseg.core.events import Event, Result
from napari_medseg.core.job import Job
from napari_medseg.run import wire
from napari_medseg.run.images import Shelf
from napari_medseg.run.lane import Lane
from napari_medseg.run.process import Process

OnEvent = Callable[[Event], None]
OnResult = Callable[[Result], None]
OnError = Callable[[MedsegError], None]

CLOSE_S = 2.0
"""The longest that ``close`` waits."""
_UNBEGUN = "The run was cancelled before it began."


@dataclass
class _Ticket:
    number: int
    tool: str
    job: Job | None
    on_event: OnEvent
    on_result: OnResult
    on_error: OnError
    process: Process | None = None
    sent: bool = False
    cancelled: bool = False
    ended: bool = False
    heard: bool = False
    again: bool = False
    timer: threading.Timer | None = None


class Child:
    """One warm process that carries one run at a time.

    All callbacks are called on one background thread of the Child, in order, never on the caller's
    thread; a widget hands them on with Qt signals. No method but ``close`` waits for the process.

    Parameters
    ----------
    device
        What to warm up: "auto", "cpu", "cuda" or "mps".
    warm
        Import torch and touch the device when the process starts, so that the first run is fast.
    grace_s
        Seconds between a cooperative cancel and the kill.
    on_ready
        Called with the device in words ("CPU, 2 threads, bf16") each time a process is warm.
    """

    def __init__(
        self,
        device: str = "auto",
        *,
        warm: bool = True,
        grace_s: float = 2.0,
        on_ready: Callable[[str], None] | None = None,
    ) -> None:
        self._warm_device = device if warm else None
        self._grace_s = grace_s
        self._on_ready = on_ready
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._process: Process | None = None
        self._current: _Ticket | None = None
        self._queued: _Ticket | None = None
        self._device = ""
        self._closed = False
        self._sending = Lane("medseg child sending")
        self._reading = Lane("medseg child reading")
        self._telling = Lane("medseg child telling")
        self._shelf = Shelf(on_dead=lambda key: self._sending.post(partial(self._forget, key)))

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        with self._lock:
            return self._process is not None and self._process.alive

    @property
    def busy(self) -> bool:
        """Whether a run is under way or waits to start."""
        with self._lock:
            return self._current is not None

    @property
    def pid(self) -> int | None:
        """Process id; None where there is no process."""
        with self._lock:
            return self._process.pid if self._process is not None and self._process.alive else None

    @property
    def device(self) -> str:
        """The device in words; empty until the process has said that it is warm."""
        return self._device

    def start(self) -> None:
        """Start the process if it is not there; returns at once."""
        with self._lock:
            self._check_open()
            if self._process is None or not self._process.alive:
                self._start_process()

    def submit(self, tool: str, job: Job, *, on_event: OnEvent, on_result: OnResult, on_error: OnError) -> int:
        """Run ``tool`` on ``job``; returns a ticket at once.

        A run that is under way is cancelled first and this one waits for its end; of several that wait
        only the newest stays. Each ticket ends in exactly one call of ``on_result`` or ``on_error``:
        RunCancelled where it was cancelled or replaced, RunnerDied where the process ended by itself.
        Arrays are read on a background thread when the run starts; numpy arrays of an image whose
        kind is not "labels" are taken to be constant and copied once.
        """
        with self._lock:
            self._check_open()
            ticket = _Ticket(next(self._numbers), tool, job, on_event, on_result, on_error)
            if self._current is None:
                self._launch(ticket)
                return ticket.number
            replaced, self._queued = self._queued, ticket
            if replaced is not None:
                self._end(replaced, RunCancelled("The run was replaced by a newer one before it began."))
            self._stop_current()
            return ticket.number

    def cancel(self) -> None:
        """Ask the run to stop (and drop the one that waits); after ``grace_s`` the process is killed."""
        with self._lock:
            self._drop_queued()
            if self._current is not None:
                self._stop_current()

    def kill(self) -> None:
        """End the process at once; its run ends in RunCancelled. The next submit starts a new process."""
        with self._lock:
            self._drop_queued()
            if self._current is not None:
                self._current.cancelled = True
            if self._process is not None:
                self._process.kill()
            self._process, self._device = None, ""

    def close(self) -> None:
        """End the process and give all shared memory back; the Child cannot be used again."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            process, current = self._process, self._current
            self.kill()
        if process is not None:
            process.join(CLOSE_S)
        if current is not None:
            self._end(current, RunCancelled("The runner was closed."))
        self._sending.post(self._shelf.close)
        for lane in (self._sending, self._reading, self._telling):
            lane.stop(CLOSE_S)

    def _check_open(self) -> None:
        if self._closed:
            raise RunnerDied("This runner was closed; make a new one.")

    def _start_process(self) -> Process:
        self._device = ""
        try:
            self._process = Process(self._on_message, self._on_end)
        except OSError as error:
            raise RunnerDied(f"The process of the runs cannot be started: {error}.") from error
        if self._warm_device is not None:
            frames = wire.pack({"do": "warm", "device": self._warm_device})
            self._sending.post(partial(self._process.send, frames))
        return self._process

    def _launch(self, ticket: _Ticket) -> None:
        """Make the ticket current and hand it to the sending lane."""
        self._current = ticket
        try:
            alive = self._process is not None and self._process.alive
            ticket.process = self._process if alive else self._start_process()
        except RunnerDied as error:
            self._end(ticket, error)
        else:
            self._sending.post(partial(self._send, ticket))

    def _send(self, ticket: _Ticket) -> None:
        """Copy the arrays and send the run; on the sending lane."""
        error: MedsegError = RunnerDied("The run could not be handed over; the log says why.")
        try:
            frames = self._pack(ticket)
            with self._lock:
                ticket.sent = not (ticket.cancelled or ticket.ended)
        except MedsegError as refused:
            error = refused
        finally:
            if not ticket.sent:
                self._end(ticket, RunCancelled(_UNBEGUN) if ticket.cancelled else error)
        if ticket.sent and ticket.process is not None:
            ticket.process.send(frames)

    def _pack(self, ticket: _Ticket) -> list[Any]:
        job = ticket.job
        if job is None or ticket.cancelled:
            return []
        described = self._shelf.describe_job(job)
        return wire.pack({"do": "run", "ticket": ticket.number, "tool": ticket.tool, "job": described})

    def _stop_current(self) -> None:
        """Ask the current run to stop, once, and set the clock for the kill.

        A process that is still starting finds the run and its cancel one after the other: it is left to
        start, and the run has ended.
        """
        ticket = self._current
        if ticket is None or ticket.process is None or ticket.cancelled:
            return
        ticket.cancelled = True
        frames = wire.pack({"do": "cancel", "ticket": ticket.number})
        self._sending.post(partial(ticket.process.send, frames))
        if not ticket.process.listening:
            self._end(ticket, RunCancelled(_UNBEGUN))
            return
        ticket.timer = threading.Timer(self._grace_s, self._expire, (ticket,))
        ticket.timer.daemon = True
        ticket.timer.start()

    def _expire(self, ticket: _Ticket) -> None:
        """Kill a process that did not stop in time; a run that was never sent ends by itself."""
        with self._lock:
            if ticket.sent and not ticket.ended and ticket.process is not None:
                ticket.process.kill()

    def _drop_queued(self) -> None:
        dropped, self._queued = self._queued, None
        if dropped is not None:
            self._end(dropped, RunCancelled(_UNBEGUN))

    def _end(self, ticket: _Ticket, outcome: Result | MedsegError) -> None:
        """End a ticket, once, and start the one that waits."""
        with self._lock:
            if ticket.ended:
                return
            ticket.ended, ticket.job = True, None
            if ticket.timer is not None:
                ticket.timer.cancel()
            if isinstance(outcome, Result):
                self._telling.post(partial(ticket.on_result, outcome))
            else:
                self._telling.post(partial(ticket.on_error, outcome))
            if ticket is self._current:
                self._current, waiting, self._queued = None, self._queued, None
                if waiting is not None:
                    self._launch(waiting)

    def _on_message(self, process: Process, message: dict[str, Any]) -> None:
        """Take a message of the process; on its reading thread."""
        said = message["say"]
        if said == "read":
            self._reading.post(partial(self._answer, process, message))
            return
        with self._lock:
            ticket = self._current
            if said == "ready":
                self._ready(process, message["device"])
                return
            if ticket is None or ticket.number != message["ticket"]:
                return
            ticket.heard = True
            if said == "event" and not ticket.cancelled:
                self._telling.post(partial(ticket.on_event, message["event"]))
            elif said in ("result", "error"):
                self._end(ticket, message[said])

    def _ready(self, process: Process, device: str) -> None:
        if process is not self._process:
            return
        self._device = device
        if self._on_ready is not None:
            self._telling.post(partial(self._on_ready, device))

    def _answer(self, process: Process, message: dict[str, Any]) -> None:
        """Read a region for the child; on the reading lane."""
        reply = {"do": "reply", "request": message["request"]}
        try:
            frames = wire.pack(reply | {"data": self._read(message["key"], message["spans"])})
        except Exception as error:  # noqa: BLE001 - any library may read here; the run must end, not the viewer
            frames = wire.pack(reply | {"data": None, "error": f"{type(error).__name__}: {error}"})
        process.send(frames)

    def _read(self, key: int, spans: tuple[tuple[int, int, int], ...]) -> np.ndarray:
        array = self._shelf.find(key)
        if array is None:
            raise InputError("its layer was removed.")
        return np.asarray(array[tuple(slice(*span) for span in spans)])

    def _forget(self, key: int) -> None:
        """Free an array's memory on both sides; on the sending lane."""
        self._shelf.drop(key)
        process = self._process
        if process is not None:
            process.send(wire.pack({"do": "forget", "key": key}))

    def _on_end(self, process: Process, story: str) -> None:
        """The process has ended; on its reading thread."""
        with self._lock:
            if process is self._process:
                self._process, self._device = None, ""
            ticket = self._current
            if ticket is None or ticket.process is not process:
                return
            if ticket.cancelled:
                self._end(ticket, RunCancelled("The run was cancelled and its process was ended."))
            elif not ticket.heard and not ticket.again:
                # It was dying already when the run was handed to it.
                ticket.again, ticket.sent = True, False
                self._launch(ticket)
            else:
                self._end(ticket, RunnerDied(f"The process of the run ended: {story}\nStart the run again."))
