"""The session's figures: opening a long history, undo and redo, commits, disk cost, and what a kill costs.

python -m benchmarks.session_store
python -m benchmarks.session_store --kills 200 --rows 100000

A file of results with the same numbers of both is complete, and is not measured again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import rows
from benchmarks.session_child import PREDICTION_TILES, STROKE_TILES, digest, edit_of, shown
from napari_medseg.core import tilecodec
from napari_medseg.core.annotation import TILE_PX, create_layer
from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.image import Image
from napari_medseg.core.layer_repair import open_mended
from napari_medseg.core.session import Session, schema, slots, transactions
from napari_medseg.core.session.action import Action, stamp, utc_now

REPEATS = 100
KILLS_PER_SESSION = 10
KILLED_AFTER_S = (0.05, 1.5)
STROKE_BYTES = 700
"""A compressed tile of 512 x 512 labels under a brush, as the study of painting found it."""


def long_history(folder: Path, count: int) -> None:
    """Write a session of many actions in one go, past the writer, which would wait for the disk after each."""
    rng, blobs = random.Random(0), some_tiles()
    with Session.create(folder, who="benchmark") as session:
        image = Image.of(np.broadcast_to(np.uint8(0), (100 * TILE_PX, 100 * TILE_PX)))
        grid = create_layer(session, image, dtype=np.uint8).pyramid.grid
        # Tiles without those above them would be taken for damaged.
        coarser = [
            TileKey(0, level, row, column)
            for level in range(1, grid.top + 1)
            for row, column in np.ndindex(*grid.counts[level])
        ]
        changes = {key: Change(None, tilecodec.encode(np.ones(grid.extent(key), np.uint8))) for key in coarser}
        session.record("Coarser levels", edit=Edit(changes, ((0, 1), (0, 1))))
    connection = schema.connect(folder / schema.FILE)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for number in range(2, count + 1):
        action = Action(number, number - 1, stamp(utc_now()), "benchmark", "brush", f"Stroke {number}")
        keys = [TileKey(0, 0, rng.randrange(100), rng.randrange(100)) for _ in range(3)]
        values = {slots.of_tile("annotation", key): rng.choice(blobs) for key in keys}
        transactions.append(connection, action, values)
    connection.execute("COMMIT")
    connection.close()


def some_tiles() -> list[bytes]:
    """Encoded tiles with a few discs each."""
    rng, found = np.random.default_rng(0), []
    y, x = np.ogrid[:TILE_PX, :TILE_PX]
    for _ in range(50):
        tile = np.zeros((TILE_PX, TILE_PX), np.uint8)
        for label, (row, column) in enumerate(rng.integers(0, TILE_PX, (4, 2)), 1):
            tile[(y - row) ** 2 + (x - column) ** 2 < 3600] = label
        found.append(tilecodec.encode(tile))
    return found


def forget_cache(folder: Path) -> None:
    """Ask the system to drop the files from its cache, so that the next opening reads the disk."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def timed(action: Callable[[], Any]) -> float:
    """Milliseconds that a call takes."""
    begin = time.perf_counter()
    action()
    return (time.perf_counter() - begin) * 1e3


def opening(folder: Path, cold: bool) -> Iterator[tuple[str, float]]:
    """Open, show the first page of the history, and open the layer, as the viewer does."""
    where = "cold" if cold else "warm"
    for _ in range(5):
        if cold:
            forget_cache(folder)
        begin = time.perf_counter()
        session = Session.open(folder, who="benchmark")
        yield f"open, {where}", (time.perf_counter() - begin) * 1e3
        yield f"first 200 entries of the history, {where}", timed(session.history)
        yield f"its layer, all tiles checked, {where}", timed(lambda session=session: open_mended(session))
        session.close()


def steps(session: Session, what: str, tiles: int, repeats: int) -> Iterator[tuple[str, float]]:
    """Record, undo and redo; how long the caller waits, and how long until it is on the disk."""
    rng = random.Random(1)
    for _ in range(repeats):
        edit = edit_of(rng, tiles)
        actions = {
            "record": lambda edit=edit: session.record(what, edit=edit),
            "undo": session.undo,
            "redo": session.redo,
        }
        for name, action in actions.items():
            begin = time.perf_counter()
            action()
            yield f"{name} {what}: the caller waits", (time.perf_counter() - begin) * 1e3
            session.flush()
            yield f"{name} {what}: on the disk", (time.perf_counter() - begin) * 1e3


def thousand_strokes(folder: Path) -> rows.Row:
    """What 1,000 strokes of 12 tiles cost on disk, two thirds of the tiles new, and what compaction gives back."""
    rng = random.Random(2)
    with Session.create(folder, who="benchmark") as session:
        for stroke in range(1000):
            old, new = rng.randrange(max(1, stroke * 8)), stroke * 8
            keys = [TileKey(0, 0, 0, column) for column in (*range(old, old + 4), *range(new, new + 8))]
            changes = {key: Change(None, rng.randbytes(STROKE_BYTES)) for key in keys}
            session.record("Stroke", "brush", edit=Edit(changes, ((0, 4096), (0, 4096))))
        session.flush()
    with Session.open(folder) as session:
        info = session.info()
        freed = session.compact()
    return {
        "figure": "1,000 strokes", "file_mb": info.file_bytes / 1e6, "tile_mb": info.present_bytes / 1e6,
        "history_mb": info.history_bytes / 1e6, "freed_mb": freed / 1e6,
    }  # fmt: skip


