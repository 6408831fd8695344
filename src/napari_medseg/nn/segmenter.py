"""A model that answers with class probabilities: a network, a linear head on filters, or their mean."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from napari_medseg.nn.device import Device
from napari_medseg.nn.filters import filter_bank
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation


@dataclass(frozen=True)
class Segmenter:
    """Everything that turns scaled pixels into probabilities.

    Parameters
    ----------
    labels
        The label of each class, in the order of the outputs.
    channels
        What the network takes; a grey image is repeated to fill them.
    """

    labels: tuple[int, ...]
    channels: int
    normalisation: Normalisation
    device: Device
    net: nn.Module | None = None
    head: LinearHead | None = None

    @property
    def multiple(self) -> int:
        """Sides of a tile must be divisible by this."""
        return int(getattr(self.net, "multiple", 1)) if self.net is not None else 16

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        """(batch, image channels, h, w) float32 -> probabilities (batch, classes, h, w) float32."""
        batch = batch.to(self.device.torch)
        answers = []
        if self.net is not None:
            inputs = as_channels(batch, self.channels).contiguous(memory_format=torch.channels_last)
            with self.device.precision():
                logits = self.net(inputs)
            answers.append(torch.softmax(logits.float(), dim=1))
        if self.head is not None:
            answers.append(torch.softmax(self.head(filter_bank(batch)), dim=1))
        return torch.stack(answers).mean(dim=0) if len(answers) > 1 else answers[0]


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
