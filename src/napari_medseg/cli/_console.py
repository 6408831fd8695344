"""What a run shows while it goes on: one line on stderr, and only where somebody watches."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from napari_medseg.core.events import Event, Note, Progress, Scalar

CLEAR = "\r\x1b[2K"
INTERVAL_S = 0.1


class Console:
    """Shows progress on a terminal and notes everywhere; use it as a context manager."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._progress = ""
        self._scalars: dict[str, float] = {}
        self._shown_at = 0.0

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
            self._progress = _sentence(event)
        elif isinstance(event, Scalar):
            self._scalars[event.name] = event.value
        self._draw()

    def _note(self, note: Note) -> None:
        start = CLEAR if self._live else ""
        kind = "warning: " if note.level == "warning" else ""
        self._stream.write(f"{start}medseg: {kind}{note.message}\n")

    def _draw(self) -> None:
        now = time.monotonic()
        if not self._live or now - self._shown_at < INTERVAL_S:
            return
        self._shown_at = now
        figures = [f"{name} {value:.3g}" for name, value in self._scalars.items()]
        line = "  ".join(filter(None, [self._progress, *figures]))
        self._stream.write(CLEAR + line[: shutil.get_terminal_size().columns - 1])
        self._stream.flush()


def _sentence(progress: Progress) -> str:
    share = f"{100 * progress.done / progress.total:.0f} %" if progress.total else ""
    return "  ".join(filter(None, [progress.message, share]))
