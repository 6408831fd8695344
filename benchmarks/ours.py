"""Teach and Apply as a benchmark calls them: arrays in, labels and times out, through the inline runner."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

from benchmarks.peers.forest import Outcome
from napari_medseg.core.events import Event, Result, Scalar, Tile
from napari_medseg.core.image import Image, Kind
from napari_medseg.core.job import Job
from napari_medseg.run.inline import run_inline
from napari_medseg.tools import load


def as_image(array: np.ndarray, kind: Kind = "raw") -> Image:
    """A grey (H, W) or colour (H, W, C) array as an image."""
    return Image.of(array, "yxc" if array.ndim == 3 else "yx", kind=kind)


class Canvas:
    """Draws the tiles of the layer "prediction", as the viewer does, and notes when training ended."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.labels = np.zeros(shape, np.uint8)
        self.trained = self.started = time.perf_counter()
        self.validation: list[tuple[int, float]] = []

    def __call__(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, Tile) and event.layer == "prediction":
            box = tuple(slice(o, o + n) for o, n in zip(event.offset, event.data.shape, strict=True))
            self.labels[box] = event.data
        elif isinstance(event, Scalar):
            self.trained = time.perf_counter()
            if event.name == "validation dice":
                self.validation.append((event.step, event.value))


def teach(
    image: np.ndarray, strokes: np.ndarray, dense: np.ndarray | None = None, **params: Any
) -> tuple[Result, Canvas]:
    """Run Teach in this process."""
    images = {"image": as_image(image), "scribbles": as_image(strokes, "labels")}
    if dense is not None:
        images["dense"] = as_image(dense, "labels")
    canvas = Canvas(image.shape[:2])
    result = run_inline("scribbles", Job(images, load("scribbles").Params(**params)), on_event=canvas)
    return result, canvas


def apply(model: str, image: np.ndarray) -> np.ndarray:
    """Labels of another image by a model that Teach left."""
    canvas = Canvas(image.shape[:2])
    job = Job({"image": as_image(image)}, load("apply").Params.from_user({"model": model}))
    run_inline("apply", job, on_event=canvas)
    return canvas.labels


@cache
def warm() -> str:
    """Load torch and compile its kernels once, as the viewer's child process does before the first stroke."""
    from napari_medseg.nn.warm import warm as wake

    return wake()


def run(image: np.ndarray, strokes: np.ndarray, other: np.ndarray, **params: Any) -> Outcome:
    """Teach on one image, apply to another; the peers' signature."""
    warm()
    result, canvas = teach(image, strokes, **params)
    end = time.perf_counter()
    labels = apply(str(result.values["model"]), other)
    return Outcome(canvas.labels, labels, canvas.trained - canvas.started, end - canvas.trained)
