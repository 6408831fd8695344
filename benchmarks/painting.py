"""Painting on a 100,000 x 188,000 slide: a mouse event by zoom, 1,000 strokes in memory and on disk, a prediction.

Real mouse events (QTest) in a real napari viewer with a lazily computed RGB pyramid. "Handler" is the time that napari
spends in the callbacks of an event, from press to release, so the end of a stroke is among them; "screen" goes on to
the end of the next drawing of the canvas. Beside it, in the same process, an ordinary Labels layer. Each part has a
process of its own. What the file of results holds already is not measured again.

    python -m benchmarks.painting [--strokes 12] [--many 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import painting_store, rows, sets

SHAPE = (100_000, 188_000)
ORDINARY_SIDE = 4096
BRUSH_SCREEN_PX = 50
EVENTS = 25
ZOOMS = {"whole slide": None, "1:64": 1 / 64, "1:16": 1 / 16, "1:4": 1 / 4, "1:1": 1.0}
PREDICTION_SIDE = 4096


class VirtualLevel:
    """One level of an RGB slide that is computed where it is read."""

    def __init__(self, level: int) -> None:
        self.factor = 1 << level
        self.shape = (*(-(-size // self.factor) for size in SHAPE), 3)
        self.dtype = np.dtype(np.uint8)
        self.ndim, self.size = 3, int(np.prod(self.shape))

    def __getitem__(self, key: Any) -> np.ndarray:
        keys = key if isinstance(key, tuple) else (key,)
        rows, columns = (
            np.arange(size)[one] * self.factor
            for size, one in zip(self.shape[:2], (*keys, slice(None), slice(None)), strict=False)
        )
        tissue = np.sin(rows / 9000)[:, None] + np.cos(columns / 13000)[None]
        cells = np.sin(rows / 11)[:, None] * np.sin(columns / 17)[None]
        shade = (25 * tissue + 20 * cells).astype(np.float32)
        return np.stack([215 + shade / 3, 175 + shade, 205 + shade / 2], axis=-1).clip(0, 255).astype(np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:, :]


class Bench:
    """A viewer with the slide, a mouse, and a watch on what napari does with its events."""

    def __init__(self) -> None:
        import napari
        from qtpy.QtWidgets import QApplication

        from napari_medseg.widgets._compat import camera_of

        self.viewer = napari.Viewer()
        self.viewer.window._qt_window.resize(1400, 1000)
        self.viewer.add_image([VirtualLevel(level) for level in range(8)], multiscale=True, rgb=True, name="slide")
        self.canvas = self.viewer.window._qt_viewer.canvas
        self.camera = camera_of(self.viewer)
        self.process = QApplication.processEvents
        self.handled_ms: list[float] = []
        self.seen_ms: list[float] = []
        self._watch()
        self.settle()
        self.whole_zoom = self.camera.zoom

    def _watch(self) -> None:
        handle = self.canvas._process_mouse_event

        def timed(*given: Any) -> None:
            began = time.perf_counter()
            handle(*given)
            self.handled_ms.append((time.perf_counter() - began) * 1e3)

        self.canvas._process_mouse_event = timed

    def settle(self) -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            self.process()

    def look(self, centre: tuple[float, float], zoom: float | None) -> None:
        self.camera.center, self.camera.zoom = centre, zoom or self.whole_zoom
        self.settle()

    def stroke(self, places: Sequence[tuple[float, float]], draw: bool = True) -> None:
        """Press, drag over places on the canvas, from 0 to 1 along its height and width, and release."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        native, left = self.canvas.native, Qt.MouseButton.LeftButton
        points = [QPoint(round(x * native.width()), round(y * native.height())) for y, x in places]
        QTest.mouseMove(native, points[0])
        self.process()
        del self.handled_ms[:]
        QTest.mousePress(native, left, pos=points[0])
        for point in points[1:]:
            # Vispy drops moves that follow within 10 ms, which nobody's hand makes.
            native._last_time = 0.0
            began = time.perf_counter()
            QTest.mouseMove(native, point)
            if draw:
                self.canvas._scene_canvas.update()
                self.process()
            self.seen_ms.append((time.perf_counter() - began) * 1e3)
        QTest.mouseRelease(native, left, pos=points[-1])
        self.process()


