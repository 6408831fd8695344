"""Measures everything and writes the tables of docs/benchmarks.md.

python -m benchmarks            all figures; about three hours on two quiet cores; a stopped run goes on
python -m benchmarks --quick    the same tables from little data, in minutes, to see that all of it runs
python -m benchmarks --only teach latency
python -m benchmarks --render   only the tables, from the results that are there
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import balancing, latency, painting, rows, session_store, sets, starts, table, teach, tiling

DOCUMENT = sets.REPOSITORY / "docs" / "benchmarks.md"
FIGURES = ("latency", "teach", "starts", "balancing", "heartbeat", "tiling", "painting", "sessions")
MODULES: dict[str, Any] = {
    "latency": latency,
    "teach": teach,
    "starts": starts,
    "balancing": balancing,
    "tiling": tiling,
    "painting": painting,
    "sessions": session_store,
}
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def arguments(figure: str, quick: bool, folder: Path, jobs: int) -> list[str]:
    """What each benchmark is called with."""
    out = ["--out", str(folder / f"{figure}.jsonl")]
    several = ["--jobs", str(jobs)]
    full = {
        "latency": out,
        "teach": ["--strokes", "5", "20", "80", *several, *out],
        "starts": [*several, *out],
        "balancing": [*several, *out],
        "tiling": out,
        "heartbeat": [],
        "painting": out,
        "sessions": out,
    }
    short = {
        "latency": ["--strokes", "3", "--peer-strokes", "1", *out],
        "teach": ["--strokes", "20", "--seeds", "1", "--seconds", "5", "--sets", "tumour", "membranes", *out],
        "starts": ["--seeds", "1", "--steps", "4", *several, *out],
        "balancing": ["--seeds", "2", "--steps", "4", *several, *out],
        "tiling": ["--side", "1536", "--large", "3000", *out],
        "heartbeat": ["--seconds", "3", "--repeats", "1"],
        "painting": ["--strokes", "2", "--many", "20", "--each", "2", *out],
        "sessions": ["--rows", "2000", "--kills", "3", *out],
    }
    return (short if quick else full)[figure]


def measure(figure: str, options: argparse.Namespace, folder: Path) -> None:
    """Run one benchmark; the viewer's heartbeat has a process of its own."""
    given = arguments(figure, options.quick, folder, options.jobs)
    sys.stderr.write(f"{figure} {' '.join(given)}\n")
    if figure == "heartbeat":
        _heartbeat(given, folder / "heartbeat.md")
        return
    module = MODULES[figure]
    module.run(module.parse(given))


def _heartbeat(given: Sequence[str], target: Path) -> None:
    command = [sys.executable, str(sets.REPOSITORY / "benchmarks" / "heartbeat.py"), *given]
    done = subprocess.run(command, cwd=sets.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(done.stdout)


def render(folder: Path) -> str:
    """All tables for which there are results."""
    renderers: dict[str, Callable[[Sequence[rows.Row]], str]] = {
        "latency": latency.render,
        "teach": table.render,
        "starts": starts.render,
        "balancing": balancing.render,
        "tiling": tiling.render,
        "painting": painting.render,
        "sessions": session_store.render,
    }
    parts = [f"Machine: {machine()}."]
    for figure in FIGURES:
        if figure == "heartbeat":
            path = folder / "heartbeat.md"
            parts += ["### Viewer heartbeat while Teach trains", path.read_text()] if path.exists() else []
        elif found := rows.read(folder / f"{figure}.jsonl"):
            parts.append(renderers[figure](found))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def machine() -> str:
    """The processor and its cores in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{name}, {cores} cores, Python {platform.python_version()}"


def write(document: Path, tables: str) -> None:
    """Put the tables between the two marks of the document; text around them is the author's and stays."""
    text = document.read_text() if document.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    document.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")


def main(given: Sequence[str] | None = None) -> None:
    """Measure, then write the tables; a quick run prints them and leaves the document as it is."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=list(FIGURES))
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time, one thread each above 1")
    options = parser.parse_args(given)
    folder = sets.REPOSITORY / "benchmark-output" if options.quick else rows.RESULTS
    if not options.render:
        if {"teach", "latency"} & set(options.only):
            subprocess.run([str(sets.REPOSITORY / "benchmarks" / "peers" / "setup.sh")], check=True)
        for figure in options.only:
            measure(figure, options, folder)
    tables = render(folder)
    if options.quick:
        sys.stdout.write(tables)
    else:
        write(DOCUMENT, tables)


if __name__ == "__main__":
    main()
