"""Mini-batches of crops around annotated pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_medseg.core.image import Image
from napari_medseg.core.scribbles import Points
from napari_medseg.core.tiling import read_padded
from napari_medseg.nn.normalise import Scaling
from napari_medseg.train.augment import Strengths, reach, recolour, sample_grid, warp


@dataclass(frozen=True)
class Batch:
    """What a strategy trains on.

    Parameters
    ----------
    images
        (batch, channels, side, side) float32
    labels
        (batch, side, side) integers, 0 = not annotated
    target
        (batch, channels, side, side) what a strategy that reconstructs images should find
    """

    images: torch.Tensor
    labels: torch.Tensor
    target: torch.Tensor | None = None


class CropSampler:
    """Draws crops around strokes, evenly over the classes, augmented.

    Parameters
    ----------
    image, scaling
        The picture and how its values are scaled.
    points
        Annotated pixels to learn from.
    dense
        Annotated pixels of densely annotated patches; ``dense_share`` of the crops come from there.
    """

    def __init__(
        self,
        image: Image,
        scaling: Scaling,
        points: Points,
        *,
        crop: int,
        batch: int,
        strengths: Strengths,
        seed: int,
        dense: Points | None = None,
        dense_share: float = 0.0,
    ) -> None:
        self.image, self.scaling, self.crop, self.batch = image, scaling, crop, batch
        self.strengths = strengths
        self.source = reach(crop, strengths)
        self.numpy_rng = np.random.default_rng(seed)
        self.torch_rng = torch.Generator().manual_seed(seed)
        self.dense_share = dense_share if dense is not None and len(dense) else 0.0
        every = points if dense is None else _joined(points, dense)
        self.planes = _by_plane(every)
        self.sparse = _by_class(points)
        self.dense = _by_class(dense) if dense is not None and len(dense) else []

    def draw(self) -> Batch:
        """The next mini-batch, on the CPU."""
        sources = [self._source(self._centre(i)) for i in range(self.batch)]
        images = torch.stack([image for image, _ in sources])
        labels = torch.stack([label for _, label in sources])
        grid = sample_grid(self.batch, self.source, self.crop, self.strengths, self.torch_rng)
        images, labels = warp(images, labels, grid)
        return Batch(recolour(images, self.strengths, self.torch_rng), labels)

    def _centre(self, position: int) -> np.ndarray:
        """A random annotated pixel, classes in turn, moved so that it does not always lie in the middle."""
        dense = self.dense and self.numpy_rng.random() < self.dense_share
        groups = self.dense if dense else self.sparse
        start = int(self.numpy_rng.integers(len(groups))) if position == 0 else self._turn + 1
        self._turn = start % len(groups)
        members = groups[self._turn]
        centre = members[self.numpy_rng.integers(len(members))].copy()
        centre[-2:] += self.numpy_rng.integers(-self.crop // 4, self.crop // 4 + 1, 2)
        return centre

    def _source(self, centre: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Image and labels of the square of ``source`` pixels around ``centre``."""
        corner = centre[-2:] - self.source // 2
        lead = tuple(int(i) for i in centre[:-2])
        box = tuple(slice(i, i + 1) for i in lead) + tuple(slice(int(c), int(c) + self.source) for c in corner)
        array = read_padded(self.image, box, 0)
        labels = np.zeros((self.source, self.source), np.int64)
        plane = self.planes.get(lead)
        if plane is not None:
            yx = plane.index[:, -2:] - corner
            inside = ((yx >= 0) & (yx < self.source)).all(axis=1)
            labels[tuple(yx[inside].T)] = plane.label[inside]
        return self.scaling(array.reshape(array.shape[-3:])), torch.from_numpy(labels)


def _joined(first: Points, second: Points) -> Points:
    return Points(np.concatenate([first.index, second.index]), np.concatenate([first.label, second.label]))


def _by_plane(points: Points) -> dict[tuple[int, ...], Points]:
    leads, which = np.unique(points.index[:, :-2], axis=0, return_inverse=True)
    which = which.reshape(-1)
    return {tuple(int(i) for i in lead): points.take(which == i) for i, lead in enumerate(leads)}


def _by_class(points: Points) -> Sequence[np.ndarray]:
    return [points.index[points.label == label] for label in np.unique(points.label)]
