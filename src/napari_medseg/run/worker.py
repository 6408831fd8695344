"""The child process: ``python -m napari_medseg.run.worker``, spoken to over stdin and stdout.

Strategy
--------
A listening thread takes commands, so that a cancel is heard in the middle of a step; the main thread drives
the tool's generator and looks at the flag between events. What libraries print goes to stderr. When the
viewer is gone, stdin ends, and this process ends with it, whatever it is doing.
"""

from __future__ import annotations

import faulthandler
import itertools
import os
import signal
import sys
import traceback
from collections import deque
from contextlib import closing
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import Any, BinaryIO

import numpy as np

from napari_medseg.core.errors import InputError, MedsegError, RunCancelled
from napari_medseg.core.events import Result
from napari_medseg.core.job import Job
from napari_medseg.run import wire
from napari_medseg.run.inline import drive
from napari_medseg.run.remote import Mirror, Span
from napari_medseg.tools import load

WARM_MODULE = "napari_medseg.nn.warm"
NICENESS = 5
"""Where cores are scarce, the viewer's event loop comes before the training."""


class Worker:
    """Takes commands and runs tools; ``memory`` lives as long as the process."""

    def __init__(self, commands: BinaryIO, replies: BinaryIO) -> None:
        self._commands = commands
        self._replies = replies
        self._write_lock = Lock()
        self._turn = Condition()
        self._todo: deque[dict[str, Any]] = deque()
        self._running: int | None = None
        self._cancelled = False
        self._requests = itertools.count()
        self._answers: dict[int, SimpleQueue[dict[str, Any] | None]] = {}
        self._mirror = Mirror(self._fetch)
        self._memory: dict[str, Any] = {}

    def serve(self) -> None:
        """Work until the viewer goes away; does not return."""
        Thread(target=self._listen, name="commands", daemon=True).start()
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._todo)
                command = self._todo.popleft()
                self._running, self._cancelled = command.get("ticket"), False
            if command["do"] == "warm":
                self._say({"say": "ready", "device": warm(command["device"])})
            else:
                self._say(self._outcome(command))
            with self._turn:
                self._running = None

    def _outcome(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run a tool to its end; every way in which it can end becomes a message."""
        ticket, tool = command["ticket"], command["tool"]
        try:
            result = self._run(ticket, tool, command["job"])
            return {"say": "result", "ticket": ticket, "result": result}
        except MedsegError as error:
            return {"say": "error", "ticket": ticket, "error": error}
        except Exception as error:  # noqa: BLE001 - the process border: the viewer must hear of any error
            traceback.print_exc()
            kind = type(error).__name__
            told = f"{tool!r} stopped on an error it should not have: {kind}: {error}. Please report it."
            return {"say": "error", "ticket": ticket, "error": MedsegError(told)}

    def _run(self, ticket: int, tool: str, described: dict[str, Any]) -> Result:
        images = {role: self._mirror.image(image) for role, image in described["images"].items()}
        params = load(tool).Params.from_user(described["params"])
        with closing(drive(tool, Job(images, params, described["view"]), self._memory)) as run:
            while True:
                if self._cancelled:
                    raise RunCancelled("The run was cancelled.")
                try:
                    event = next(run)
                except StopIteration as end:
                    return end.value
                self._say({"say": "event", "ticket": ticket, "event": event})

    def _listen(self) -> None:
        handlers = {
            "run": self._enqueue,
            "warm": self._enqueue,
            "cancel": self._cancel,
            "forget": lambda command: self._mirror.forget(command["key"]),
            "reply": self._answer,
        }
        while True:
            try:
                command = wire.read(self._commands)
            except (EOFError, OSError):
                os._exit(0)
            handlers[command["do"]](command)

    def _enqueue(self, command: dict[str, Any]) -> None:
        with self._turn:
            self._todo.append(command)
            self._turn.notify()

    def _cancel(self, command: dict[str, Any]) -> None:
        """Stop the run, or take it out of the queue; reads that wait for an answer are let go."""
        with self._turn:
            if self._running == command["ticket"]:
                self._cancelled = True
                for answer in list(self._answers.values()):
                    answer.put(None)
                return
            waiting = [todo for todo in self._todo if todo.get("ticket") == command["ticket"]]
            for todo in waiting:
                self._todo.remove(todo)
        for todo in waiting:
            error = RunCancelled("The run was cancelled before it began.")
            self._say({"say": "error", "ticket": todo["ticket"], "error": error})

    def _fetch(self, key: int, spans: tuple[Span, ...]) -> np.ndarray:
        """Ask the viewer for a region and wait for it."""
        request = next(self._requests)
        answer: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        self._answers[request] = answer
        try:
            if self._cancelled:
                raise RunCancelled("The run was cancelled.")
            self._say({"say": "read", "request": request, "key": key, "spans": spans})
            reply = answer.get()
        finally:
            del self._answers[request]
        if reply is None:
            raise RunCancelled("The run was cancelled while it read the image.")
        if reply["data"] is None:
            raise InputError(f"The image could not be read: {reply['error']}")
        return reply["data"]

    def _answer(self, command: dict[str, Any]) -> None:
        answer = self._answers.get(command["request"])
        if answer is not None:
            answer.put(command)

    def _say(self, message: dict[str, Any]) -> None:
        frames = wire.pack(message)
        try:
            with self._write_lock:
                wire.write(self._replies, frames)
        except OSError:
            os._exit(0)


def warm(device: str) -> str:
    """Get the network library ready; returns the device in words, empty where it is not known."""
    if find_spec(WARM_MODULE) is None:
        return ""
    try:
        return import_module(WARM_MODULE).warm(device)
    except Exception:  # noqa: BLE001 - a run will meet the same error and say it to the user
        traceback.print_exc()
        return ""


def main() -> None:
    """Take the protocol off stdin and stdout, so that nothing else can write there, and serve."""
    commands = os.fdopen(os.dup(0), "rb", buffering=1 << 16)
    replies = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    faulthandler.enable()
    wire.write(replies, [wire.MARKER])
    Worker(commands, replies).serve()


if __name__ == "__main__":
    main()