def add_ours(bench: Bench, session: Any) -> Any:
    from napari_medseg.core.labelpyramid import LabelPyramid
    from napari_medseg.widgets.pyramid_labels import add_labels

    pyramid = LabelPyramid(SHAPE, np.uint8, session.tiles())

    def apply(step: Any) -> None:
        for edit in step.edits.values() if step is not None else ():
            layer.apply(edit.changes)

    layer = add_labels(
        bench.viewer,
        pyramid,
        on_edit=lambda edit, name: session.record(name, "paint", edit=edit),
        undo=lambda: apply(session.undo()),
        redo=lambda: apply(session.redo()),
        name="labels",
    )
    return layer


def path(rng: np.random.Generator) -> list[tuple[float, float]]:
    """A wavy stroke over a part of the canvas."""
    start, direction = rng.uniform(0.2, 0.8, 2), rng.uniform(-1, 1, 2)
    steps = np.linspace(0, 0.25, EVENTS)
    wave = 0.03 * np.sin(steps * 40)
    line = start + steps[:, None] * direction / np.hypot(*direction) + wave[:, None]
    return [(float(y), float(x)) for y, x in line.clip(0.05, 0.95)]


def measure_zoom(bench: Bench, layer: Any, zoom: float | None, centre: tuple[float, float], strokes: int) -> dict:
    """Times of some strokes at one zoom, and of their undo and redo."""
    rng = np.random.default_rng(0)
    bench.viewer.layers.selection.active = layer
    bench.look(centre, zoom)
    layer.brush_size = max(1, round(BRUSH_SCREEN_PX / bench.camera.zoom))
    layer.mode = "paint"
    handled, steps = [], []
    bench.seen_ms.clear()
    for number in range(strokes):
        layer.selected_label = 1 + number % 5
        bench.stroke(path(rng))
        handled += bench.handled_ms
    for step in (layer.undo, layer.redo) * 3:
        began = time.perf_counter()
        step()
        steps.append((time.perf_counter() - began) * 1e3)
    layer.mode = "pan_zoom"
    return {
        "brush": layer.brush_size,
        "level": int(layer.data_level),
        "handler": _figures(handled),
        "screen": _figures(bench.seen_ms),
        "undo": _figures(steps),
    }


