"""Scribbles: do they fit the image, which classes do they hold, which strokes are held out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image

HIGHEST_LABEL = 255
"""Predictions are stored as bytes."""

LEAST_PIXELS = 10
"""Below this many annotated pixels a class cannot be learned."""

WHOLE_STROKES = 4
"""A class with fewer strokes can spare none: only an end of one is held out, and that looks like what was learned."""

LEAST_STROKES = 8
"""From this many strokes of each class, two or more of each are held out, and the Dice on them is worth a figure.

Five sets, 500 cases: with 1 to 3 strokes a class it is .28 too high on the mean (1.00 in four of five cases); from 4
it is right on the mean, but more than .2 too high in 25 % of cases with 4 or 5 strokes, 15 % with 6 or 7, 6 % with 8
to 11.
"""

LEAST_HELD_OUT = 30
"""Pixels of a class that are held out at least where a figure is given; its steps are a few hundredths then."""

SAMPLED_PIXELS = 2**22
"""What is looked at, at most, where it is enough to find most of the labels."""


@dataclass(frozen=True)
class Points:
    """Annotated pixels, as indices and labels.

    Parameters
    ----------
    index
        (n, ndim) integer indices into the image's spatial axes.
    label
        (n,) labels, all above 0.
    """

    index: np.ndarray
    label: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, mask: np.ndarray) -> Points:
        """The points where ``mask`` (n,) is true."""
        return Points(self.index[mask], self.label[mask])

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """Label array of ``shape`` with these points on it."""
        out = np.zeros(shape, np.uint8)
        out[tuple(self.index.T)] = self.label
        return out

    def counts(self) -> dict[int, int]:
        """Number of points of each label."""
        labels, counts = np.unique(self.label, return_counts=True)
        return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def collect(scribbles: Image) -> Points:
    """All annotated pixels; reads slice by slice so that a deep stack is never held whole."""
    shape = scribbles.shape()
    planes = [_plane_points(scribbles, lead) for lead in np.ndindex(shape[:-2])]
    index = np.concatenate([points.index for points in planes])
    label = np.concatenate([points.label for points in planes])
    return Points(index, label)


def _plane_points(scribbles: Image, lead: tuple[int, ...]) -> Points:
    box = tuple(slice(i, i + 1) for i in lead) + (slice(None), slice(None))
    plane = scribbles.read(box)[..., 0].reshape(scribbles.shape()[-2:])
    yx = np.argwhere(plane)
    index = np.concatenate([np.broadcast_to(np.array(lead, int), (len(yx), len(lead))), yx], axis=1)
    return Points(index, plane[tuple(yx.T)].astype(np.int64))


def labels_seen(scribbles: Image, most: int = SAMPLED_PIXELS) -> list[int]:
    """The labels above 0, found without reading much: a large array is looked at in a grid, a lazy one in its middle.

    What is missed are labels in a few pixels only, or away from the middle of what has to be read from a disk.
    """
    array = scribbles.levels[0]
    height, width = array.shape[-2:]
    step = max(1, math.ceil(math.sqrt(math.prod(array.shape) / most)))
    if isinstance(array, np.ndarray):
        seen = array[..., ::step, ::step]
    else:
        spans = ((size // 2 - size // (2 * step), size // 2 + -(-size // (2 * step))) for size in (height, width))
        seen = np.asarray(array[(..., *(slice(max(0, a), b) for a, b in spans))])
    return [int(label) for label in np.unique(seen) if label > 0]


def check_labels(scribbles: Image) -> None:
    """Raise unless ``scribbles`` are one whole number a pixel."""
    if scribbles.dtype.kind not in "iub":
        raise InputError(
            f"The scribbles {scribbles.name!r} hold {scribbles.dtype} values; labels of whole numbers are needed: "
            "0 = not annotated, 1, 2, ... = classes."
        )
    if scribbles.channels > 1:
        raise InputError(
            f"The scribbles {scribbles.name!r} are a picture with {scribbles.channels} colour channels; labels are "
            "needed, one whole number a pixel: 0 = not annotated, 1, 2, ... = classes. Save the Labels layer itself, "
            "as .tif or .png, not a picture of it."
        )


def check_fit(image: Image, scribbles: Image) -> None:
    """Raise unless ``scribbles`` are labels on exactly the pixels of ``image``."""
    check_labels(scribbles)
    if scribbles.shape() != image.shape():
        raise InputError(
            f"The scribbles {scribbles.name!r} have {_by(scribbles.shape())} pixels but the image {image.name!r} has "
            f"{_by(image.shape())}. Scribbles lie on the image's own pixels: make new ones on this image."
        )
    if not np.allclose(scribbles.geometry.matrix(), image.geometry.matrix(), rtol=1e-4, atol=1e-6):
        raise InputError(
            f"The scribbles {scribbles.name!r} lie elsewhere than the image {image.name!r} (scale, translation or "
            "rotation differ). Scribbles lie on the image's own pixels: make new ones on this image."
        )


def laid_on(labels: Image, image: Image) -> Image:
    """Labels from a file that tells no place or pixel size lie on the image's pixels."""
    plain = set(labels.geometry.units) == {"pixel"} and np.allclose(
        labels.geometry.matrix(), np.eye(len(labels.shape()) + 1)
    )
    return replace(labels, geometry=image.geometry) if plain and labels.shape() == image.shape() else labels


