"""``medseg train encoder``: the weights that Teach starts from, from images that are free to ship."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Picture

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Event, Progress, Result
from napari_medseg.nn.device import choose
from napari_medseg.nn.networks import build
from napari_medseg.nn.store import Card, write
from napari_medseg.train.augment import Strengths, reach, recolour, sample_grid, warp
from napari_medseg.train.batches import Batch
from napari_medseg.train.engine import Fit, Schedule
from napari_medseg.train.strategies.pretext import Objective, Pretext

CROP = 192
BATCH = 4
STRENGTHS = Strengths(zoom=0.5)
LOG_EVERY = 200
SETS = {
    "nuclei/DSB2018_color": "*/images/*.png",
    "nuclei/DSB2018_fluo": "*/images/*.png",
    "nuclei/BreCaHAD/images": "*.jpg",
    "he_tissue/OCDC_tumor/images": "*.jpg",
    "digital_staining/OSCC_HE_400x_unlabelled": "*.jpg",
    "kidney_glomeruli/aidpath_hubmapext/images": "*.png",
}
"""Folder of each set, and the pictures in it."""
TUMOUR_TILES = ("r27c10", "r31c0", "r31c1", "r35c10", "r41c5")
GLOMERULI_TILES = ("10003", "10014", "10025", "10133")
CREDIT = (
    "OCDC, its OSCC_HE pictures too (CC BY 4.0); AIDPATH 10.17632/k7nvtgn2x6.3 (CC BY 4.0); "
    "BreCaHAD (CC BY 4.0); Data Science Bowl 2018 (CC0)"
)


@dataclass(frozen=True)
class Sample:
    """One training picture: RGB uint8, and labels (0 unknown, 1 background, 2 nucleus)."""

    image: np.ndarray
    labels: np.ndarray | None


def train(
    data: Path, out: Path, *, objective: Objective = "both", steps: int = 8000, seed: int = 0, name: str = "encoder"
) -> Generator[Event, None, Result]:
    """Train on the pretraining half of the free sets in ``data``; write NAME.safetensors and NAME.json to ``out``."""
    groups = pictures(data)
    device = choose()
    arguments = {"channels": 3, "classes": Pretext.OUTPUTS}
    net = build("light", arguments, seed=seed, device=device)
    sampler = Sampler(groups, seed)
    fit = Fit(Pretext(net, objective, device), sampler.draw, None, Schedule(average=0.998, validate_every=200))
    for point in fit.run(steps=steps):
        if point.step % LOG_EVERY == 0:
            yield point
            yield Progress(point.step, steps, "pretraining")
    yield from fit.validate()
    curves = {key: float(np.mean([v for _, v in points[-200:]])) for key, points in fit.progress.curves.items()}
    card = Card(
        name=name,
        task="encoder",
        architecture="light",
        arguments=arguments,
        channels=3,
        normalisation="rgb8",
        training_data="half of OCDC_tumor, aidpath_hubmapext and DSB2018_color; DSB2018_fluo, BreCaHAD, OSCC_HE",
        licence="CC BY 4.0",
        credit=CREDIT,
        figures={f"mean {key} loss, last 200 steps": round(value, 4) for key, value in curves.items()},
        parameters={"objective": objective, "crop": CROP, "batch": BATCH},
        seed=seed,
        steps=fit.progress.step,
        precision=device.precision_name,
    )
    tensors = {f"net.{key}": tensor for key, tensor in fit.best.items() if not key.startswith("head.")}
    stored = write(card, tensors, out)
    write_log(fit.progress.curves, out / f"{name}.csv")
    return Result(f"encoder written to {stored.weights} after {steps} steps", {"model": str(stored.weights), **curves})


def write_log(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Write the curves as a table: step, name of the loss, value."""
    rows = [f"{step},{name},{value:.4f}" for name in curves for step, value in curves[name] if step % LOG_EVERY == 0]
    path.write_text("\n".join(["step,loss,value", *rows]) + "\n", encoding="utf-8")


