"""Figure 1: from a stroke to the instant answer and to the first refined picture, in a 1024 x 1024 view, warm.

Strokes are added one by one, each submitted to the warm child process while the run before it is still training, as
the Teach panel does in live mode. Beside it, train + predict of the peers on the same strokes.

    python -m benchmarks.latency
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
from scipy import ndimage as ndi

from benchmarks import ours, rows, sets
from benchmarks.peers import forest
from benchmarks.peers.convpaint import Convpaint
from benchmarks.strokes import strokes
from napari_medseg.core.errors import MedsegError, RunCancelled
from napari_medseg.core.events import Event, Result, Tile
from napari_medseg.core.job import Job
from napari_medseg.run.child import Child
from napari_medseg.tools import load

SIDE_PX = 1024
STROKES = 15
LONGEST_S = 120.0


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A real section of 1024 x 1024 (a tile that is scored, mirrored to size) and its truth."""
    case = sets.pairs("tumour")[0][0]
    more = SIDE_PX - case.truth.shape[0]
    image = np.pad(case.image, ((0, more), (0, more), (0, 0)), mode="symmetric")
    return image, np.pad(case.truth, ((0, more), (0, more)), mode="symmetric")


def growing(truth: np.ndarray, count: int, seed: int) -> list[np.ndarray]:
    """The scribbles after each of ``count`` strokes; the first of them has three of each class to begin with."""
    painted = strokes(truth, 2 * count + 8, seed)
    single = []
    for value in np.unique(painted[painted > 0]):
        parts, found = ndi.label(painted == value, np.ones((3, 3)))
        single.append([np.where(parts == part, value, 0).astype(np.uint8) for part in range(1, found + 1)])
    alternating = [stroke for group in zip(*single, strict=False) for stroke in group]
    begun = np.max(alternating[: 3 * len(single)], axis=0)
    later = alternating[3 * len(single) :][:count]
    return [np.maximum(begun, np.max(later[: i + 1], axis=0)) for i in range(len(later))]


class Watch:
    """Times at which the view was complete for the first and the second time since the stroke."""

    def __init__(self, pixels: int) -> None:
        self._pixels, self._drawn = pixels, 0
        self._started = time.perf_counter()
        self.times: list[float] = []
        self.refined = threading.Event()
        self.error: MedsegError | None = None

    def on_event(self, event: Event) -> None:
        """Count what is drawn."""
        if not isinstance(event, Tile) or event.layer != "prediction":
            return
        self._drawn += event.data.size
        if self._drawn >= self._pixels * (len(self.times) + 1):
            self.times.append(time.perf_counter() - self._started)
            if len(self.times) == 2:
                self.refined.set()

    def on_result(self, result: Result) -> None:
        """The run ended."""
        self.refined.set()

    def on_error(self, error: MedsegError) -> None:
        """The run was replaced by the next stroke's, or failed."""
        if not isinstance(error, RunCancelled):
            self.error = error
        self.refined.set()


def teach(image: np.ndarray, scribbles: Sequence[np.ndarray]) -> list[rows.Row]:
    """Submit stroke after stroke; the first, which also warms up what is cached for the image, is not counted."""
    picture = ours.as_image(image)
    params = load("scribbles").Params.from_user({"seconds": 600.0})
    view = tuple((0, size) for size in picture.shape())
    found = []
    ready = threading.Event()
    child = Child(on_ready=lambda _: ready.set())
    try:
        child.start()
        ready.wait(LONGEST_S)
        for number, painted in enumerate(scribbles):
            job = Job({"image": picture, "scribbles": ours.as_image(painted, "labels")}, params, view)
            watch = Watch(image.shape[0] * image.shape[1])
            child.submit("scribbles", job, on_event=watch.on_event, on_result=watch.on_result, on_error=watch.on_error)
            watch.refined.wait(LONGEST_S)
            if watch.error is not None or len(watch.times) < 2:
                raise RuntimeError(f"Stroke {number} came to no refined picture: {watch.error}")
            if number:
                found.append(_row("ours", number, watch.times[0], watch.times[1]))
            time.sleep(0.5)
    finally:
        child.close()
    return found


def peers(image: np.ndarray, scribbles: Sequence[np.ndarray]) -> list[rows.Row]:
    """Train + predict of the peers; their first, colder run is not counted either."""
    found = []
    small = image[:64, :64]
    with Convpaint() as peer:
        for number, painted in enumerate(scribbles):
            outcomes = {"forest": forest.run(image, painted, small), "convpaint": peer.run(image, painted, small)}
            for method, outcome in outcomes.items():
                total = outcome.seconds_train + outcome.seconds_predict
                if number:
                    found.append(_row(method, number, total, total))
    return found


def _row(method: str, stroke: int, first: float, refined: float) -> rows.Row:
    return {"method": method, "stroke": stroke, "first": round(first, 3), "refined": round(refined, 3)}


def render(found: Sequence[rows.Row]) -> str:
    """Median and worst of each method."""
    lines = [
        f"### Stroke to picture, {SIDE_PX} x {SIDE_PX} view, warm (seconds)",
        "",
        "| method | first answer, median | worst | refined picture, median | worst | strokes |",
        "|---|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(row["method"] for row in found):
        own = [row for row in found if row["method"] == method]
        cells = [f"{of([row[key] for row in own]):.2f}" for key in ("first", "refined") for of in (median, max)]
        lines.append(f"| {method} | " + " | ".join(cells) + f" | {len(own)} |")
    return "\n".join(lines) + "\n"


def run(options: argparse.Namespace) -> None:
    """Measure and write the rows anew: old times say nothing about this machine's present state."""
    image, truth = scene()
    scribbles = growing(truth, options.strokes + 1, seed=0)
    found = teach(image, scribbles)
    if not options.without_peers:
        found += peers(image, scribbles[: options.peer_strokes + 1])
    options.out.unlink(missing_ok=True)
    for row in found:
        rows.append(options.out, row)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--strokes", type=int, default=STROKES)
    parser.add_argument("--peer-strokes", type=int, default=STROKES)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "latency.jsonl")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(parse())
