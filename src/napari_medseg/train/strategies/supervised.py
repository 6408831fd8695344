"""Masked, balanced cross entropy on annotated pixels (Bokhorst et al., MIDL 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from napari_medseg.core.balance import Balancing, pixel_weights
from napari_medseg.nn.device import Device
from napari_medseg.nn.segmenter import as_channels
from napari_medseg.train.batches import Batch


class Supervised:
    """Learn from annotated pixels only.

    Parameters
    ----------
    labels
        The label of each class, in the order of the network's outputs.
    channels
        Channels that the network takes.
    """

    def __init__(
        self, net: nn.Module, labels: Sequence[int], channels: int, balancing: Balancing, device: Device
    ) -> None:
        self.net, self.labels, self.channels = net, tuple(labels), channels
        self.balancing: Balancing = balancing
        self.device = device

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Cross entropy, weighted by ``core.balance`` and averaged over the annotated pixels."""
        images = as_channels(batch.images, self.channels).to(self.device.torch)
        labels = batch.labels.to(self.device.torch)
        with self.device.precision():
            logits = self.net(images.contiguous(memory_format=torch.channels_last))
        return {"loss": balanced_cross_entropy(logits.float(), labels, self.labels, self.balancing)}

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the network."""
        return {}


def balanced_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, classes: Sequence[int], balancing: Balancing
) -> torch.Tensor:
    """sum(w * cross entropy) / number of annotated pixels; unannotated pixels get exactly zero gradient.

    Parameters
    ----------
    logits
        (batch, classes, h, w)
    labels
        (batch, h, w), 0 = not annotated, else one of ``classes``
    """
    weights = pixel_weights(labels, balancing, classes)
    annotated = labels != 0
    if not annotated.any():
        return logits.sum() * 0.0
    target = torch.zeros_like(labels)
    for position, label in enumerate(classes):
        target[labels == label] = position
    chosen = logits.permute(0, 2, 3, 1)[annotated]
    losses = F.cross_entropy(chosen, target[annotated], reduction="none")
    return (losses * weights[annotated]).sum() / annotated.sum()
