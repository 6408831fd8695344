"""Axon tracing on the real two-photon tiles: a reader, the simulator beside the tiles, and a tracer's scores.

``python -m benchmarks.axons likeness`` prints how like simulated pictures are to the tiles;
``python -m benchmarks.axons simulation MODEL`` scores a tracer on each condition of the simulator;
``python -m benchmarks.axons tiles MODEL [SPACING]`` traces every segment of high confidence in the tiles from its
start point and direction, and says what entropy tells of the errors.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image as Picture
from scipy import stats

from benchmarks.sets import data_folder
from napari_medseg.core.tracing_metrics import COVERED_PX, distances, mean_score, trace_score, up_to_end
from napari_medseg.train.simulate.axons import CONDITIONS, simulate
from napari_medseg.train.simulate.likeness import difference, statistics

GROUPS = ((1, 2, 3, 4, 5, 15, 16, 17, 18), (6, 7), (8, 9, 10, 11, 12))
"""Tiles that overlap; what is tuned on one group is measured on another."""
SIMULATION_SEED = 1 << 30
SOON_STEPS = 5
DIRECTION_PX = 4.0
"""The direction at a start is that of the first pixels of the segment."""


@dataclass(frozen=True)
class Segment:
    """A traced fibre: points (n, 2) in (y, x), how sure the annotator was, and how many fibres cross it."""

    points: np.ndarray
    confidence: str
    crossings: int


@dataclass(frozen=True)
class Tile:
    """A real tile with its centrelines."""

    number: int
    group: int
    image: np.ndarray
    segments: tuple[Segment, ...]


def tiles(groups: Iterable[int] = range(len(GROUPS))) -> list[Tile]:
    """Read tiles of these groups; raises ``DataMissing`` where the shared data is not beside the checkout."""
    return [_tile(number, group) for group in groups for number in GROUPS[group]]


def _tile(number: int, group: int) -> Tile:
    folder = data_folder() / "axon" / "bass2017_twophoton"
    content = json.loads((folder / "centrelines" / f"{number}.json").read_text(encoding="utf-8"))
    image = np.asarray(Picture.open(folder / "images" / content["image"]).convert("L"))
    segments = [
        Segment(np.array(part["points_yx"], float), part["confidence"], int(part["crossings"]))
        for part in content["segments"]
    ]
    return Tile(number, group, image, tuple(segments))


def likeness(count: int = 150) -> list[tuple[str, float, float]]:
    """Of each condition: name, distance of grey levels, and of the spectra of patches, from the real tiles.

    A row "real" compares one half of the real tiles with the other: nothing can be expected to be nearer.
    """
    real = [tile.image for tile in tiles()]
    target = statistics(real)
    halves = difference(statistics(real[::2]), statistics(real[1::2]))
    rows = [("real", halves.density, halves.spectrum)]
    for condition in CONDITIONS:
        simulated = [simulate(condition, (7, i)).image for i in range(count)]
        apart = difference(statistics(simulated), target)
        rows.append((condition, apart.density, apart.spectrum))
    return rows


def simulated(model: str, count: int = 100) -> dict[str, dict[str, float]]:
    """Scores of a tracer on each condition of the simulator, from one end of the axon, in pictures it never saw."""
    from napari_medseg.nn.device import choose
    from napari_medseg.rl.tracer import load
    from napari_medseg.rl.tracing_env import Scenes
    from napari_medseg.rl.training import walk
    from napari_medseg.train.simulate.episodes import draw

    device, rows = choose(), {}
    actor = load(model, device)
    for condition in CONDITIONS:
        batch = draw(condition, (SIMULATION_SEED,), count)
        paths = walk(actor, Scenes.of(batch.images, batch.truth, batch.history, batch.ends), device)
        rows[condition] = mean_score([trace_score(line, path) for line, path in zip(batch.lines, paths, strict=True)])
    return rows


@dataclass(frozen=True)
class Traced:
    """One segment, and what a tracer made of it up to the segment's end."""

    group: int
    segment: Segment
    points: np.ndarray
    entropies: np.ndarray

    @property
    def off(self) -> np.ndarray:
        """How far each traced point is from the segment."""
        return distances(self.points, self.segment.points)


