"""Figure 5: tiled inference beside the raw forward pass, in each precision and backend, and a very large image.

The raw pass labels the same pixels with the same segmenter: blocks of the tile's size, no overlap, no blending, no
reading. Both are timed in turn, and the median of the paired ratios is reported. The large image is read lazily from
zarr and its labels are written to zarr in a process of its own, whose peak memory is compared with that at the start.

    python -m benchmarks.tiling --side 4096 --large 20000
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

from benchmarks import ours, pool, rows
from napari_medseg.core.image import Geometry
from napari_medseg.io.omezarr import build_pyramid, create_pyramid, open_omezarr
from napari_medseg.train.simulate.tissue import six_class_tissue

TILE = 1024
SOURCE_PX = 1024
PRECISIONS = ("fp32", "bf16")
BACKENDS = ("torch", "openvino")


@dataclass(frozen=True)
class Speed:
    """Tiled against raw on a square image."""

    side: int
    precision: str
    backend: str = "torch"
    repeats: int = 5

    @property
    def key(self) -> rows.Row:
        """What names the row."""
        return {"what": "speed", "side": self.side, "backend": self.backend, "precision": self.precision}


@dataclass(frozen=True)
class Large:
    """Prediction of a large image to zarr."""

    side: int
    precision: str = "auto"

    @property
    def key(self) -> rows.Row:
        """What names the row."""
        return {"what": "large", "side": self.side}


def segmenter(precision: str, backend: str = "torch") -> Any:
    """A light network with its linear head, as Teach leaves them, on the CPU; weights do not matter for time."""
    import torch

    from napari_medseg.nn.device import choose
    from napari_medseg.nn.filters import feature_count
    from napari_medseg.nn.linear_head import LinearHead
    from napari_medseg.nn.networks import build
    from napari_medseg.nn.normalise import Normalisation
    from napari_medseg.nn.openvino_backend import with_openvino
    from napari_medseg.nn.segmenter import Segmenter

    device = choose("cpu", precision)
    net = build("light", {"channels": 3, "classes": 6}, seed=0, device=device).eval()
    noise = torch.Generator().manual_seed(0)
    head = LinearHead(torch.randn(6, feature_count(3), generator=noise), torch.zeros(6))
    model = Segmenter((1, 2, 3, 4, 5, 6), 3, Normalisation(method="rgb8"), device, net, head)
    return with_openvino(model) if backend == "openvino" else model


def measure(task: Speed | Large) -> rows.Row:
    """Measure either kind."""
    return task.key | (speed(task) if isinstance(task, Speed) else large(task))


def speed(task: Speed) -> rows.Row:
    """Seconds and ratio of the two ways, in turn."""
    import torch

    from napari_medseg.nn.device import bf16_units
    from napari_medseg.nn.infer import predict

    without = task.backend == "openvino" and importlib.util.find_spec("openvino") is None
    if without or (task.precision == "bf16" and not bf16_units("cpu")):
        return {"ratio": None, "tiled": None, "raw": None}
    model = segmenter(task.precision, task.backend)
    array = _mirrored(task.side)
    image = ours.as_image(array)
    scaling = model.normalisation.measure(image)
    batches = [scaling(array[box])[None] for box in _blocks(task.side, TILE)]

    def raw() -> None:
        with torch.inference_mode():
            for batch in batches:
                model(batch)

    def tiled() -> None:
        for _ in predict(image, model, tile=TILE):
            pass

    pairs = []
    for number in range(task.repeats + 1):
        pair = _seconds(raw), _seconds(tiled)
        if number:
            pairs.append(pair)
    ratio = median(second / first for first, second in pairs)
    middle = [round(median(times), 3) for times in zip(*pairs, strict=True)]
    return {"raw": middle[0], "tiled": middle[1], "ratio": round(ratio, 3)}


def large(task: Large) -> rows.Row:
    """Seconds and megabytes of one large prediction; the image is made on disk first."""
    from napari_medseg.nn.infer import predict
    from napari_medseg.tools.tiles import PREDICTION, tiles_of

    model = segmenter(task.precision)
    with tempfile.TemporaryDirectory() as folder:
        image = open_omezarr(_large_image(Path(folder) / "image.ome.zarr", task.side))
        for _ in predict(ours.as_image(_mirrored(SOURCE_PX)), model):
            pass
        before = psutil.Process().memory_info().rss
        start = time.perf_counter()
        target = Path(folder) / "labels.ome.zarr"
        plain = Geometry.plain(2)
        levels = create_pyramid(target, image.shape(), np.uint8, "yx", plain, "labels", "labels")
        for box, probabilities in predict(image, model):
            labels = tiles_of(box, probabilities, model.labels)[0]
            levels[0][box] = labels.data
        for _ in build_pyramid(levels, "yx", "labels"):
            pass
        took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": round(took, 1), "above_start_mb": round((peak - before) / 2**20), "layer": PREDICTION}


def _large_image(path: Path, side: int) -> Path:
    """A mirror-tiled section on disk, without ever holding all of it."""
    source = np.moveaxis(_mirrored(SOURCE_PX), -1, 0)
    levels = create_pyramid(path, (3, side, side), np.uint8, "cyx", Geometry.plain(2))
    for rows_, columns in _blocks(side, SOURCE_PX):
        block = source[:, :: _turn(rows_), :: _turn(columns)]
        levels[0][:, rows_, columns] = block[:, : rows_.stop - rows_.start, : columns.stop - columns.start]
    return path


def _turn(span: slice) -> int:
    return -1 if (span.start // SOURCE_PX) % 2 else 1


def _mirrored(side: int) -> np.ndarray:
    source, _ = six_class_tissue(SOURCE_PX, 1)
    more = max(0, side - SOURCE_PX)
    return np.pad(source, ((0, more), (0, more), (0, 0)), mode="symmetric")[:side, :side]


def _blocks(side: int, size: int) -> Iterator[tuple[slice, slice]]:
    starts = range(0, side, size)
    for row in starts:
        for column in starts:
            yield slice(row, min(row + size, side)), slice(column, min(column + size, side))


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def render(found: Sequence[rows.Row]) -> str:
    """Both tables."""
    lines = ["### Tiled inference beside the raw forward pass", ""]
    lines += ["| image | backend | precision | raw (s) | tiled (s) | ratio |", "|---|---|---|---|---|---|"]
    for row in found:
        if row["what"] == "speed" and row["ratio"] is not None:
            cells = (f"{row['side']}²", row["backend"], row["precision"], row["raw"], row["tiled"], row["ratio"])
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", "### A large image to zarr", "", "| image | seconds | peak above start (MB) |", "|---|---|---|"]
    for row in found:
        if row["what"] == "large":
            lines.append(f"| {row['side']}² | {row['seconds']} | {row['above_start_mb']} |")
    return "\n".join(lines) + "\n"


def tasks(options: argparse.Namespace) -> list[Speed | Large]:
    """Speed in each precision with each backend, then the large image."""
    speeds = [Speed(options.side, precision, backend) for backend in BACKENDS for precision in PRECISIONS]
    return [*speeds, Large(options.large)]


def run(options: argparse.Namespace) -> None:
    """Measure what is missing in the file."""
    for task in tasks(options):
        pool.run(measure, [task], options.out)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiling", description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="a multiple of 512, so that the raw blocks fit")
    parser.add_argument("--large", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=rows.RESULTS / "tiling.jsonl")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run(parse())
