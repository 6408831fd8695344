"""Which pretraining helps: the network alone, after the same steps from each start, on the strokes of figure 2.

medseg train encoder --data ../shared/data --out pretrained --name self --objective self
medseg train encoder --data ../shared/data --out pretrained --name nuclei --objective nuclei
python -m benchmarks.starts --starts scratch encoder pretrained/self.safetensors pretrained/nuclei.safetensors
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import pool, rows, sets, table
from benchmarks.teach import Task, measure


def tasks(options: argparse.Namespace) -> Iterator[Task]:
    """Every start on every case, case by case."""
    for seed in range(options.seeds):
        for name in sets.REAL_SETS:
            for start in options.starts:
                params = {"start": start, "steps": options.steps, "blend_linear": False}
                yield Task(name, seed, options.strokes, "ours", Path(start).stem, params=params)


def render(found: Sequence[rows.Row]) -> str:
    """A table for the same image and one for another."""
    if not found:
        return ""
    parts = []
    for score, words in table.SCORES.items():
        parts += [f"### Start of the network, {found[0]['strokes']} strokes, {words}", table.table(found, score)]
    return "\n\n".join(parts) + "\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--starts", nargs="+", default=["scratch", "encoder"], help="names of models, or their files")
    parser.add_argument("--strokes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time; above 1 each has one thread")
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "starts.jsonl")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Measure what is missing in the file."""
    pool.run(measure, tasks(options), options.out, options.jobs)


if __name__ == "__main__":
    run(parse())
