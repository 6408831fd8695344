"""The label store alone, without a viewer: time of a dab, memory and bytes of a thousand strokes, undo, fill, write.

Labels of 100,000 x 188,000 pixels, as over a whole slide. A stroke is eleven dabs of a disc along a line, at a random
place, at the level that its size asks for.

    python -m benchmarks.painting_store
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import psutil

from napari_medseg.core.edits import Edit
from napari_medseg.core.labelpyramid import LabelPyramid, MemoryTiles

SHAPE = (100_000, 188_000)
DABS = 11
SIZES_PX = (10, 50, 200, 512, 800, 2048, 8192, 80_000)
"""Diameters of the brush in pixels of level 0."""
EDGES_PX = (513, 700, 1023, 1500, 4095, 8163, 20_000, 80_000)
"""Brushes that are painted coarser than level 0, the worst of a level among them."""

MIXED_PX = (50, 200, 800, 8163)
"""What a brush of 50 screen pixels covers at 1:1, 1:4, 1:16 and on the whole slide."""


@dataclass
class Times:
    """Seconds, of one kind of work."""

    clock: ClassVar[Callable[[], float]] = time.perf_counter
    seconds: list[float] = field(default_factory=list)

    def of(self, work: Callable[[], Any]) -> Any:
        """Do it and note how long it took."""
        start = Times.clock()
        found = work()
        self.seconds.append(Times.clock() - start)
        return found

    def ms(self, percent: float) -> str:
        """A percentile in milliseconds."""
        return f"{1000 * np.percentile(self.seconds, percent):.1f}"


def empty() -> LabelPyramid:
    """Labels over a slide on which nothing is painted."""
    return LabelPyramid(SHAPE, np.uint8, MemoryTiles())


def disc(diameter: int) -> np.ndarray:
    """Mask of a round brush, which has no pixel without."""
    radius = max(diameter, 1) / 2
    steps = np.arange(max(diameter, 1)) + 0.5 - radius
    return steps[:, None] ** 2 + steps**2 <= radius**2


def stroke(rng: np.random.Generator, size_px: int) -> Iterator[tuple[int, int]]:
    """Centres of the dabs of a stroke, in pixels of level 0; they lie a quarter of the brush apart."""
    start = rng.uniform((0, 0), SHAPE)
    angle = rng.uniform(0, 2 * np.pi)
    for step in range(DABS):
        y, x = start + step * size_px / 4 * np.array((np.sin(angle), np.cos(angle)))
        yield int(y), int(x)


def paint(pyramid: LabelPyramid, rng: np.random.Generator, size_px: int, dabs: Times, commits: Times) -> Edit | None:
    """One stroke; its edit."""
    level = pyramid.edit_level(size_px)
    mask, label = disc(size_px >> level), int(rng.integers(1, 6))
    half = mask.shape[0] // 2
    pyramid.begin()
    for y, x in stroke(rng, size_px):
        corner = ((y >> level) - half, (x >> level) - half)
        dabs.of(lambda corner=corner: pyramid.paint(mask, corner, level, label))
    return commits.of(pyramid.commit)


def by_size(strokes: int) -> Iterator[str]:
    """Time of a dab, of the stroke's end, of undo and redo, for each size of the brush."""
    yield "| brush (px) | level | dab median / p95 / max (ms) | commit median / p95 | undo | redo | KB a stroke |"
    yield "|---|---|---|---|---|---|---|"
    for size_px in SIZES_PX:
        pyramid, rng = empty(), np.random.default_rng(0)
        dabs, commits, undos, redos = Times(), Times(), Times(), Times()
        sizes = []
        for _ in range(strokes):
            edit = paint(pyramid, rng, size_px, dabs, commits)
            if edit is not None:
                back_and_forth(pyramid, edit, undos, redos)
                sizes.append(edit_bytes(edit))
        yield (
            f"| {size_px:,} | {pyramid.edit_level(size_px)} | {dabs.ms(50)} / {dabs.ms(95)} / {dabs.ms(100)} | "
            f"{commits.ms(50)} / {commits.ms(95)} | {undos.ms(50)} | {redos.ms(50)} | {np.median(sizes) / 1000:.1f} |"
        )


def back_and_forth(pyramid: LabelPyramid, edit: Edit, undos: Times, redos: Times) -> None:
    """Undo and redo."""
    undos.of(lambda: pyramid.apply(edit.inverse().changes))
    redos.of(lambda: pyramid.apply(edit.changes))


def edit_bytes(edit: Edit) -> int:
    """Bytes that an edit adds to a journal, which has the tiles before it already."""
    return sum(len(change.after or b"") for change in edit.changes.values())


