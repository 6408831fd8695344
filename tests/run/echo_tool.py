"""A tool for the runner tests: each ``mode`` behaves, or misbehaves, in one way."""

from __future__ import annotations

import os
import sys
import time

import numpy as np

from napari_medseg.core.errors import BY_NAME
from napari_medseg.core.events import Note, Progress, Result, Run, Scalar, Tile
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import Params as BaseParams
from napari_medseg.core.params import param

ROLES = {"image": "Any image.", "scribbles?": "Any labels."}


class Params(BaseParams):
    mode: str = param("echo", title="Mode", help="What to do.")
    count: int = param(3, title="Count", help="How many events.")
    text: str = param("", title="Text", help="A name, a message or a path.")
    names: dict[int, str] = param({}, title="Names", help="Survive the crossing with their integer keys.")


def run(job: Job, memory: Memory) -> Run:
    memory["runs"] = memory.get("runs", 0) + 1
    return (yield from MODES[job.params.mode](job, memory))


def echo(job: Job, memory: Memory) -> Run:
    """Send the images back and what was understood of the job."""
    for number in range(job.params.count):
        yield Progress(number, job.params.count, f"step {number}")
        yield Scalar("loss", number, 1 / (number + 1))
    for role, image in job.images.items():
        yield Tile(role, (0,) * len(image.axes), np.asarray(image.levels[0][...]))
    yield Note("done", "warning")
    image = job.images["image"]
    seen = {
        "runs": memory["runs"],
        "pid": os.getpid(),
        "axes": image.axes,
        "kind": image.kind,
        "name": image.name,
        "matrix": image.geometry.matrix(),
        "units": image.geometry.units,
        "pixel_size_um": image.pixel_size_um(),
        "names": job.params.names,
        "view": job.view,
        "torch": "torch" in sys.modules,
    }
    return Result("echoed", seen)


def region(job: Job, memory: Memory) -> Run:
    """Read one box of the image twice, and one of the last level."""
    image = job.images["image"]
    box = (slice(10, 20), slice(5, 30))
    first, second = image.read(box), image.read(box)
    yield Tile("region", (10, 5), first)
    coarse = image.read((slice(0, 4), slice(0, 4)), level=len(image.levels) - 1)
    return Result("read", {"same": bool((first == second).all()), "coarse": coarse, "shape": image.shape()})


def identity(job: Job, memory: Memory) -> Run:
    """Tell whether the arrays are the objects of the run before."""
    arrays = {role: image.levels[0] for role, image in job.images.items()}
    before = memory.get("arrays", {})
    memory["arrays"] = arrays
    yield Progress(1, 1)
    return Result("compared", {role: array is before.get(role) for role, array in arrays.items()})


def scribble_on(job: Job, memory: Memory) -> Run:
    """Write into the image, as a careless tool may."""
    job.images["image"].levels[0][...] = 0
    yield Progress(1, 1)
    return Result("written")


def slow(job: Job, memory: Memory) -> Run:
    """Yield for ever; leave a trace when closed."""
    try:
        for number in range(10**6):
            yield Progress(number, 0)
            time.sleep(0.01)
    finally:
        memory["closed"] = memory.get("closed", 0) + 1
    return Result("never")


def closed(job: Job, memory: Memory) -> Run:
    """Tell how many slow runs were closed in this process."""
    yield Progress(1, 1)
    return Result("counted", {"closed": memory.get("closed", 0), "pid": os.getpid()})


def stuck(job: Job, memory: Memory) -> Run:
    """Begin a step that does not end."""
    yield Progress(0, 1)
    time.sleep(600)
    return Result("never")


def die(job: Job, memory: Memory) -> Run:
    """End the process in the middle of a run."""
    yield Progress(0, 1)
    sys.stderr.write("last words of the tool\n")
    sys.stderr.flush()
    os._exit(7)


def crash(job: Job, memory: Memory) -> Run:
    """Raise an error that is nobody's intention."""
    yield Progress(0, 1)
    raise ValueError("a mistake in the tool")


def fail(job: Job, memory: Memory) -> Run:
    """Raise one of our own errors, its name and message in ``text``."""
    name, _, message = job.params.text.partition(":")
    yield Progress(0, 1)
    raise BY_NAME[name](message)


def shortage(job: Job, memory: Memory) -> Run:
    """Run out of memory as torch does."""
    yield Progress(0, 1)
    raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def noise(job: Job, memory: Memory) -> Run:
    """Print to stdout in both ways that libraries do."""
    sys.stdout.write("a library says hello\n")
    sys.stdout.flush()
    os.write(1, b"and so does a C extension\n")
    os.system("echo and a program")
    yield Progress(1, 1)
    return Result("quiet")


def unsendable(job: Job, memory: Memory) -> Run:
    """Return what cannot cross."""
    yield Progress(1, 1)
    return Result("bad", {"thing": object()})


MODES = {
    tool.__name__: tool
    for tool in (
        echo, region, identity, scribble_on, slow, closed, stuck, die, crash, fail, shortage, noise, unsendable,
    )
}  # fmt: skip