def kill_once(folder: Path, log: Path, seed: int) -> rows.Row:
    """Let the script work on a session for a moment, kill it, open the session and see what is lost."""
    wait = random.Random(seed).uniform(*KILLED_AFTER_S)
    command = [sys.executable, "-m", "benchmarks.session_child", str(folder), str(log), str(seed)]
    child = subprocess.Popen(command)
    while not (log.exists() and log.read_text().count("\n") >= 2):
        if child.poll() is not None:
            return {"figure": "kill", "seed": seed, "readable": False}
        time.sleep(0.005)
    time.sleep(wait)
    killed = time.monotonic()
    child.send_signal(signal.SIGKILL)
    child.wait()
    return {"figure": "kill", "seed": seed, "readable": True, **_loss(folder, log, killed)}


def _loss(folder: Path, log: Path, killed: float) -> rows.Row:
    """Compare what is left with the log of what was done."""
    # The kill may have come in the middle of the last line.
    lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    with Session.open(folder, who="benchmark") as session:
        state, problems = digest(shown(session)), len(session.check())
        recovered = any("that was not finished was recovered" in line for line in session.recovered)
    matching = [line["number"] for line in lines if line["state"] == state]
    if not matching:
        return {"known": False, "problems": problems}
    lost = [line for line in lines if line["what"] == "did" and line["number"] > max(matching)]
    begun = [line["seconds"] for line in lines if line["what"] == "will" and line["number"] > max(matching) and lost]
    return {
        "known": True, "problems": problems, "draft": recovered, "actions": lines[-1]["number"], "lost": len(lost),
        "lost_s": killed - min(begun) if begun else 0.0,
    }  # fmt: skip


def kills(root: Path, count: int) -> Iterator[rows.Row]:
    """Kill again and again, ten times on one session, then on a new one."""
    for number in range(count):
        folder = root / f"killed-{number // KILLS_PER_SESSION}.medseg"
        if not folder.exists():
            Session.create(folder).close()
        yield kill_once(folder, root / f"{number}.log", number)


def summary(figure: str, values: Sequence[float]) -> rows.Row:
    """Median, 95th percentile and worst."""
    ordered = sorted(values)
    p95 = ordered[math.ceil(0.95 * len(ordered)) - 1]
    return {"figure": figure, "median_ms": median(ordered), "p95_ms": p95, "worst_ms": ordered[-1], "n": len(ordered)}


def grouped(samples: Iterator[tuple[str, float]]) -> list[rows.Row]:
    """One row for each name, in the order in which they come."""
    found: dict[str, list[float]] = {}
    for name, value in samples:
        found.setdefault(name, []).append(value)
    return [summary(name, values) for name, values in found.items()]


def measure(options: argparse.Namespace, root: Path) -> Iterator[rows.Row]:
    """All figures."""
    folder = root / "long.medseg"
    long_history(folder, options.rows)
    for cold in (False, True):
        yield from grouped(opening(folder, cold))
    with Session.open(folder, who="benchmark") as session:
        yield from grouped(steps(session, "a stroke", STROKE_TILES, REPEATS))
        yield from grouped(steps(session, "a prediction", PREDICTION_TILES, REPEATS // 5))
        yield summary("jump over 1,000 actions", [timed(lambda: session.go_to(options.rows - 1000))])
    yield thousand_strokes(root / "strokes.medseg")
    yield from kills(root, options.kills)


def render(found: Sequence[rows.Row]) -> str:
    """The tables."""
    lines = ["### Session on disk", "", "| | median (ms) | p95 | worst | n |", "|---|---:|---:|---:|---:|"]
    for row in (row for row in found if "median_ms" in row):
        cells = (f"{row[key]:.1f}" for key in ("median_ms", "p95_ms", "worst_ms"))
        lines.append(f"| {row['figure']} | {' | '.join(cells)} | {row['n']} |")
    for row in (row for row in found if row["figure"] == "1,000 strokes"):
        lines += ["", _cost(row)]
    killed = [row for row in found if row["figure"] == "kill"]
    return "\n".join([*lines, "", _verdict(killed)]) + "\n" if killed else "\n".join(lines) + "\n"


def _cost(row: rows.Row) -> str:
    return (
        f"1,000 strokes of {STROKE_TILES} tiles of {STROKE_BYTES} bytes: {row['file_mb']:.1f} MB on disk, "
        f"of which compaction gives {row['freed_mb']:.1f} MB back."
    )


def _verdict(killed: Sequence[rows.Row]) -> str:
    known = [row for row in killed if row.get("known")]
    unreadable = sum(not row["readable"] for row in killed)
    lost, worst = sum(row["lost"] for row in known), max((row["lost_s"] for row in known), default=0.0)
    return (
        f"{len(killed)} kills (SIGKILL) at random moments of {sum(row['actions'] for row in known)} actions: "
        f"{unreadable} sessions unreadable, {len(killed) - unreadable - len(known)} in a state that never was, "
        f"{sum(row['problems'] for row in known)} problems found by check, {lost} finished actions lost, "
        f"the oldest {worst * 1e3:.0f} ms before the kill; {sum(row['draft'] for row in known)} open strokes recovered."
    )


def parse(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000, help="actions in the long history")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "sessions.jsonl")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> None:
    """Measure, unless the file is complete."""
    complete = {"figure": "complete", "rows": options.rows, "kills": options.kills}
    if rows.done(rows.read(options.out), **complete):
        return
    root = Path(tempfile.mkdtemp(prefix="medseg-bench-"))
    try:
        found = list(measure(options, root))
    finally:
        shutil.rmtree(root)
    options.out.unlink(missing_ok=True)
    for row in (*found, complete):
        rows.append(options.out, row)


def main() -> None:
    options = parse()
    run(options)
    sys.stdout.write(render(rows.read(options.out)))


if __name__ == "__main__":
    main()