def many(strokes: int) -> Iterator[str]:
    """Memory and bytes while strokes of all sizes are painted all over, and the view is read after each."""
    pyramid, rng = empty(), np.random.default_rng(1)
    dabs, commits, reads = Times(), Times(), Times()
    edits = []
    start = resident_mb()
    yield "| strokes | memory above start (MB) | tiles | stored (MB) | journal (MB) | dab median / p95 / max (ms) |"
    yield "|---|---|---|---|---|---|"
    for number in range(1, strokes + 1):
        edits.append(paint(pyramid, rng, int(rng.choice(MIXED_PX)), dabs, commits))
        reads.of(lambda: read_view(pyramid, rng))
        if number % max(1, strokes // 4) == 0:
            tiles, stored = pyramid.statistics()
            journal = sum(edit_bytes(edit) for edit in edits if edit is not None)
            yield (
                f"| {number:,} | {resident_mb() - start:.0f} | {tiles:,} | {stored / 1e6:.1f} | {journal / 1e6:.1f} | "
                f"{dabs.ms(50)} / {dabs.ms(95)} / {dabs.ms(100)} |"
            )
    yield ""
    yield from heavy(pyramid, edits, reads)


def read_view(pyramid: LabelPyramid, rng: np.random.Generator) -> np.ndarray:
    """What a viewer reads after a jump: up to 2,048 x 2,508 pixels of some level."""
    level = int(rng.integers(0, pyramid.grid.top + 1))
    spans = []
    for size, wanted in zip(pyramid.grid.sizes[level], (2048, 2508), strict=True):
        first = int(rng.integers(0, max(1, size - wanted)))
        spans.append((first, min(size, first + wanted)))
    return pyramid.read(level, tuple(spans))


def heavy(pyramid: LabelPyramid, edits: list[Edit | None], reads: Times) -> Iterator[str]:
    """Single large pieces of work on the painted slide."""
    undos = Times()
    for edit in reversed(edits):
        if edit is not None:
            undos.of(lambda edit=edit: pyramid.apply(edit.inverse().changes))
    for edit in edits:
        if edit is not None:
            pyramid.apply(edit.changes)
    prediction = np.kron(np.random.default_rng(2).integers(0, 4, (64, 64)), np.ones((64, 64))).astype(np.uint8)
    work: dict[str, Callable[[], object]] = {
        "one dab of 80,000 px over all that": lambda: pyramid.paint(disc(80_000 >> 7), (78, 400), 7, 9),
        "fill of the whole slide's background": lambda: pyramid.fill((0, 0), 7),
        "write of a 4,096 x 4,096 prediction": lambda: pyramid.write(prediction, (50_001, 90_001)),
    }
    yield "| work | seconds | commit | undo |"
    yield "|---|---|---|---|"
    yield f"| read of a view of 2,048 x 2,508 px, median / p95 (ms) | {reads.ms(50)} / {reads.ms(95)} | | |"
    yield f"| undo of a stroke, median / p95 / max (ms) | | | {undos.ms(50)} / {undos.ms(95)} / {undos.ms(100)} |"
    for name, call in work.items():
        times = Times()
        pyramid.begin()
        times.of(call)
        edit = times.of(pyramid.commit)
        times.of(lambda edit=edit: pyramid.apply(edit.inverse().changes))
        yield f"| {name} | " + " | ".join(f"{seconds:.3f}" for seconds in times.seconds) + " |"


def edges() -> Iterator[str]:
    """How coarse the edge of a brush is, as the viewer's layer paints it, in parts of its diameter."""
    from napari_medseg.widgets.pyramid_labels.strokes import Strokes

    yield "| brush (px) | level | a pixel of that level is 1/… of the diameter | farthest from the circle (px) | 1/… |"
    yield "|---|---|---|---|---|"
    for diameter in EDGES_PX:
        pyramid, centre = empty(), (50_001, 94_003)
        Strokes(pyramid).dab(centre, (0, 1), diameter, (1.0, 1.0), 1, None)
        level, far = pyramid.edit_level(diameter), farthest(pyramid, centre, diameter)
        parts = f"{diameter / (1 << level):.0f} | {far:.1f} | {diameter / max(far, 1e-9):.0f}"
        yield f"| {diameter:,} | {level} | {parts} |"


def farthest(pyramid: LabelPyramid, centre: tuple[int, int], diameter: int) -> float:
    """Distance of the outermost and innermost painted pixels of some rows from the circle."""
    found, radius = [], diameter / 2
    for share in np.linspace(-0.95, 0.95, 101):
        row = centre[0] + round(share * radius)
        left, right = (max(0, centre[1] - diameter), min(SHAPE[1], centre[1] + diameter))
        painted = np.flatnonzero(pyramid.read(0, ((row, row + 1), (left, right)), live=True)[0]) + left
        ends = np.array([painted[0], painted[-1]])
        found += np.abs(np.hypot(row - centre[0], ends - centre[1]) - radius).tolist()
    return max(found)


def resident_mb() -> float:
    """Memory of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.painting_store", description=__doc__)
    parser.add_argument("--strokes", type=int, default=1000, help="strokes all over the slide")
    parser.add_argument("--each", type=int, default=40, help="strokes of each size of the brush")
    parser.add_argument("--cpu", action="store_true", help="processor time, which a busy machine does not add to")
    return parser.parse_args(arguments)


def main(options: argparse.Namespace) -> None:
    """Print the tables as they come."""
    Times.clock = time.thread_time if options.cpu else time.perf_counter
    for title, lines in (("By size of the brush", by_size(options.each)), ("All over", many(options.strokes))):
        print(f"\n### {title}\n", flush=True)
        for line in lines:
            print(line, flush=True)


if __name__ == "__main__":
    main(parse(sys.argv[1:]))
