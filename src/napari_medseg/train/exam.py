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
from napari_medseg.train.batches import Batch

CROP = 192
MOST_CROPS = 12
BATCH = 4


class Exam:
    """Crops that hold the examined pixels, read once; calling it gives a network's mean Dice on them."""

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
        crops = _crops(image, scaling, points, np.random.default_rng(seed))
        groups = [crops[i : i + BATCH] for i in range(0, len(crops), BATCH)]
        self.batches = [Batch(torch.stack([i for i, _ in g]), torch.stack([t for _, t in g])) for g in groups]

    def __call__(self, net: nn.Module) -> float:
        """Mean over the classes of the Dice coefficient."""
        pairs = [self._answers(net, batch) for batch in self.batches]
        truth, predicted = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        return mean_present(dice(truth, predicted, classes=len(self.labels)))

    def _answers(self, net: nn.Module, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """True and predicted class positions of the annotated pixels."""
        images = as_channels(batch.images, self.channels).to(self.device.torch)
        with torch.inference_mode(), self.device.precision():
            predicted = net(images.contiguous(memory_format=torch.channels_last)).argmax(dim=1).cpu().numpy()
        truth = batch.labels.numpy()
        known = truth != 0
        return np.searchsorted(np.array(self.labels), truth[known]), predicted[known]


def _crops(
    image: Image, scaling: Scaling, points: Points, rng: np.random.Generator
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Squares around the points, the rarest class first, until all are in one or there are enough."""
    left = np.ones(len(points), bool)
    crops = []
    while left.any() and len(crops) < MOST_CROPS:
        labels, counts = np.unique(points.label[left], return_counts=True)
        pick = rng.choice(np.flatnonzero(left & (points.label == labels[counts.argmin()])))
        lead, corner = points.index[pick, :-2], points.index[pick, -2:] - CROP // 2
        from_corner = points.index[:, -2:] - corner
        inside = left & ((from_corner >= 0) & (from_corner < CROP)).all(axis=1)
        inside &= (points.index[:, :-2] == lead).all(axis=1)
        drawn = np.zeros((CROP, CROP), np.int64)
        drawn[tuple(from_corner[inside].T)] = points.label[inside]
        box = tuple(slice(int(i), int(i) + 1) for i in lead) + tuple(slice(int(c), int(c) + CROP) for c in corner)
        array = read_padded(image, box, 0)
        crops.append((scaling(array.reshape(array.shape[-3:])), torch.from_numpy(drawn)))
        left &= ~inside
    return crops