def check_enough(points: Points, names: Mapping[int, str]) -> None:
    """Raise unless there are two classes with enough pixels each."""
    if not len(points):
        raise InputError("The scribbles are empty. Paint at least one stroke of two classes.")
    if points.label.min() < 0:
        raise InputError("The scribbles hold negative labels; classes are 1, 2, 3, ...")
    if points.label.max() > HIGHEST_LABEL:
        raise InputError(f"The label {points.label.max()} is too high for a class; use 1 to {HIGHEST_LABEL}.")
    counts = points.counts()
    unnamed = [label for label in counts if names and label not in names]
    if unnamed:
        raise InputError(
            f"Strokes of label {unnamed[0]} are there, but no class of that number: the classes are "
            f"{', '.join(f'{label} ({name})' for label, name in sorted(names.items()))}. Add that class, or erase them."
        )
    if len(counts) > 64:
        raise InputError(
            f"The scribbles hold {len(counts)} different labels; classes are shared by many strokes: use at most 64."
        )
    if len(counts) < 2:
        only = class_name(next(iter(counts)), names)
        raise InputError(f"Only one class is painted ({only}). Paint a stroke of a second class.")
    for label, count in counts.items():
        if count < LEAST_PIXELS:
            raise InputError(
                f"Class {class_name(label, names)} has too few pixels ({count}); paint at least {LEAST_PIXELS}."
            )


def class_name(label: int, names: Mapping[int, str]) -> str:
    """How a class is called in front of the user."""
    return names.get(label) or f"class {label}"


@dataclass(frozen=True)
class HeldOut:
    """Which points are kept for validation.

    Parameters
    ----------
    mask
        (n,) bool, True where the point is held out.
    strokes
        How many separate strokes of each label were painted.
    """

    mask: np.ndarray
    strokes: Mapping[int, int]

    def whole(self, labels: Iterable[int]) -> bool:
        """Whether whole strokes of each label are held out; scores on these may be compared with each other."""
        return all(self.strokes.get(label, 0) >= WHOLE_STROKES for label in labels)


def hold_out(points: Points, share: float, rng: np.random.Generator) -> HeldOut:
    """Choose the strokes that are kept for validation.

    Strategy: strokes are connected sets of pixels of one class in one plane. A class with four or more
    strokes gives whole strokes, at random, until ``share`` of its pixels are out. A class with fewer gives
    the last ``share`` of its longest stroke, cut across its long axis, so that every class is in both parts.
    """
    out = np.zeros(len(points), bool)
    count = {}
    for label in np.unique(points.label):
        members = np.flatnonzero(points.label == label)
        strokes = _connected(points.index[members])
        many = len(strokes) >= WHOLE_STROKES
        chosen = _whole_strokes(strokes, share, rng) if many else _end(strokes, points.index[members], share)
        out[members[chosen]] = True
        count[int(label)] = len(strokes)
    return HeldOut(out, count)


def why_unchecked(points: Points, held: HeldOut, labels: Sequence[int], names: Mapping[int, str]) -> str:
    """Why a figure on what is held out would tell nothing, and the cure; empty where it is worth something."""
    few = [label for label in labels if held.strokes.get(label, 0) < LEAST_STROKES]
    if few:
        which = "each class" if len(few) == len(labels) else _listed([class_name(label, names) for label in few])
        return f"too few strokes to check: paint at least {LEAST_STROKES} of {which}"
    counts = points.take(held.mask).counts()
    short = [class_name(label, names) for label in labels if counts.get(label, 0) < LEAST_HELD_OUT]
    return f"too short strokes to check: paint longer ones of {_listed(short)}" if short else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _whole_strokes(strokes: list[np.ndarray], share: float, rng: np.random.Generator) -> np.ndarray:
    order = rng.permutation(len(strokes))
    wanted = share * sum(map(len, strokes))
    chosen: list[np.ndarray] = []
    for i in order[: len(strokes) // 2]:
        if sum(map(len, chosen)) >= wanted:
            break
        chosen.append(strokes[i])
    return np.concatenate(chosen)


def _end(strokes: list[np.ndarray], index: np.ndarray, share: float) -> np.ndarray:
    longest = max(strokes, key=len)
    centred = index[longest] - index[longest].mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(centred @ axis, kind="stable")
    return longest[order[-max(1, round(share * len(longest))) :]]


def _connected(index: np.ndarray) -> list[np.ndarray]:
    """Group points that touch (diagonals count) within one plane; returns lists of positions, first point first.

    Strategy
    --------
    Number the pixels of the points' bounding box row by row, with a gap after each row and plane: only the numbers of
    the points are made, so the cost follows what is painted and not the box. Stretches of consecutive numbers are
    runs; those of the row below that a run touches lie next to each other among the sorted runs.
    """
    low = index.min(axis=0)
    size = index.max(axis=0) - low + 3
    place = np.asarray(np.ravel_multi_index(tuple((index - low + 1).T), tuple(size)))
    order = np.argsort(place, kind="stable")
    place = place[order]
    begins = np.concatenate([[True], np.diff(place) > 1])
    first, last = place[begins], place[np.append(begins[1:], True)]
    width = size[-1]
    start = np.searchsorted(last, first + width - 1)
    count = np.searchsorted(first, last + width + 1, side="right") - start
    above = np.repeat(np.arange(len(first)), count)
    below = np.arange(len(above)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(start, count)
    touching = coo_array((np.ones(len(above), np.int8), (above, below)), shape=(len(first), len(first)))
    run_group = connected_components(touching, directed=False)[1]
    group = np.empty(len(index), np.int64)
    group[order] = run_group[np.cumsum(begins) - 1]
    members = np.argsort(group, kind="stable")
    return np.split(members, np.cumsum(np.bincount(group))[:-1])


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
