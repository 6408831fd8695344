"""Runs a tool in this process, for the command line and for tests; a child process drives it the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from napari_medseg.core.errors import MemoryShortage, is_shortage
from napari_medseg.core.events import Event, Result, Run
from napari_medseg.core.job import Job, Memory
from napari_medseg.tools import load


def run_inline(
    tool: str,
    job: Job,
    on_event: Callable[[Event], None] | None = None,
    memory: Memory | None = None,
) -> Result:
    """Run ``tool`` on ``job`` to its end.

    Parameters
    ----------
    on_event
        Called with each event as it comes.
    memory
        What the tool may keep for the next run; a fresh one where none is given.
    """
    with closing(drive(tool, job, {} if memory is None else memory)) as run:
        while True:
            try:
                event = next(run)
            except StopIteration as end:
                return end.value
            if on_event is not None:
                on_event(event)


def drive(tool: str, job: Job, memory: Memory) -> Run:
    """Yield the tool's events and return its result; a lack of memory becomes MemoryShortage."""
    with memory_shortage():
        return (yield from load(tool).run(job, memory))


@contextmanager
def memory_shortage() -> Iterator[None]:
    """Turn the many ways in which Python and torch say "out of memory" into MemoryShortage."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_shortage(error):
            raise
        raise MemoryShortage(
            f"The device ran out of memory ({_first_line(error)}). Choose a smaller tile, crop or batch, "
            "or the device 'cpu', and run again."
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
