"""What a run shows while it goes on: one line that changes on a terminal, a line now and then in a log."""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from napari_medseg.core.events import Event, Note, Progress, Scalar

CLEAR = "\r\x1b[2K"
INTERVAL_S = 0.1
LOG_INTERVAL_S, TENTH_INTERVAL_S = 10.0, 1.0
"""Seconds between two lines of a log, and between two that tell of another tenth done."""


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --quiet."""
    parser.add_argument(
        "--quiet",
        action="store_true",
        help="show no progress and no notes, only warnings, failures and what was written",
    )


class Console:
    """Shows progress and notes on stderr; use it as a context manager.

    Parameters
    ----------
    quiet
        Show warnings only.
    title
        Put ahead of each line of progress, such as the name of one of many images.
    clock
        Seconds, from any start.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        title: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty() and not quiet
        self._quiet = quiet
        self._title = f"{title}: " if title else ""
        self._clock = clock
        self._progress = Progress(0, 0)
        self._scalars: dict[str, float] = {}
        self._shown_at = -math.inf if self._live else clock()
        self._shown_tenth = 0

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._stream.write(CLEAR)

    def show(self, event: Event) -> None:
        """Take in one event of the run."""
        if isinstance(event, Note):
            self._note(event)
        elif isinstance(event, Progress):
            self._progress = event
        elif isinstance(event, Scalar):
            self._scalars[event.name] = event.value
        if self._live:
            self._draw()
        elif not self._quiet and isinstance(event, Progress):
            self._log()

    def _note(self, note: Note) -> None:
        if self._quiet and note.level != "warning":
            return
        start = CLEAR if self._live else ""
        kind = "warning: " if note.level == "warning" else ""
        self._stream.write(f"{start}medseg: {self._title}{kind}{note.message}\n")

    def _draw(self) -> None:
        now = self._clock()
        if now - self._shown_at < INTERVAL_S:
            return
        self._shown_at = now
        self._stream.write(CLEAR + self._line()[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()

    def _log(self) -> None:
        now, progress = self._clock(), self._progress
        tenth = 10 * progress.done // progress.total if progress.total else 0
        waited = now - self._shown_at
        if waited < (TENTH_INTERVAL_S if tenth != self._shown_tenth else LOG_INTERVAL_S):
            return
        self._shown_at, self._shown_tenth = now, tenth
        self._stream.write(f"medseg: {self._line()}\n")
        self._stream.flush()

    def _line(self) -> str:
        figures = [f"{name} {value:.3g}" for name, value in self._scalars.items()]
        return self._title + "  ".join(filter(None, [_sentence(self._progress), *figures]))


def _sentence(progress: Progress) -> str:
    share = f"{100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return "  ".join(filter(None, [progress.message, share]))
