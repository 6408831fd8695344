"""The measuring sets: real images with truth, read in place from ``shared/data``, and a synthetic tissue.

An image that a shipped encoder may have seen is never scored: where a set is free to ship, ``evaluation_names``
and ``pretraining_names`` split it by image (and by slide or strip where tiles touch each other).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image as Picture

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_SETS = ("tumour", "nuclei", "glands", "glomeruli", "membranes")
SETS = (*REAL_SETS, "tissue6")
SEEDS = 5
MIN_SHARE = 0.06
"""A class must cover this share of an image that is scored (0.01 in the unbalanced synthetic tissue)."""

_EVALUATION = {
    "tumour": ("r27c5", "r28c12", "r35c4", "r35c8", "r41c2"),
    "glomeruli": ("10063", "10064", "10102", "10103"),
}
_GLOMERULI_STRIPS = {"10063": "strip 2", "10064": "strip 2", "10102": "strip 3", "10103": "strip 3", "10133": "strip 4"}
_GLANDS_WITH_GAPS = ("barrdistorted_1002_0.3_0.3_benign_testA_19",)
"""Looked at: the right two thirds of this picture are full of glands that the mask leaves out."""


@dataclass(frozen=True)
class Case:
    """One image with its truth.

    Parameters
    ----------
    group
        Images of one group are too close to each other (touching tiles, neighbouring sections) to count as
        "another image".
    image
        uint8, (H, W, 3) or (H, W).
    truth
        uint8 (H, W), classes 1..K; in binary sets 1 is the rest and 2 the object.
    """

    name: str
    group: str
    image: np.ndarray
    truth: np.ndarray


class DataMissing(Exception):
    """The shared data is not beside this checkout."""


def data_folder() -> Path:
    """Folder of the measuring sets: ``$MEDSEG_SHARED_DATA``, else ``../shared/data`` or ``shared/data``."""
    given = os.environ.get("MEDSEG_SHARED_DATA")
    places = [Path(given)] if given else [REPOSITORY.parent / "shared" / "data", REPOSITORY / "shared" / "data"]
    for place in places:
        if place.is_dir():
            return place
    raise DataMissing(
        f"The measuring sets were looked for in {', '.join(map(str, places))} and are not there; "
        "put shared/data beside the checkout or name its folder in MEDSEG_SHARED_DATA."
    )


def evaluation_names(name: str) -> tuple[str, ...]:
    """Images of a set that may be scored."""
    if name in _EVALUATION:
        return _EVALUATION[name]
    everything = _names(name)
    return everything[::2] if name == "nuclei" else everything


def pretraining_names(name: str) -> tuple[str, ...]:
    """Images of a free-to-ship set that a shipped encoder may learn from; disjoint from what is scored."""
    if name not in ("tumour", "nuclei", "glomeruli"):
        return ()
    scored = set(evaluation_names(name))
    return tuple(item for item in _names(name) if item not in scored)


@cache
def cases(name: str) -> tuple[Case, ...]:
    """All images of a set that may be scored and hold enough of every class."""
    _check(name)
    read = [_LOADERS[name](item) for item in evaluation_names(name)]
    classes = 6 if name == "tissue6" else 2
    least = 0.01 if name == "tissue6" else MIN_SHARE
    return tuple(case for case in read if _smallest_share(case.truth, classes) >= least)


def load(name: str, item: str) -> Case:
    """One image of a set by its name, scored or not (pretraining reads its half through this)."""
    _check(name)
    return _LOADERS[name](item)


@cache
def pairs(name: str, seeds: int = SEEDS) -> tuple[tuple[Case, Case], ...]:
    """For each seed the image that is painted and another image of another group for the transfer score."""
    pool = cases(name)
    order = np.random.default_rng(20).permutation(len(pool))
    result = []
    for seed in range(seeds):
        first = pool[order[seed % len(pool)]]
        others = [case for case in pool if case.group != first.group]
        result.append((first, others[np.random.default_rng([21, seed]).integers(len(others))]))
    return tuple(result)


def _check(name: str) -> None:
    if name not in SETS:
        raise ValueError(f"There is no measuring set {name!r}; known are: {', '.join(SETS)}.")


def _smallest_share(truth: np.ndarray, classes: int) -> float:
    return min(float(np.mean(truth == value)) for value in range(1, classes + 1))


@cache
def _names(name: str) -> tuple[str, ...]:
    """Every image of a set that was found usable when looked at."""
    _check(name)
    if name == "tissue6":
        return tuple(f"tissue {seed}" for seed in range(100, 110))
    root = data_folder()
    if name == "tumour":
        return tuple(sorted(path.stem.split("_")[1] for path in (root / "he_tissue/OCDC_tumor/images").iterdir()))
    if name == "nuclei":
        return tuple(sorted(path.name for path in (root / "nuclei/DSB2018_color").iterdir()))
    folder = {
        "glands": "he_tissue/GlaS_barrel/images",
        "glomeruli": "kidney_glomeruli/aidpath_hubmapext/images",
        "membranes": "em_membrane/ISBI2012/image",
    }[name]
    stems = sorted(path.stem for path in (root / folder).iterdir())
    return tuple(stem for stem in stems if stem not in _GLANDS_WITH_GAPS)


def _rgb(path: Path) -> np.ndarray:
    return np.asarray(Picture.open(path).convert("RGB"))


def _grey(path: Path) -> np.ndarray:
    return np.asarray(Picture.open(path).convert("L"))


def _binary(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 2, 1).astype(np.uint8)


def _tumour(item: str) -> Case:
    root = data_folder() / "he_tissue/OCDC_tumor"
    mask = _grey(root / "masks" / f"1009009_{item}.jpg") > 127
    return Case(item, item, _rgb(root / "images" / f"1009009_{item}.jpg"), _binary(mask))


def _nuclei(item: str) -> Case:
    root = data_folder() / "nuclei/DSB2018_color" / item
    masks = [_grey(path) > 127 for path in sorted((root / "masks").iterdir())]
    return Case(item[:8], item, _rgb(root / "images" / f"{item}.png"), _binary(np.any(masks, axis=0)))


def _glands(item: str) -> Case:
    root = data_folder() / "he_tissue/GlaS_barrel"
    rows = slice(85, 426)
    mask = _rgb(root / "masks" / f"{item}.png")[rows]
    gland = (mask[..., :2].max(axis=-1) > 127) & (mask[..., 2] < 128)
    return Case(item.split("0.3_")[-1], item, _rgb(root / "images" / f"{item}.png")[rows], _binary(gland))


def _glomeruli(item: str) -> Case:
    root = data_folder() / "kidney_glomeruli/aidpath_hubmapext"
    full = _rgb(root / "images" / f"{item}.png").astype(np.float32)
    half = full.reshape(512, 2, 512, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    mask = _rgb(root / "masks" / f"{item}.png")[::2, ::2, 0] > 127
    return Case(item, _GLOMERULI_STRIPS.get(item, "strip 1"), half, _binary(mask))


def _membranes(item: str) -> Case:
    root = data_folder() / "em_membrane/ISBI2012"
    cell = _grey(root / "label" / f"{item}.png") > 127
    return Case(item, f"sections {int(item) // 5}", _grey(root / "image" / f"{item}.png"), _binary(~cell))


def _tissue6(item: str) -> Case:
    from napari_medseg.train.simulate.tissue import six_class_tissue

    image, truth = six_class_tissue(512, int(item.split()[1]))
    return Case(item, item, image, truth.astype(np.uint8))


_LOADERS: dict[str, Callable[[str], Case]] = {
    "tumour": _tumour,
    "nuclei": _nuclei,
    "glands": _glands,
    "glomeruli": _glomeruli,
    "membranes": _membranes,
    "tissue6": _tissue6,
}
