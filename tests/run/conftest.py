"""Children with a test tool, and a listener that waits for a run's end."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_medseg.core.events import Event, Result, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.run.child import Child
from napari_medseg.tools import EXTRA_TOOLS, load

HERE = Path(__file__).parent


class Listener:
    """Collects what a run says."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ends: list[Any] = []
        self.threads: set[str] = set()
        self.first = threading.Event()
        self.over = threading.Event()

    def on_event(self, event: Event) -> None:
        self.threads.add(threading.current_thread().name)
        self.events.append(event)
        self.first.set()

    def on_end(self, outcome: Any) -> None:
        self.threads.add(threading.current_thread().name)
        self.ends.append(outcome)
        self.over.set()

    def callbacks(self) -> dict[str, Callable[[Any], None]]:
        return {"on_event": self.on_event, "on_result": self.on_end, "on_error": self.on_end}

    def outcome(self, timeout_s: float = 30) -> Any:
        assert self.over.wait(timeout_s), "the run did not end"
        return self.ends[0]

    def result(self) -> Result:
        outcome = self.outcome()
        assert isinstance(outcome, Result), repr(outcome)
        return outcome

    def begun(self, timeout_s: float = 30) -> None:
        assert self.first.wait(timeout_s), "the run did not begin"

    def tile(self, layer: str) -> np.ndarray:
        return next(event.data for event in self.events if isinstance(event, Tile) and event.layer == layer)


@pytest.fixture(autouse=True)
def echo_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the test tool known by the name "echo", here and in children."""
    monkeypatch.setenv(EXTRA_TOOLS, "echo=echo_tool")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
    monkeypatch.syspath_prepend(str(HERE))


@pytest.fixture
def child() -> Iterator[Child]:
    """A child without torch."""
    runner = Child(warm=False)
    yield runner
    runner.close()


@pytest.fixture
def job() -> Callable[..., Job]:
    """Make a job of the test tool."""

    def make(mode: str = "echo", image: Any = None, scribbles: np.ndarray | None = None, **params: Any) -> Job:
        if image is None:
            image = np.arange(12, dtype=np.uint8).reshape(3, 4)
        given = image if isinstance(image, Image) else Image.of(image)
        images = {"image": given}
        if scribbles is not None:
            images["scribbles"] = Image.of(scribbles, kind="labels", name="scribbles")
        return Job(images, load("echo").Params(mode=mode, **params))

    return make


@pytest.fixture
def run(child: Child, job: Callable[..., Job]) -> Callable[..., Listener]:
    """Submit a job of the test tool; its listener comes back."""

    def submit(*args: Any, **kwargs: Any) -> Listener:
        listener = Listener()
        child.submit("echo", job(*args, **kwargs), **listener.callbacks())
        return listener

    return submit
