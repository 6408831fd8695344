"""How smoothly the viewer's event loop beats while Teach trains: idle, on napari's thread pool, in a child process.

A 5 ms timer runs in a real napari viewer; a tick is late by what it comes after its 5 ms. The same Teach run
(the same image, strokes, seconds) goes on beside it and its tiles are drawn into a layer as they come. Each way
has a process of its own, so that torch in one viewer does not weigh on the next. Prints a markdown table.

    python benchmarks/heartbeat.py [--seconds 20] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import psutil

from napari_medseg.core.errors import MedsegError, RunCancelled
from napari_medseg.core.events import Event, Scalar, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.run.child import Child
from napari_medseg.run.inline import drive
from napari_medseg.tools import load

TICK_MS = 5
WAYS = ("idle", "pool", "child")
TITLES = {"idle": "idle", "pool": "napari's thread pool", "child": "child process"}
SIDE = 1024


class Carrier(Protocol):
    """One way to carry a run; ``over`` turns True when the run has ended."""

    over: bool

    def warm(self) -> None: ...
    def begin(self, job: Job, on_event: Callable[[Event], None]) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> dict[str, float]: ...


class Idle:
    """No run at all."""

    over = True

    def warm(self) -> None: ...
    def begin(self, job: Job, on_event: Callable[[Event], None]) -> None: ...
    def cancel(self) -> None: ...

    def close(self) -> dict[str, float]:
        return {}


class Pool:
    """napari's thread pool, in the viewer's process."""

    def __init__(self) -> None:
        self.over = True
        self._memory: dict[str, Any] = {}
        self._worker: Any = None

    def warm(self) -> None:
        def load_torch():
            from napari_medseg.nn.warm import warm

            yield warm("auto")

        self._start(lambda event: None, load_torch)

    def begin(self, job: Job, on_event: Callable[[Event], None]) -> None:
        self._start(on_event, drive, "scribbles", job, self._memory)

    def cancel(self) -> None:
        if not self.over:
            self._worker.quit()

    def close(self) -> dict[str, float]:
        """Let go of all that can be let go of without ending the viewer."""
        self._memory.clear()
        return {}

    def _start(self, on_event: Callable[[Any], None], *call: Any) -> None:
        from napari.qt.threading import create_worker

        self.over = False
        self._worker = create_worker(*call, _start_thread=False)
        self._worker.yielded.connect(on_event)
        self._worker.finished.connect(self._end)
        self._worker.start()

    def _end(self) -> None:
        self.over = True


class InChild:
    """The package's own way; the callbacks reach the viewer's thread through a Qt signal."""

    def __init__(self) -> None:
        from qtpy.QtCore import QObject, Signal

        class Bridge(QObject):
            event = Signal(object)
            end = Signal(object)
            ready = Signal(str)

        self.over = True
        self._bridge = Bridge()
        self._on_event: Callable[[Event], None] = lambda event: None
        self._bridge.event.connect(lambda event: self._on_event(event))
        self._bridge.end.connect(self._end)
        self._bridge.ready.connect(self._be_ready)
        self._running = False
        self._child = Child(on_ready=self._bridge.ready.emit)

    def warm(self) -> None:
        self.over = False
        self._child.start()

    def begin(self, job: Job, on_event: Callable[[Event], None]) -> None:
        self.over, self._running, self._on_event = False, True, on_event
        end = self._bridge.end.emit
        self._child.submit("scribbles", job, on_event=self._bridge.event.emit, on_result=end, on_error=end)

    def cancel(self) -> None:
        self._child.cancel()

    def close(self) -> dict[str, float]:
        """Kill the child, as a cancel that is not obeyed does."""
        pid = self._child.pid
        held = psutil.Process(pid).memory_info().rss / 2**20
        asked = time.perf_counter()
        self._child.kill()
        while psutil.pid_exists(pid):
            time.sleep(0.001)
        figures = {"kill_ms": (time.perf_counter() - asked) * 1e3, "child_mb": held}
        self._child.close()
        return figures

    def _be_ready(self, device: str) -> None:
        self.over = not self._running

    def _end(self, outcome: Any) -> None:
        self.over, self._running = True, False
        if isinstance(outcome, MedsegError) and not isinstance(outcome, RunCancelled):
            print(f"{type(outcome).__name__}: {outcome}", file=sys.stderr)


CARRIERS: dict[str, Callable[[], Carrier]] = {"idle": Idle, "pool": Pool, "child": InChild}


class Heart:
    """Counts by how much each tick of a 5 ms timer is late."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.late_ms: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(TICK_MS)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, (now - self._last) * 1e3 - TICK_MS))
        self._last = now

    def figures(self, since: int) -> dict[str, float]:
        """p50, p99 and worst of the ticks after the first ``since``."""
        late = np.array(self.late_ms[since:])
        return {"p50": float(np.median(late)), "p99": float(np.quantile(late, 0.99)), "max": float(late.max())}


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A picture and forty strokes of two classes on it."""
    from skimage.data import retina

    picture = retina()[:SIDE, :SIDE]
    rng = np.random.default_rng(0)
    strokes = np.zeros(picture.shape[:2], np.uint8)
    bright = picture[..., 1] > np.median(picture[..., 1])
    for y, x in rng.integers(40, SIDE - 80, (40, 2)):
        strokes[y : y + 4, x : x + 40] = np.where(bright[y : y + 4, x : x + 40], 1, 2)
    return picture, strokes


def live(until: Callable[[], bool], limit_s: float) -> None:
    """Let the viewer's event loop run until something holds, or the time is up."""
    from qtpy.QtCore import QEventLoop, QTimer

    loop, poll = QEventLoop(), QTimer()
    end = time.perf_counter() + limit_s
    poll.timeout.connect(lambda: loop.quit() if until() or time.perf_counter() > end else None)
    poll.start(TICK_MS)
    loop.exec()
    poll.stop()


