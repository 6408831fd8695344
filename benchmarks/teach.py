"""Figure 2: Dice of Teach and its peers on the same strokes, on the same and on another image.

    python -m benchmarks.teach --strokes 20 80 --seconds 60 --jobs 2 --out benchmarks/results/teach.jsonl

Rows that the file already holds are not measured again. With ``--jobs 2`` two cases run at a time, one thread each.
"""

from __future__ import annotations

import argparse
import atexit
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import pool, rows, sets
from benchmarks.peers import forest
from benchmarks.peers.convpaint import Convpaint
from benchmarks.score import dice
from benchmarks.strokes import strokes

METHODS = ("ours", "forest", "convpaint", "convpaint gaussian", "convpaint ilastik")


@dataclass(frozen=True)
class Task:
    """One measurement: a method on the strokes of one seed."""

    set: str
    seed: int
    strokes: int
    method: str
    label: str
    seconds: float = 60.0
    params: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None

    @property
    def key(self) -> rows.Row:
        """What names the row."""
        own = {"seconds": self.seconds} if self.method == "ours" else {}
        return {"set": self.set, "seed": self.seed, "strokes": self.strokes, "method": self.label} | own


@cache
def _convpaint(threads: int | None) -> Convpaint:
    peer = Convpaint(threads)
    atexit.register(peer.close)
    return peer


def measure(task: Task) -> rows.Row:
    """Run one task and score it."""
    image, other = sets.pairs(task.set)[task.seed]
    painted = strokes(image.truth, task.strokes, task.seed)
    arrays = image.image, painted, other.image
    if task.method == "ours":
        from benchmarks import ours

        outcome = ours.run(*arrays, seconds=task.seconds, seed=task.seed, **task.params)
    elif task.method == "forest":
        outcome = forest.run(*arrays, seed=task.seed, threads=task.threads or -1)
    else:
        outcome = _convpaint(task.threads).run(*arrays, variant=task.method.partition(" ")[2] or "default")
    return task.key | {
        "image": image.name,
        "other": other.name,
        "dice_same": round(dice(outcome.same, image.truth, painted), 4),
        "dice_other": round(dice(outcome.other, other.truth), 4),
        "seconds_train": round(outcome.seconds_train, 3),
        "seconds_predict": round(outcome.seconds_predict, 3),
        "threads": task.threads,
    }


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """Every measurement asked for, all methods of one case after each other."""
    threads = 1 if options.jobs > 1 else None
    for count in options.strokes:
        for seed in range(options.seeds):
            for name in options.sets:
                for method in options.methods:
                    label = options.label if method == "ours" else method
                    params = options.params if method == "ours" else {}
                    yield Task(name, seed, count, method, label, options.seconds, params, threads)


def run(options: argparse.Namespace) -> None:
    """Measure what is missing in the file, row by row."""
    pool.run(measure, tasks(options), options.out, options.jobs)


def _params(text: str) -> tuple[str, Any]:
    """Parse ``name=value``; numbers and true / false become what they look like."""
    name, _, value = text.partition("=")
    words = {"true": True, "false": False}
    if value.lower() in words:
        return name, words[value.lower()]
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teach", description=__doc__)
    parser.add_argument("--strokes", type=int, nargs="+", default=[20], help="strokes a case (5, 20, 80)")
    parser.add_argument("--seeds", type=int, default=sets.SEEDS)
    parser.add_argument("--seconds", type=float, default=60.0, help="training time of Teach")
    parser.add_argument("--sets", nargs="+", default=list(sets.SETS), choices=sets.SETS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS[:3]), choices=METHODS)
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time; above 1 each has one thread")
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "teach.jsonl")
    parser.add_argument("--label", default="ours", help="name of Teach's rows (for variants)")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE", help="parameter of Teach")
    options = parser.parse_args(arguments)
    options.params = dict(_params(text) for text in options.param)
    return options


if __name__ == "__main__":
    run(parse())
