"""Measures what a results file does not hold yet, one or two tasks at a time, each in a fresh kind of process."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks import rows


class Keyed(Protocol):
    """A task that names its row."""

    @property
    def key(self) -> rows.Row:
        """What names the row."""
        ...


Task = TypeVar("Task", bound=Keyed)


def run(measure: Callable[[Task], rows.Row], tasks: Iterable[Task], out: Path, jobs: int = 1) -> None:
    """Append a row for each task that ``out`` does not hold; above one job each process has one thread."""
    known = rows.read(out)
    missing = [task for task in tasks if not rows.done(known, **task.key)]
    if not missing:
        return
    if jobs > 1:
        os.environ |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(measure, task) for task in missing]):
            row = future.result()
            rows.append(out, row)
            sys.stderr.write(_line(row))


def _line(row: dict[str, Any]) -> str:
    return " ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()) + "\n"
