"""Run a tool on one image and write its result layers to files."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_medseg import io
from napari_medseg.cli._console import Console
from napari_medseg.core.classes import SegmentationClass, from_json
from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.events import Event, Result, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job, Memory
from napari_medseg.run.inline import run_inline

IN_MEMORY_BYTES = 256 << 20
CHUNK = 512
LAYERS = {"prediction": ("labels", np.uint8), "entropy": ("probability", np.float32)}
"""Kind and type of each result layer that a segmenting tool yields."""


def segment(tool: str, job: Job, outputs: Mapping[str, Path], shown: Console, memory: Memory | None = None) -> Result:
    """Run ``tool`` and write the layers named in ``outputs``; nothing is written unless the run succeeds.

    Parameters
    ----------
    outputs
        File by result layer, "prediction" or "entropy".
    """
    image = job.images["image"]
    scratch = _scratch_folder(next(iter(outputs.values())).parent)
    with scratch as folder, shown as console:
        canvases = {layer: _canvas(image, layer, folder) for layer in outputs}
        results = {layer: _result(image, layer, canvas) for layer, canvas in canvases.items()}
        for layer, path in outputs.items():
            io.check_writable(path, results[layer])

        def on_event(event: Event) -> None:
            if isinstance(event, Tile) and event.layer in canvases:
                canvases[event.layer][_box(event)] = event.data
            console.show(event)

        result = run_inline(tool, job, on_event, memory)
        named = {"prediction": classes_of(result)}
        for layer, path in outputs.items():
            io.write_image(path, replace(results[layer], classes=named.get(layer, ())))
    return result


def classes_of(result: Result) -> tuple[SegmentationClass, ...]:
    """Names and colours of the labels that a run gave."""
    names, colours = result.values.get("classes", {}), result.values.get("colours", {})
    said = {label: {"name": name} for label, name in names.items()}
    return from_json({str(label): row | _colour(colours.get(label)) for label, row in said.items()})


def _colour(given: str | None) -> dict[str, str]:
    return {"colour": given} if given else {}


def told(result: Result) -> str:
    """What to say of a run: its summary, and what another run needs to give the same labels."""
    return f"{result.summary}\nComputed on: {result.values['device']}"


def _result(image: Image, layer: str, canvas: Any) -> Image:
    return image.derive(canvas, LAYERS[layer][0], f"{image.name} {layer}")


def check_outputs(outputs: Mapping[str, Path], inputs: list[Path]) -> None:
    """Complain ahead of a long run: about a missing folder, an unknown format, a file that is named twice."""
    taken = {os.path.realpath(path) for path in inputs}
    for path in outputs.values():
        io.check_writable(path)
        place = os.path.realpath(path)
        if place in taken:
            raise InputError(f"{path} is named twice; the result needs a file of its own. Choose another name.")
        taken.add(place)


def add_axes(parser: argparse.ArgumentParser) -> None:
    """Add --axes."""
    parser.add_argument(
        "--axes",
        default="",
        metavar="AXES",
        help="what the axes of the image are, a letter each of t, z, y, x and c (channel), where the file does not say "
        "or is wrong: zyx for a stack that is taken for the channels of one picture",
    )


def _scratch_folder(parent: Path) -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix=".medseg-", dir=parent)
    except OSError as error:
        raise StorageError(f"Nothing can be written to {parent}: {error.strerror or error}. Choose another.") from error


def _canvas(image: Image, layer: str, folder: str, in_memory_bytes: int = IN_MEMORY_BYTES) -> Any:
    """An array for the whole layer; compressed on disk where it is large."""
    dtype, shape = np.dtype(LAYERS[layer][1]), image.shape()
    if np.prod(shape, dtype=np.int64) * dtype.itemsize <= in_memory_bytes:
        return np.zeros(shape, dtype)
    import zarr

    chunks = (1,) * (len(shape) - 2) + tuple(min(size, CHUNK) for size in shape[-2:])
    return zarr.create_array(store=str(Path(folder) / layer), shape=shape, chunks=chunks, dtype=dtype)


def _box(tile: Tile) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(tile.offset, tile.data.shape, strict=True))
