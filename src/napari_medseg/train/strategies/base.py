"""What every training strategy offers to the engine."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn

from napari_medseg.train.batches import Batch


class Strategy(Protocol):
    """How one step learns; the engine owns the loop, the schedule and the checkpoints."""

    net: nn.Module

    def step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Named losses of one mini-batch; the engine minimises their sum."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Tensors that belong to the strategy beside the network's own."""
        ...
