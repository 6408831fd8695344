"""Figure 3: balancing (none, instance, mini-batch) x annotation (sparse, dense, combined) on the six-class tissue.

As in Bokhorst et al. (MIDL 2019), table of the overall Dice. Sparse strokes follow the area of the classes, so common
tissue is painted most, as people do; dense patches are squares with every pixel annotated; combined draws one crop in
five from the dense patches (4:1). Every cell trains the same number of steps from the same seed.

    python -m benchmarks.balancing --steps 200 --jobs 2
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from benchmarks import pool, rows, sets
from benchmarks.score import dice
from benchmarks.strokes import strokes

BALANCINGS = ("none", "instance", "minibatch")
SOURCES = ("sparse", "dense", "combined")
PUBLISHED = {
    ("sparse", "none"): 0.61,
    ("sparse", "instance"): 0.62,
    ("sparse", "minibatch"): 0.65,
    ("dense", "none"): 0.68,
    ("dense", "instance"): 0.68,
    ("dense", "minibatch"): 0.68,
    ("combined", "none"): 0.62,
    ("combined", "instance"): 0.68,
    ("combined", "minibatch"): 0.67,
}
STROKES = 48
PATCH_PX = 96
PATCHES = 3


@dataclass(frozen=True)
class Cell:
    """One training of the 3 x 3 table."""

    source: str
    balancing: str
    seed: int
    steps: int
    start: str

    @property
    def key(self) -> rows.Row:
        """What names the row."""
        return dict(vars(self))


def annotation(truth: np.ndarray, source: str, seed: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels (0 = not annotated) and, where there are dense patches, the mask that marks them."""
    painted = uneven_strokes(truth, seed)
    if source == "sparse":
        return painted, None
    marked = dense_patches(truth, seed)
    if source == "dense":
        return np.where(marked > 0, truth, 0).astype(np.uint8), marked
    return np.where(marked > 0, truth, painted).astype(np.uint8), marked


def uneven_strokes(truth: np.ndarray, seed: int) -> np.ndarray:
    """Strokes of each class in proportion to its area, at least one."""
    painted = np.zeros_like(truth)
    for value in np.unique(truth):
        count = max(1, round(STROKES * float(np.mean(truth == value))))
        painted = np.maximum(painted, strokes(np.where(truth == value, value, 0), count, seed))
    return painted


def dense_patches(truth: np.ndarray, seed: int) -> np.ndarray:
    """Mark squares so that together they hold every class: each next one is the best of many for what is missing."""
    rng = np.random.default_rng([seed, 5])
    marked = np.zeros(truth.shape, np.uint8)
    for _ in range(PATCHES):
        corners = rng.integers(0, np.array(truth.shape) - PATCH_PX, (200, 2))
        missing = set(np.unique(truth)) - set(np.unique(truth[marked > 0]))
        row, column = max(corners.tolist(), key=lambda corner: _worth(truth, marked, corner, missing))
        marked[row : row + PATCH_PX, column : column + PATCH_PX] = 1
    return marked


def _worth(truth: np.ndarray, marked: np.ndarray, corner: Sequence[int], missing: set[int]) -> tuple[int, int]:
    """Missing classes held by at least 100 px, then pixels not marked yet."""
    box = tuple(slice(start, start + PATCH_PX) for start in corner)
    counts = np.bincount(truth[box].ravel(), minlength=256)
    return sum(counts[value] >= 100 for value in missing), int((marked[box] == 0).sum())


def measure(cell: Cell) -> rows.Row:
    """Train one cell; Dice on what was not annotated, and on another image."""
    from benchmarks import ours

    image, other = sets.pairs("tissue6")[cell.seed]
    painted, dense = annotation(image.truth, cell.source, cell.seed)
    params = {"balancing": cell.balancing, "steps": cell.steps, "seed": cell.seed, "start": cell.start}
    ours.warm()
    result, canvas = ours.teach(image.image, painted, dense, **params, blend_linear=False)
    labels = ours.apply(str(result.values["model"]), other.image)
    return cell.key | {
        "dice_same": round(dice(canvas.labels, image.truth, painted), 4),
        "dice_other": round(dice(labels, other.truth), 4),
    }


def cells(options: argparse.Namespace) -> Iterator[Cell]:
    """All cells, seed by seed."""
    for seed in range(options.seeds):
        for source in SOURCES:
            for balancing in BALANCINGS:
                yield Cell(source, balancing, seed, options.steps, options.start)


def render(found: Sequence[rows.Row]) -> str:
    """The 3 x 3 tables, mean and standard deviation over the seeds, beside the published figures."""
    parts = []
    for score, words in {"dice_other": "another image", "dice_same": "rest of the same image"}.items():
        lines = [f"### Balancing, {words}", "", "| | " + " | ".join(BALANCINGS) + " |", "|---|---|---|---|"]
        for source in SOURCES:
            cells_ = (_cell(found, source, balancing, score) for balancing in BALANCINGS)
            lines.append(f"| {source} | " + " | ".join(cells_) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cell(found: Sequence[rows.Row], source: str, balancing: str, score: str) -> str:
    values = [row[score] for row in found if (row["source"], row["balancing"]) == (source, balancing)]
    if len(values) < 2:
        return "not measured" if not values else f"{values[0]:.3f}"
    return f"{mean(values):.3f} ± {stdev(values):.3f} ({PUBLISHED[source, balancing]:.2f})"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.balancing", description=__doc__)
    parser.add_argument("--seeds", type=int, default=sets.SEEDS)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--start", default="scratch", help="what the network begins with")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "balancing.jsonl")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Measure what is missing in the file."""
    pool.run(measure, cells(options), options.out, options.jobs)


if __name__ == "__main__":
    run(parse())
