"""A model that answers with class probabilities: a network, a linear head on filters, or their mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from napari_medseg.core.errors import ModelError
from napari_medseg.nn.device import Device
from napari_medseg.nn.filters import filter_maps
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation


@dataclass(frozen=True)
class Segmenter:
    """Everything that turns scaled pixels into probabilities.

    Parameters
    ----------
    labels
        The label of each class, in the order of the outputs.
    head_share
        How much the head counts beside the network, 0 to 1.
    channels
        What the network takes; a grey image is repeated to fill them.
    """

    labels: tuple[int, ...]
    channels: int
    normalisation: Normalisation
    device: Device
    net: nn.Module | None = None
    head: LinearHead | None = None
    head_share: float = 0.5

    @property
    def multiple(self) -> int:
        """Sides of a tile must be divisible by this."""
        return int(getattr(self.net, "multiple", 1)) if self.net is not None else 16

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """(batch, image channels, h, w) float32 -> probabilities (batch, classes, h, w) float32."""
        batch = batch.to(self.device.torch)
        if self.net is None and self.head is not None:
            return self._ask_head(self.head, batch)
        if self.net is not None and self.head is None:
            return self._ask_net(self.net, batch)
        if self.net is None or self.head is None:
            raise ModelError("The model has neither a network nor a linear head.")
        share = self.head_share
        return share * self._ask_head(self.head, batch) + (1 - share) * self._ask_net(self.net, batch)

    def _ask_net(self, net: nn.Module, batch: torch.Tensor) -> torch.Tensor:
        inputs = as_channels(batch, self.channels).contiguous(memory_format=torch.channels_last)
        with self.device.precision():
            logits = net(inputs)
        return torch.softmax(logits.float(), dim=1)

    def _ask_head(self, head: LinearHead, batch: torch.Tensor) -> torch.Tensor:
        return torch.softmax(head(filter_maps(batch)), dim=1)


def as_channels(batch: torch.Tensor, channels: int) -> torch.Tensor:
    """Repeat a grey batch to ``channels``; others pass as they are."""
    return batch.expand(-1, channels, -1, -1) if batch.shape[1] == 1 and channels > 1 else batch


def agree(segmenter: Segmenter, batch: torch.Tensor, least: float = 0.99) -> bool:
    """Whether bf16 and fp32 give the same class on at least ``least`` of the pixels of ``batch``."""
    if not segmenter.device.bf16:
        return True
    exact = replace(segmenter, device=replace(segmenter.device, bf16=False))
    with torch.inference_mode():
        same = segmenter(batch).argmax(dim=1) == exact(batch).argmax(dim=1)
    return same.float().mean().item() >= least
