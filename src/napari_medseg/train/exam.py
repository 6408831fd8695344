"""Score a network on annotated pixels that it does not learn from."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from napari_medseg.core.image import Image
from napari_medseg.core.metrics import dice, mean_present
from napari_medseg.core.scribbles import Points
from napari_medseg.core.tiling import read_padded
from napari_medseg.nn.device import Device
from napari_medseg.nn.normalise import Scaling
from napari_medseg.nn.segmenter import as_channels

CROP = 192
MOST_CROPS = 12
BATCH = 4


class Exam:
    """Crops that hold the examined pixels, read once; calling it gives a network's mean Dice on them.

    Attributes
    ----------
    points
        The pixels that are examined, in the order of the answers.
    truth
        (points,) position of each pixel's class among ``labels``.
    crops
        (crops, channels, side, side) float32
    """

    def __init__(
        self,
        image: Image,
        scaling: Scaling,
        points: Points,
        *,
        labels: tuple[int, ...],
        channels: int,
        device: Device,
        seed: int,
    ) -> None:
        self.labels, self.channels, self.device = labels, channels, device
        chosen, corners = _cover(points, np.random.default_rng(seed))
        order = np.flatnonzero(chosen >= 0)
        self.points = Points(points.index[order], points.label[order])
        self.truth = np.searchsorted(np.array(labels), self.points.label)
        self._crop = chosen[order]
        self._yx = self.points.index[:, -2:] - corners[self._crop][:, -2:]
        self.crops = torch.stack([_read(image, scaling, corner) for corner in corners])

    def __call__(self, net: nn.Module) -> float:
        """Mean over the classes of the Dice coefficient."""
        return mean_present(dice(self.truth, self.answers(net).argmax(axis=1), classes=len(self.labels)))

    def answers(self, net: nn.Module) -> np.ndarray:
        """Class probabilities of the points, (points, classes) float32."""
        found = np.concatenate([self._predict(net, batch) for batch in self.crops.split(BATCH)])
        return found[self._crop, :, self._yx[:, 0], self._yx[:, 1]]

    def _predict(self, net: nn.Module, batch: torch.Tensor) -> np.ndarray:
        inputs = as_channels(batch, self.channels).to(self.device.torch)
        with torch.inference_mode(), self.device.precision():
            logits = net(inputs.contiguous(memory_format=torch.channels_last))
        return torch.softmax(logits.float(), dim=1).cpu().numpy()


def _cover(points: Points, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Place squares around the points, the rarest class first, until all are in one or there are enough.

    Returns
    -------
    (points,) number of the square that a point is in, -1 for none; (squares, axes) first index of each square
    """
    chosen = np.full(len(points), -1)
    corners: list[np.ndarray] = []
    while (chosen < 0).any() and len(corners) < MOST_CROPS:
        left = chosen < 0
        labels, counts = np.unique(points.label[left], return_counts=True)
        pick = rng.choice(np.flatnonzero(left & (points.label == labels[counts.argmin()])))
        corner = points.index[pick].copy()
        corner[-2:] -= CROP // 2
        from_corner = points.index - corner
        inside = ((from_corner[:, -2:] >= 0) & (from_corner[:, -2:] < CROP)).all(axis=1)
        inside &= (from_corner[:, :-2] == 0).all(axis=1)
        chosen[left & inside] = len(corners)
        corners.append(corner)
    return chosen, np.array(corners)


def _read(image: Image, scaling: Scaling, corner: np.ndarray) -> torch.Tensor:
    lead = tuple(slice(int(i), int(i) + 1) for i in corner[:-2])
    array = read_padded(image, lead + tuple(slice(int(c), int(c) + CROP) for c in corner[-2:]))
    return scaling(array.reshape(array.shape[-3:]))
