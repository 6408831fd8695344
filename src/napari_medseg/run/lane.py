"""A background thread that does one thing after the other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

logger = logging.getLogger(__name__)


class Lane:
    """Calls what is posted, in order, on one daemon thread.

    ``post`` may be called from any thread, and from a finalizer too: SimpleQueue is re-entrant.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def post(self, call: Callable[[], None]) -> None:
        """Call ``call`` when all that was posted before is done."""
        self._calls.put(call)

    def stop(self, timeout_s: float) -> None:
        """End the thread after what was posted so far; wait at most ``timeout_s``."""
        self._calls.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception:  # noqa: BLE001 - a caller's mistake must not end the lane for all others
                logger.exception("A callback of a run failed.")
            del call