def pictures(data: Path) -> list[list[Sample]]:
    """The training pictures in groups that are drawn from equally often."""
    _check_sets(data)
    tissue = [data / f"he_tissue/OCDC_tumor/images/1009009_{tile}.jpg" for tile in TUMOUR_TILES]
    tissue += sorted((data / "digital_staining/OSCC_HE_400x_unlabelled").glob("*.jpg"))
    kidney = [data / f"kidney_glomeruli/aidpath_hubmapext/images/{tile}.png" for tile in GLOMERULI_TILES]
    return [
        [_nuclei(folder) for folder in _folders(data / "nuclei/DSB2018_color")[1::2]],
        [_nuclei(folder) for folder in _folders(data / "nuclei/DSB2018_fluo")],
        [Sample(_rgb(path), None) for path in tissue],
        [Sample(_rgb(path), None) for path in kidney],
        [Sample(_rgb(path), None) for path in sorted((data / "nuclei/BreCaHAD/images").glob("*.jpg"))],
    ]


def _check_sets(data: Path) -> None:
    """Say which sets are missing, and where each is expected."""
    missing = [f"{place}/{files}" for place, files in SETS.items() if next((data / place).glob(files), None) is None]
    if not missing:
        return
    there = f"{data} lacks" if data.is_dir() else f"There is no folder {data}; expected is one that holds"
    what = f"{len(missing)} of the {len(SETS)}" if len(missing) < len(SETS) else f"the {len(SETS)}"
    raise InputError(f"{there} {what} free image sets: {', '.join(missing)}. Put them there, or name their folder.")


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir())


def _nuclei(folder: Path) -> Sample:
    picture = next((folder / "images").glob("*.png"), None)
    if picture is None:
        raise InputError(f"There is no picture in {folder / 'images'}; copy the data set again.")
    image = _rgb(picture)
    masks = [np.asarray(Picture.open(path).convert("L")) > 127 for path in (folder / "masks").glob("*.png")]
    return Sample(image, np.where(np.any(masks, axis=0), 2, 1).astype(np.uint8))


def _rgb(path: Path) -> np.ndarray:
    try:
        return np.asarray(Picture.open(path).convert("RGB"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}). Copy the data set again.") from error


class Sampler:
    """Draws augmented crops and damages them."""

    def __init__(self, groups: list[list[Sample]], seed: int) -> None:
        self.groups = groups
        self.rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)
        self.source = reach(CROP, STRENGTHS)

    def draw(self) -> Batch:
        """Damaged pictures, nucleus labels where known, and the undamaged pictures."""
        sources = [self._source() for _ in range(BATCH)]
        images, labels = (torch.stack(parts) for parts in zip(*sources, strict=True))
        grid = sample_grid(BATCH, self.source, CROP, STRENGTHS, self.torch_rng)
        clean, labels = warp(images, labels, grid)
        clean = recolour(clean, Strengths(blur=0), self.torch_rng)
        return Batch(self._damaged(clean), labels, clean)

    def _source(self) -> tuple[torch.Tensor, torch.Tensor]:
        group = self.groups[self.rng.integers(len(self.groups))]
        picture = group[self.rng.integers(len(group))]
        size = picture.image.shape[:2]
        corner = [int(self.rng.integers(0, max(1, side - self.source + 1))) for side in size]
        box = tuple(slice(c, c + self.source) for c in corner)
        image = picture.image[box]
        labels = np.zeros(image.shape[:2], np.uint8) if picture.labels is None else picture.labels[box]
        short = [(0, self.source - side) for side in image.shape[:2]]
        image = np.pad(image, [*short, (0, 0)], mode="symmetric")
        labels = np.pad(labels, short)
        scaled = (torch.from_numpy(image.copy()).float() - 127.5) / 63.75
        return scaled.permute(2, 0, 1), torch.from_numpy(labels.astype(np.int64))

    def _damaged(self, clean: torch.Tensor) -> torch.Tensor:
        """Blur, noise, and half of the pictures with squares of their mean colour in them."""
        out = recolour(clean, Strengths(gamma=0, contrast=0, colour=0.05, blur=1.5), self.torch_rng)
        noise = torch.rand(len(clean), 1, 1, 1, generator=self.torch_rng) * 0.3
        out = out + torch.randn(clean.shape, generator=self.torch_rng) * noise
        for index in range(0, len(clean), 2):
            for _ in range(6):
                side = int(self.rng.integers(8, 40))
                y, x = self.rng.integers(0, CROP - side, 2)
                out[index, :, y : y + side, x : x + side] = clean[index].mean(dim=(1, 2))[:, None, None]
        return out