def measure(way: str, seconds: float, repeats: int) -> dict[str, Any]:
    """All figures of one way, in this process."""
    import napari

    picture, strokes = scene()
    viewer = napari.Viewer(show=True)
    viewer.add_image(picture, name="picture", rgb=True)
    drawn = viewer.add_labels(np.zeros(picture.shape[:2], np.uint8), name="prediction")
    images = {
        "image": Image.of(picture, "yxc", name="picture"),
        "scribbles": Image.of(strokes, kind="labels", name="strokes"),
    }
    view = ((0, 512), (0, 512))
    seen = {"steps": 0}

    def job(duration: float) -> Job:
        return Job(images, load("scribbles").Params(seconds=duration, start="scratch"), view)

    def on_event(event: Event) -> None:
        if isinstance(event, Scalar) and event.name == "loss":
            seen["steps"] = max(seen["steps"], event.step)
        if isinstance(event, Tile) and event.layer == "prediction":
            corner = zip(event.offset, event.data.shape, strict=True)
            drawn.data[tuple(slice(start, start + size) for start, size in corner)] = event.data
            drawn.refresh()

    live(lambda: False, 2.0)
    carrier, heart, me = CARRIERS[way](), Heart(), psutil.Process()
    before_mb = me.memory_info().rss / 2**20
    live(lambda: False, 0.5)
    mark = len(heart.late_ms)
    carrier.warm()
    live(lambda: carrier.over, 60)
    live(lambda: False, 1.0)
    figures: dict[str, Any] = {"warm": heart.figures(mark)}

    mark = len(heart.late_ms)
    carrier.begin(job(3600), on_event)
    live(lambda: carrier.over and way != "idle", seconds)
    figures |= {"beat": heart.figures(mark), "steps": seen["steps"], "cancel_ms": []}
    carrier.cancel()
    live(lambda: carrier.over, 30)

    for _ in range(repeats if way != "idle" else 0):
        seen["steps"] = 0
        carrier.begin(job(60), on_event)
        live(lambda: seen["steps"] > 0, 60)
        asked = time.perf_counter()
        carrier.cancel()
        live(lambda: carrier.over, 30)
        figures["cancel_ms"].append((time.perf_counter() - asked) * 1e3)

    figures |= carrier.close()
    live(lambda: False, 1.0)
    figures["left_mb"] = me.memory_info().rss / 2**20 - before_mb
    figures["torch_in_viewer"] = "torch" in sys.modules
    viewer.close()
    return figures


def table(found: dict[str, dict[str, Any]], seconds: float) -> str:
    """The figures of all ways as a markdown table."""

    def beat(key: str) -> Callable[[dict[str, Any]], str]:
        return lambda f: f"{f[key]['p50']:.1f} / {f[key]['p99']:.1f} / {f[key]['max']:.0f}"

    def cancel(f: dict[str, Any]) -> str:
        return f"{np.median(f['cancel_ms']):.0f} / {max(f['cancel_ms']):.0f}" if f["cancel_ms"] else "-"

    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "late ticks while the device is warmed up, p50 / p99 / worst (ms)": beat("warm"),
        f"late ticks during {seconds:.0f} s of training, p50 / p99 / worst (ms)": beat("beat"),
        "training steps": lambda f: str(f["steps"] or "-"),
        "cancel, median / worst (ms)": cancel,
        "kill (ms)": lambda f: f"{f['kill_ms']:.0f}" if "kill_ms" in f else "-",
        "memory of the run, given back by the kill (MB)": lambda f: f"{f['child_mb']:.0f}" if "child_mb" in f else "-",
        "memory that the viewer keeps afterwards (MB)": lambda f: f"{f['left_mb']:+.0f}",
        "torch in the viewer's process": lambda f: "yes" if f["torch_in_viewer"] else "no",
    }
    lines = ["| | " + " | ".join(TITLES[way] for way in found) + " |", "|---|" + "---:|" * len(found)]
    lines += [f"| {title} | " + " | ".join(show(f) for f in found.values()) + " |" for title, show in rows.items()]
    return "\n".join(lines)


def in_a_process(way: str, seconds: float, repeats: int) -> dict[str, Any]:
    """Measure one way in a process of its own, on a virtual screen where there is none."""
    command = [sys.executable, str(Path(__file__).resolve()), "--way", way]
    command += ["--seconds", str(seconds), "--repeats", str(repeats)]
    if not os.environ.get("DISPLAY") and shutil.which("xvfb-run"):
        command = ["xvfb-run", "-a", "-s", "-screen 0 1280x1024x24", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the training burst")
    parser.add_argument("--repeats", type=int, default=5, help="number of cancels")
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process and print JSON")
    options = parser.parse_args()
    if options.way:
        print(json.dumps(measure(options.way, options.seconds, options.repeats)))
        return
    found = {way: in_a_process(way, options.seconds, options.repeats) for way in WAYS}
    print(table(found, options.seconds))


if __name__ == "__main__":
    main()
