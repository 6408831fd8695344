"""An image of any size as the tracer samples it: tiles are read when a trace comes there, and kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from napari_medseg.core.errors import InputError
from napari_medseg.nn.brightness import Brightness, measure
from napari_medseg.nn.device import Device
from napari_medseg.rl.views import WIDE, Stack

TILE_PX = 256
MOST_TILES = 512
"""So many tiles are kept (about 160 MB); when there are more, those that nobody needs now are read again later."""
_SAMPLE_PX = 1 << 20
"""About so many pixels of an array tell its brightness."""

Read = Callable[[int, int, int, int], np.ndarray]
"""Grey values of rows y0 to y1 and columns x0 to x1, inside the image."""


class TiledImage:
    """A grey image sampled bilinearly around each trace; 0, which is background, outside.

    Parameters
    ----------
    read
        Gives a box of the image.
    shape
        Height and width.
    brightness
        Of the whole image, so that its tiles fit each other.
    spacing
        The largest spacing of views that will be asked for.
    """

    def __init__(
        self, read: Read, shape: tuple[int, int], brightness: Brightness, device: Device, *, spacing: float = 1.0
    ) -> None:
        self.shape, self._read, self._brightness, self._device = shape, read, brightness, device
        self._margin = math.ceil(WIDE // 2 * spacing) + 2
        self._counts = tuple(-(-size // TILE_PX) for size in shape)
        self._slots: dict[int, int] = {}
        self._stack = self._empty(8)

    @classmethod
    def of(cls, array: np.ndarray, device: Device, *, spacing: float = 1.0) -> TiledImage:
        """An image in memory, (H, W)."""
        if array.ndim != 2 or not array.size:
            raise InputError(f"The image has shape {array.shape}; the tracer takes one grey plane (height, width).")
        every = max(1, math.isqrt(array.size // _SAMPLE_PX))
        brightness = measure(array[::every, ::every])
        shape = (int(array.shape[0]), int(array.shape[1]))
        return cls(lambda y0, y1, x0, x1: array[y0:y1, x0:x1], shape, brightness, device, spacing=spacing)

    def grid(self, which: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """Values (N, R, C) at the grid of ``rows`` (N, R) and ``columns`` (N, C); ``which`` says nothing here."""
        middle = rows.shape[1] // 2
        tile_row = self._tile(rows[:, middle], 0)
        tile_column = self._tile(columns[:, middle], 1)
        slots = self._loaded(tile_row * self._counts[1] + tile_column)
        top, left = (index * TILE_PX - self._margin for index in (tile_row, tile_column))
        return self._stack.grid(slots, rows - top[:, None], columns - left[:, None])

    def _tile(self, middle: torch.Tensor, axis: int) -> torch.Tensor:
        return (middle / TILE_PX).floor().clamp(0, self._counts[axis] - 1).long()

    def _loaded(self, tiles: torch.Tensor) -> torch.Tensor:
        """Slots of the tiles in the stack; reads those that are not there yet."""
        wanted = tiles.tolist()
        missing = [tile for tile in dict.fromkeys(wanted) if tile not in self._slots]
        if missing:
            self._make_room(set(wanted), len(missing))
        for tile in missing:
            slot = len(self._slots)
            self._stack.put(slot, torch.from_numpy(self._cut(*divmod(tile, self._counts[1]))))
            self._slots[tile] = slot
        return torch.tensor([self._slots[tile] for tile in wanted], device=tiles.device, dtype=torch.long)

    def _make_room(self, needed: set[int], more: int) -> None:
        """Grow the stack, or forget what is not needed now."""
        kept = [tile for tile in self._slots if tile in needed] if len(self._slots) + more > MOST_TILES else self._slots
        capacity = self._stack.count
        while capacity < len(kept) + more:
            capacity *= 2
        if capacity == self._stack.count and len(kept) == len(self._slots):
            return
        old, self._stack = self._stack, self._empty(capacity)
        for slot, tile in enumerate(kept):
            self._stack.put(slot, old.image(self._slots[tile]))
        self._slots = {tile: slot for slot, tile in enumerate(kept)}

    def _empty(self, capacity: int) -> Stack:
        side = TILE_PX + 2 * self._margin
        return Stack(torch.zeros(capacity, side, side, device=self._device.torch))

    def _cut(self, tile_row: int, tile_column: int) -> np.ndarray:
        """One tile with its margin, float32, 0 outside the image."""
        side = TILE_PX + 2 * self._margin
        top, left = (index * TILE_PX - self._margin for index in (tile_row, tile_column))
        y0, x0 = max(0, top), max(0, left)
        y1, x1 = min(self.shape[0], top + side), min(self.shape[1], left + side)
        out = np.zeros((side, side), np.float32)
        out[y0 - top : y1 - top, x0 - left : x1 - left] = self._brightness.apply(self._read(y0, y1, x0, x1))
        return out
