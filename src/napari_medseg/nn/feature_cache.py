"""Filter responses of an image, block by block, kept for the next stroke."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

import numpy as np
import torch

from napari_medseg.core.image import Box, Image
from napari_medseg.core.job import Span
from napari_medseg.core.tiling import read_padded
from napari_medseg.nn.filters import Maps, filter_maps
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Scaling

BLOCK = 512
HALO = 64
CACHE_BYTES = 512 * 2**20

Where = tuple[int, ...]
"""A block: the plane's indices in a stack, then the block's row and column."""


class FeatureCache:
    """Filter responses of blocks of one image, the least recently used dropped first."""

    def __init__(self, image: Image, scaling: Scaling, most_bytes: int = CACHE_BYTES) -> None:
        self.image, self.scaling, self.most_bytes = image, scaling, most_bytes
        self._held: OrderedDict[Where, Maps] = OrderedDict()

    def block(self, where: Where) -> Maps:
        """Filter responses of a block and the ``HALO`` around it."""
        if where in self._held:
            self._held.move_to_end(where)
            return self._held[where]
        features = self._held[where] = self._compute(where)
        while sum(part.nbytes for part in self._held.values()) > self.most_bytes and len(self._held) > 1:
            self._held.popitem(last=False)
        return features

    def box(self, where: Where) -> Box:
        """The pixels of a block."""
        sizes = self.image.shape()[-2:]
        plane = (slice(i * BLOCK, min((i + 1) * BLOCK, n)) for i, n in zip(where[-2:], sizes, strict=True))
        return (*(slice(i, i + 1) for i in where[:-2]), *plane)

    def blocks(self, view: tuple[Span, ...] | None) -> Iterator[Where]:
        """Blocks that meet the view, row by row; without a view, those of the first plane."""
        shape = self.image.shape()
        leading = len(shape) - 2
        spans = view or ((0, 1),) * leading + tuple((0, size) for size in shape[-2:])
        ranges = [
            range(max(0, low) // size, -(-min(high, limit) // size))
            for (low, high), size, limit in zip(spans, (1,) * leading + (BLOCK, BLOCK), shape, strict=True)
        ]
        for offset in np.ndindex(*map(len, ranges)):
            yield tuple(steps[i] for steps, i in zip(ranges, offset, strict=True))

    def at(self, index: np.ndarray) -> torch.Tensor:
        """Features of single pixels, (n, features) float32; ``index`` is (n, axes)."""
        blocks = np.concatenate([index[:, :-2], index[:, -2:] // BLOCK], axis=1)
        wanted, which = np.unique(blocks, axis=0, return_inverse=True)
        members = [np.flatnonzero(which.reshape(-1) == i) for i in range(len(wanted))]
        parts = [self._pixels(tuple(map(int, where)), index[own]) for where, own in zip(wanted, members, strict=True)]
        order = np.argsort(np.concatenate(members))
        return torch.cat(parts)[torch.from_numpy(order)]

    def probabilities(self, where: Where, head: LinearHead) -> np.ndarray:
        """Answer of a head on a block, (*block, classes) float32."""
        with torch.inference_mode():
            scores = torch.softmax(head(self.block(where))[0, :, HALO:-HALO, HALO:-HALO], dim=0)
        shape = tuple(part.stop - part.start for part in self.box(where))
        return scores.permute(1, 2, 0).reshape(*shape, len(scores)).numpy()

    def _pixels(self, where: Where, index: np.ndarray) -> torch.Tensor:
        y, x = (torch.from_numpy(index[:, axis] % BLOCK + HALO) for axis in (-2, -1))
        return self.block(where).at(y, x)

    def _compute(self, where: Where) -> Maps:
        box = self.box(where)
        wide = box[:-2] + tuple(slice(part.start - HALO, part.stop + HALO) for part in box[-2:])
        array = read_padded(self.image, wide, 0)
        with torch.inference_mode():
            return filter_maps(self.scaling(array.reshape(array.shape[-3:]))[None]).half()
