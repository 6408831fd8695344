"""Pretraining: segment nuclei where they are known, and restore damaged pictures everywhere.

Restoring (denoising, filling in, undoing a change of stain) needs no labels: Vincent et al. 2010; Pathak et al. 2016.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from napari_medseg.nn.device import Device
from napari_medseg.train.batches import Batch
from napari_medseg.train.strategies.supervised import balanced_cross_entropy

Objective = Literal["self", "nuclei", "both"]
NUCLEI_CLASSES = (1, 2)


class Pretext:
    """The network's first two outputs are background and nucleus, the last three the restored colours."""

    OUTPUTS = len(NUCLEI_CLASSES) + 3

    def __init__(self, net: nn.Module, objective: Objective, device: Device) -> None:
        self.net, self.objective, self.device = net, objective, device

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses by name: "nuclei" and "restored"."""
        images = batch.images.to(self.device.torch).contiguous(memory_format=torch.channels_last)
        with self.device.precision():
            out = self.net(images).float()
        losses = {}
        if self.objective in ("nuclei", "both"):
            labels = batch.labels.to(self.device.torch)
            losses["nuclei"] = balanced_cross_entropy(out[:, :2], labels, NUCLEI_CLASSES, "minibatch")
        if self.objective in ("self", "both") and batch.target is not None:
            losses["restored"] = (out[:, 2:] - batch.target.to(self.device.torch)).abs().mean()
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Nothing beside the network."""
        return {}
