"""Results as JSON lines: one file a benchmark, one line a measurement, so that a stopped run goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.sets import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results"

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """All rows of a file; none where it is not there."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def append(path: Path, row: Row) -> None:
    """Add one row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def done(rows: Iterable[Row], /, **wanted: Any) -> bool:
    """Whether a row with these values is among ``rows``."""
    return any(all(row.get(key) == value for key, value in wanted.items()) for row in rows)
