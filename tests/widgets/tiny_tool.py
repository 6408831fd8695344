"""A real tool that is quick: each pixel takes the class whose painted pixels have the nearest mean value."""

from __future__ import annotations

import os
import time
from typing import Literal

import numpy as np

from napari_medseg.core.events import Note, Progress, Result, Run, Scalar, Tile
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import param
from napari_medseg.core.scribbles import check_enough, collect
from napari_medseg.tools.scribbles.params import ROLES
from napari_medseg.tools.scribbles.params import Params as TeachParams

__all__ = ["ROLES", "Params", "run"]


class Params(TeachParams):
    """Those of Teach, and how to misbehave."""

    mode: Literal["teach", "slow", "deaf", "die", "warn"] = param("teach", title="Mode", help="How to behave.")


def run(job: Job, memory: Memory) -> Run:
    params, image, scribbles = job.params, job.images["image"], job.images["scribbles"]
    points = collect(scribbles)
    check_enough(points, params.classes)
    memory["runs"] = memory.get("runs", 0) + 1
    if params.mode == "die":
        os._exit(9)
    if params.mode == "deaf":
        time.sleep(60)
    if params.mode == "warn":
        yield Note("The image is very small.", "warning")
    pixels = image.read().astype(float).mean(-1)
    classes = np.unique(points.label)
    values = pixels[tuple(points.index.T)]
    means = np.array([values[points.label == label].mean() for label in classes])
    count = 400 if params.mode == "slow" else 2
    for row, tile in enumerate(np.array_split(pixels, 2)):
        offset = (0 if row == 0 else len(pixels) - len(tile), *(0,) * (pixels.ndim - 1))
        distance = abs(tile[..., None] - means)
        yield Tile("prediction", offset, classes[distance.argmin(-1)].astype(np.uint8))
        near, far = np.sort(distance, -1)[..., :2].transpose(-1, *range(tile.ndim))
        yield Tile("entropy", offset, (near / np.maximum(far, 1e-6)).astype(np.float32))
    for step in range(count):
        yield Progress(step, count, "training")
        yield Scalar("loss", step, 1 / (step + 1))
        if params.mode == "slow":
            time.sleep(0.05)
    values = {
        "model": "",
        "digest": "0" * 8,
        "seed": params.seed,
        "steps": count,
        "runs": memory["runs"],
        "view": job.view,
    }
    if "dense" in job.images:
        values["dense"] = int(np.count_nonzero(job.images["dense"].read()))
    return Result(f"taught {len(classes)} classes", values)