def traced(model: str, spacing: float = 1.0) -> list[Traced]:
    """Trace every segment of high confidence from its start point and direction."""
    from napari_medseg.nn.device import choose
    from napari_medseg.rl.tiles import TiledImage
    from napari_medseg.rl.tracer import Stop, from_direction, load, trace

    device, found = choose(), []
    actor = load(model, device)
    for tile in tiles():
        chosen = [part for part in tile.segments if part.confidence == "high"]
        starts = [from_direction(part.points[0], _direction(part.points)) for part in chosen]
        stop = Stop(length_px=1.5 * max((_length(part.points) for part in chosen), default=0.0))
        image = TiledImage.of(tile.image, device, spacing=spacing)
        traces = trace(actor, image, starts, device=device, spacing=spacing, stop=stop)
        for part, one in zip(chosen, traces, strict=True):
            points = up_to_end(one.points, part.points[-1])
            found.append(Traced(tile.group, part, points, one.entropies[: len(points)]))
    return found


def tile_rows(found: list[Traced]) -> dict[str, dict[str, float]]:
    """Scores of all segments, of each group, and of those with crossings."""
    parts = {"all": found, "with crossings": [one for one in found if one.segment.crossings]}
    parts |= {f"group {group}": [one for one in found if one.group == group] for group in range(len(GROUPS))}
    return {
        name: mean_score([trace_score(one.segment.points, one.points) for one in part]) | {"segments": len(part)}
        for name, part in parts.items()
    }


def entropy_row(found: list[Traced]) -> dict[str, float]:
    """Mean entropy within 3 px and beyond, the test of that difference, and how well it foretells leaving the line.

    ``auc``: of two points on the line, one of which is followed by a point more than 3 px off within 5 steps, how often
    the entropy there is the higher one.
    """
    entropies = np.concatenate([one.entropies for one in found])
    inside = np.concatenate([one.off for one in found]) <= COVERED_PX
    soon, later = [], []
    for one in found:
        leaves = np.flatnonzero(one.off > COVERED_PX)
        count = int(leaves[0]) if leaves.size else len(one.off)
        warned = max(0, count - SOON_STEPS) if leaves.size else count
        later += one.entropies[:warned].tolist()
        soon += one.entropies[warned:count].tolist()
    auc = stats.mannwhitneyu(soon, later).statistic / (len(soon) * len(later)) if soon and later else float("nan")
    test = stats.mannwhitneyu(entropies[~inside], entropies[inside]).pvalue if 0 < inside.sum() < inside.size else 1.0
    means = {"inside": entropies[inside].mean(), "outside": entropies[~inside].mean()}
    return {name: float(value) for name, value in means.items()} | {"p": float(test), "auc": float(auc)}


def _direction(points: np.ndarray) -> np.ndarray:
    away = np.linalg.norm(points - points[0], axis=1)
    return points[min(int(np.searchsorted(away, DIRECTION_PX)), len(points) - 1)] - points[0]


def _length(points: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())


def main(words: list[str]) -> None:
    begun = time.perf_counter()
    if words[:1] == ["likeness"]:
        for name, density, spectrum in likeness():
            print(f"{name:18} grey levels {density:6.2f}   log spectrum {spectrum:5.2f}")
    elif words[:1] == ["simulation"] and len(words) == 2:
        _print(simulated(words[1]))
    elif words[:1] == ["tiles"] and len(words) in (2, 3):
        found = traced(words[1], *map(float, words[2:]))
        _print(tile_rows(found) | {"entropy": entropy_row(found)})
    else:
        raise SystemExit(__doc__)
    print(f"{time.perf_counter() - begun:.1f} s")


def _print(rows: dict[str, dict[str, float]]) -> None:
    for name, row in rows.items():
        print(f"{name:18}", "  ".join(f"{key} {value:.3g}" for key, value in row.items()))


if __name__ == "__main__":
    main(sys.argv[1:])
