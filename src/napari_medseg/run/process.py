"""The handle of one child process: starts it, speaks with it, and tells how it ended."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from napari_medseg.run import wire

logger = logging.getLogger(__name__)
QUOTED_LINES = 8


class Process:
    """One worker process.

    Parameters
    ----------
    on_message
        Called on the reading thread with this handle and each message.
    on_end
        Called on the reading thread, once, with this handle and how the process ended in words.
    """

    def __init__(
        self,
        on_message: Callable[[Process, dict[str, Any]], None],
        on_end: Callable[[Process, str], None],
    ) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._last_lines: deque[str] = deque(maxlen=200)
        self._write_lock = threading.Lock()
        self._listening = threading.Event()
        self._ending = threading.Event()
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", "napari_medseg.run.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self._errors = threading.Thread(target=self._collect, name="medseg child stderr", daemon=True)
        self._reader = threading.Thread(target=self._read, name="medseg child reader", daemon=True)
        self._errors.start()
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the process is there."""
        # While the reading thread waits for the end, poll() does not get its lock and says "running".
        return not self._ending.is_set() and self._popen.poll() is None

    @property
    def listening(self) -> bool:
        """Whether the process has come up, so that it hears commands at once."""
        return self._listening.is_set()

    def send(self, frames: list[Any]) -> None:
        """Write a packed message; may wait for the process. Where it has ended, ``on_end`` says so."""
        try:
            with self._write_lock:
                wire.write(cast(BinaryIO, self._popen.stdin), frames)
        except (OSError, ValueError):
            logger.debug("A message for the ended child %d was dropped.", self.pid)

    def kill(self) -> None:
        """End the process now."""
        self._popen.kill()

    def join(self, timeout_s: float) -> None:
        """Wait until the process has ended and was reported."""
        if threading.current_thread() is not self._reader:
            self._reader.join(timeout_s)

    def _read(self) -> None:
        stream = cast(BinaryIO, self._popen.stdout)
        try:
            wire.skip_to_start(stream)
            self._listening.set()
            while True:
                self._on_message(self, wire.read(stream))
        except (EOFError, OSError, ValueError) as error:
            logger.debug("The child's stream ended: %s", error)
        finally:
            self._ending.set()
            self._popen.kill()
            code = self._popen.wait()
            self._errors.join(1.0)
            self._close_pipes()
            self._on_end(self, self._story(code))

    def _collect(self) -> None:
        with cast(BinaryIO, self._popen.stderr) as lines:
            for line in lines:
                text = line.decode(errors="replace").rstrip()
                self._last_lines.append(text)
                logger.debug("child %d: %s", self.pid, text)

    def _close_pipes(self) -> None:
        for pipe in (self._popen.stdin, self._popen.stdout):
            try:
                cast(BinaryIO, pipe).close()
            except OSError:
                logger.debug("A pipe to the child %d was broken already.", self.pid)

    def _story(self, code: int) -> str:
        last = "\n".join(list(self._last_lines)[-QUOTED_LINES:])
        return _how(code) + (f" Its last lines:\n{last}" if last else "")


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}."
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    hint = " Where nobody killed it, the system had run out of memory." if name == "SIGKILL" else ""
    return f"exit code {code}, {name}.{hint}"


def _environment() -> dict[str, str]:
    """The environment to start in; a package that is not installed is found where this one lies."""
    root = Path(__file__).resolve().parents[2]
    if root.name in ("site-packages", "dist-packages"):
        return dict(os.environ)
    paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