def latency(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each zoom on ours, between two rounds of an ordinary layer."""
    from napari_medseg.core.session import Session

    bench, found = Bench(), {}
    session = Session.create(folder / "latency.medseg")
    layer = add_ours(bench, session)
    middle = (SHAPE[0] / 2, SHAPE[1] / 2)
    for name, zoom in ZOOMS.items():
        found[name] = measure_zoom(bench, layer, zoom, middle, options.strokes)
    plain = bench.viewer.add_labels(np.zeros((ORDINARY_SIDE, ORDINARY_SIDE), np.uint8), name="ordinary")
    half = (ORDINARY_SIDE / 2, ORDINARY_SIDE / 2)
    for name, zoom in (("ordinary, 1:4", 1 / 4), ("ordinary, 1:1", 1.0)):
        found[name] = measure_zoom(bench, plain, zoom, half, options.strokes)
    bench.viewer.close()
    session.close()
    return {"found": found}


def memory(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Resident memory above the open image, four times during many strokes all over, and the session's size."""
    from napari_medseg.core.session import Session

    bench, me, rng = Bench(), psutil.Process(), np.random.default_rng(1)
    for zoom in (None, 1 / 16, 1 / 4, 1.0):
        bench.look((SHAPE[0] / 2, SHAPE[1] / 2), zoom)
    before = me.memory_info().rss
    session = Session.create(folder / "memory.medseg")
    layer = add_ours(bench, session)
    layer.mode, above, handled = "paint", [], []
    for number in range(options.many):
        zoom = (None, 1 / 16, 1 / 4, 1.0)[number % 4]
        bench.camera.center, bench.camera.zoom = rng.uniform(0.1, 0.9, 2) * SHAPE, zoom or bench.whole_zoom
        bench.process()
        layer.brush_size = max(1, round(BRUSH_SCREEN_PX / bench.camera.zoom))
        layer.selected_label = 1 + number % 5
        bench.stroke(path(rng)[::2], draw=False)
        handled += bench.handled_ms
        if (number + 1) % max(1, options.many // 4) == 0:
            above.append((me.memory_info().rss - before) / 2**20)
    steps = []
    for _ in range(min(100, options.many)):
        began = time.perf_counter()
        layer.undo()
        steps.append((time.perf_counter() - began) * 1e3)
    statistics = layer.pyramid.statistics()
    bench.viewer.close()
    session.close()
    disk = sum(file.stat().st_size for file in session.folder.rglob("*") if file.is_file())
    return {
        "strokes": options.many,
        "above_mb": above,
        "handler": _figures(handled),
        "undo": _figures(steps),
        "tiles": statistics.tiles,
        "tiles_mb": statistics.bytes / 2**20,
        "session_mb": disk / 2**20,
    }


def _figures(times_ms: Sequence[float]) -> dict[str, float]:
    return {"p50": float(np.median(times_ms)), "p95": float(np.percentile(times_ms, 95)), "max": max(times_ms)}


def prediction(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """An accepted prediction of 4,096 x 4,096 pixels in the middle of the view: write, undo and redo until it shows."""
    from napari_medseg.core.session import Session

    bench = Bench()
    session = Session.create(folder / "prediction.medseg")
    layer = add_ours(bench, session)
    bench.look((SHAPE[0] / 2, SHAPE[1] / 2), 1 / 4)
    corner = tuple(size // 2 - PREDICTION_SIDE // 2 for size in SHAPE)
    # Blocks of 13 pixels fit no coarser level, so that all tiles are needed, as of a real prediction.
    blocks = np.random.default_rng(3).integers(0, 5, (-(-PREDICTION_SIDE // 13),) * 2, np.uint8)
    labels = np.repeat(np.repeat(blocks, 13, 0), 13, 1)[:PREDICTION_SIDE, :PREDICTION_SIDE]
    began = time.perf_counter()
    with layer.pyramid.editing() as outcome:
        layer.pyramid.write(labels, corner)
    assert outcome.edit is not None
    session.record("Accepted", "accept", edit=outcome.edit)
    found = {"write": [(time.perf_counter() - began) * 1e3], "undo": [], "redo": []}
    layer.refresh()
    for name, step in (("undo", layer.undo), ("redo", layer.redo)) * options.strokes:
        began = time.perf_counter()
        step()
        bench.canvas._scene_canvas.update()
        bench.process()
        found[name].append((time.perf_counter() - began) * 1e3)
    bench.viewer.close()
    session.close()
    return {name: _figures(times) for name, times in found.items()} | {"tiles": len(outcome.edit.changes)}


def store(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The label store alone, and the edge of large brushes."""
    tables = {
        "The label store by size of the brush": painting_store.by_size(options.each),
        "The label store, strokes all over": painting_store.many(options.many),
        "Edge of large brushes": painting_store.edges(),
    }
    return {"tables": {title: list(lines) for title, lines in tables.items()}}


def _by_zoom(row: rows.Row) -> Iterator[str]:
    yield "| zoom | level | brush (px of level 0) | handler, median / p95 / worst (ms) | screen (ms) | undo (ms) |"
    yield "|---|---:|---:|---:|---:|---:|"
    for zoom, found in row["found"].items():
        times = " | ".join(_times(found[key]) for key in ("handler", "screen", "undo"))
        yield f"| {zoom} | {found['level']} | {found['brush']} | {times} |"


def _all_over(many: rows.Row) -> Iterator[str]:
    above = ", ".join(f"{value:+.0f}" for value in many["above_mb"])
    lines = {
        f"memory above the open image after each quarter of {many['strokes']} strokes (MB)": above,
        "handler, median / p95 / worst (ms)": _times(many["handler"]),
        "undo, median / p95 / worst (ms)": _times(many["undo"]),
        "label tiles": f"{many['tiles']}, {many['tiles_mb']:.1f} MB",
        "session on disk (MB)": f"{many['session_mb']:.1f}",
    }
    yield from ("| strokes all over, at four zooms | |", "|---|---:|")
    yield from (f"| {title} | {value} |" for title, value in lines.items())


def _accepted(row: rows.Row) -> Iterator[str]:
    yield f"| accepted prediction of {PREDICTION_SIDE}², {row['tiles']} tiles | median / p95 / worst (ms) |"
    yield "|---|---:|"
    names = {"write": "write and record", "undo": "undo, until it is drawn", "redo": "redo, until it is drawn"}
    yield from (f"| {words} | {_times(row[key])} |" for key, words in names.items())


def _of_store(row: rows.Row) -> Iterator[str]:
    for title, lines in row["tables"].items():
        yield from (f"#### {title}", "", *lines, "")


RENDERERS: dict[str, Callable[[rows.Row], Iterator[str]]] = {
    "latency": _by_zoom,
    "memory": _all_over,
    "prediction": _accepted,
    "store": _of_store,
}


def render(found: Sequence[rows.Row]) -> str:
    """All tables for which there are results."""
    parts = ["### Painting on 100,000 x 188,000 pixels"]
    for part, renderer in RENDERERS.items():
        parts += ["\n".join(renderer(row)) for row in found if row["part"] == part]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _times(figures: dict[str, float]) -> str:
    return f"{figures['p50']:.1f} / {figures['p95']:.1f} / {figures['max']:.0f}"


def in_a_process(part: str, options: argparse.Namespace) -> rows.Row:
    """Measure one part in a process of its own, on a virtual screen where there is none."""
    command = [sys.executable, "-m", "benchmarks.painting", "--part", part]
    for name in ("strokes", "many", "each"):
        command += [f"--{name}", str(getattr(options, name))]
    if not os.environ.get("DISPLAY") and shutil.which("xvfb-run"):
        command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1200x24", *command]
    done = subprocess.run(command, cwd=sets.REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    return {"part": part, **json.loads(done.stdout.splitlines()[-1])}


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.painting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--strokes", type=int, default=12, help="strokes at each zoom")
    parser.add_argument("--many", type=int, default=1000, help="strokes for the memory")
    parser.add_argument("--each", type=int, default=40, help="strokes of each size of the brush, without a viewer")
    parser.add_argument("--part", choices=PARTS, help="measure one part in this process and print JSON")
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "painting.jsonl")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """Measure the parts that are missing in the file."""
    for part in PARTS:
        if not rows.done(rows.read(options.out), part=part):
            rows.append(options.out, in_a_process(part, options))


def main() -> None:
    """Measure what is missing and show the tables; or measure one part for `in_a_process`."""
    options = parse()
    if options.part:
        with tempfile.TemporaryDirectory() as folder:
            found = PARTS[options.part](options, Path(folder))
        sys.stdout.write(f"{json.dumps(found)}\n")
        return
    run(options)
    sys.stdout.write(render(rows.read(options.out)))


PARTS: dict[str, Callable[[argparse.Namespace, Path], dict[str, Any]]] = {
    "latency": latency,
    "memory": memory,
    "prediction": prediction,
    "store": store,
}

if __name__ == "__main__":
    main()
