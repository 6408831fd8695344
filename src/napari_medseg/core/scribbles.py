"""Scribbles: do they fit the image, which classes do they hold, which strokes are held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image

HIGHEST_LABEL = 255
"""Predictions are stored as bytes."""

LEAST_PIXELS = 10
"""Below this many annotated pixels a class cannot be learned."""


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


def check_fit(image: Image, scribbles: Image) -> None:
    """Raise unless ``scribbles`` are labels on exactly the pixels of ``image``."""
    if scribbles.dtype.kind not in "iub":
        raise InputError(
            f"The scribbles {scribbles.name!r} hold {scribbles.dtype} values; a Labels layer of whole numbers is "
            "needed."
        )
    if scribbles.shape() != image.shape():
        raise InputError(
            f"The scribbles {scribbles.name!r} have {_by(scribbles.shape())} pixels but the image {image.name!r} has "
            f"{_by(image.shape())}. Make a scribble layer for this image with the New button."
        )
    if not np.allclose(scribbles.geometry.matrix(), image.geometry.matrix(), rtol=1e-4, atol=1e-6):
        raise InputError(
            f"The scribbles {scribbles.name!r} lie elsewhere than the image {image.name!r} (scale, translation or "
            "rotation differ). Make a scribble layer for this image with the New button."
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


def hold_out(points: Points, share: float, rng: np.random.Generator) -> np.ndarray:
    """Choose the strokes that are kept for validation.

    Strategy: strokes are connected sets of pixels of one class in one plane. A class with four or more
    strokes gives whole strokes, at random, until ``share`` of its pixels are out. A class with fewer gives
    the last ``share`` of its longest stroke, cut across its long axis, so that every class is in both parts.

    Returns
    -------
    (n,) bool, True where the point is held out
    """
    out = np.zeros(len(points), bool)
    for label in np.unique(points.label):
        members = np.flatnonzero(points.label == label)
        strokes = _connected(points.index[members])
        chosen = (
            _whole_strokes(strokes, share, rng) if len(strokes) >= 4 else _end(strokes, points.index[members], share)
        )
        out[members[chosen]] = True
    return out


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
    """Group points that touch (diagonals count) within one plane; returns lists of positions."""
    low = index.min(axis=0)
    grid = np.zeros(index.max(axis=0) - low + 1, bool)
    grid[tuple((index - low).T)] = True
    reach = np.zeros((3,) * index.shape[1], bool)
    reach[(1,) * (index.shape[1] - 2)] = True
    labelled, count = ndimage.label(grid, reach)
    group = labelled[tuple((index - low).T)]
    order = np.argsort(group, kind="stable")
    edges = np.searchsorted(group[order], np.arange(1, count + 2))
    return [order[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
