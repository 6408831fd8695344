"""Tiled inference: probabilities of any image, cell by cell, what is in view first."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator

import numpy as np
import torch

from napari_medseg.core.errors import MemoryShortage, is_shortage
from napari_medseg.core.image import Box, Image
from napari_medseg.core.job import Span
from napari_medseg.core.tiling import Index, TilePlan, blend, plan, read_padded
from napari_medseg.nn.device import release
from napari_medseg.nn.normalise import Scaling
from napari_medseg.nn.segmenter import Segmenter

TILE = 1024
OVERLAP = 32
SMALLEST_TILE = 128

Cell = tuple[Box, np.ndarray]
"""A box in the image's spatial pixels and the probabilities there, (*box, classes) float32."""


def predict(
    image: Image,
    segmenter: Segmenter,
    *,
    view: tuple[Span, ...] | None = None,
    only_view: bool = False,
    tile: int = TILE,
    on_smaller: Callable[[int], None] | None = None,
) -> Generator[Cell, None, None]:
    """Predict an image plane by plane and cell by cell.

    Strategy: each cell is blended from the same tiles in the same order wherever the user looks, so the result is the
    same to the bit for every ``view``. When memory runs out the tile is halved and the plane is begun again.

    Parameters
    ----------
    view
        What is on screen: its planes and cells come first.
    only_view
        Stop when all that meets ``view`` is done.
    on_smaller
        Told the new tile size when memory ran out.
    """
    scaling = segmenter.normalisation.measure(image)
    for lead in _planes(image.shape()[:-2], view, only_view):
        while True:
            try:
                yield from _plane(image, lead, segmenter, scaling, view, only_view, tile)
                break
            except (RuntimeError, MemoryError) as error:
                tile = _halved(error, tile)
                if on_smaller:
                    on_smaller(tile)


def cells(image: Image, segmenter: Segmenter, *, view: tuple[Span, ...] | None, only_view: bool) -> int:
    """How many cells ``predict`` will yield."""
    tiles = _plan(image, segmenter, TILE)
    spans = view[-2:] if view and only_view else None
    per_plane = sum(1 for cell in tiles.order() if spans is None or _meets(tiles.box(cell), spans))
    return per_plane * len(list(_planes(image.shape()[:-2], view, only_view)))


def middle_tile(image: Image, segmenter: Segmenter) -> torch.Tensor:
    """The tile in the middle of the image as the segmenter gets it, (1, image channels, h, w)."""
    tiles = _plan(image, segmenter, TILE)
    lead = tuple(slice(size // 2, size // 2 + 1) for size in image.shape()[:-2])
    box = tiles.tile_box(tuple(count // 2 for count in tiles.counts))
    return _batch(image, lead + box, segmenter.normalisation.measure(image))


def _plan(image: Image, segmenter: Segmenter, tile: int) -> TilePlan:
    return plan(image.shape()[-2:], tile=tile, overlap=OVERLAP, multiple=segmenter.multiple)


def _halved(error: Exception, tile: int) -> int:
    if not is_shortage(error):
        raise error
    release()
    if tile // 2 < SMALLEST_TILE:
        raise MemoryShortage(
            f"Memory ran out even with tiles of {tile} pixels. Close other programs or choose the CPU as device."
        ) from error
    return tile // 2


def _planes(shape: tuple[int, ...], view: tuple[Span, ...] | None, only_view: bool) -> Iterator[tuple[int, ...]]:
    """Indices of the planes of a stack, those in view first."""
    spans = view[: len(shape)] if view else tuple((0, size) for size in shape)
    inside = list(itertools.product(*(range(max(0, a), min(b, n)) for (a, b), n in zip(spans, shape, strict=True))))
    yield from inside
    if not only_view:
        seen = set(inside)
        yield from (lead for lead in np.ndindex(shape) if lead not in seen)


def _meets(box: Box, spans: tuple[Span, ...]) -> bool:
    return all(part.start < stop and start < part.stop for part, (start, stop) in zip(box, spans, strict=True))


def _plane(
    image: Image,
    lead: tuple[int, ...],
    segmenter: Segmenter,
    scaling: Scaling,
    view: tuple[Span, ...] | None,
    only_view: bool,
    tile: int,
) -> Generator[Cell, None, None]:
    tiles = _plan(image, segmenter, tile)
    lead_box = tuple(slice(i, i + 1) for i in lead)
    spans = view[-2:] if view else None
    held: dict[Index, np.ndarray] = {}
    for step in tiles.schedule(spans):
        if only_view and spans and not _meets(tiles.box(step.cell), spans):
            return
        for index in step.load:
            held[index] = _tile(image, lead_box + tiles.tile_box(index), segmenter, scaling)
        blended = blend(tiles, step.cell, held)
        for index in step.drop:
            del held[index]
        yield lead_box + tiles.box(step.cell), blended.reshape((1,) * len(lead) + blended.shape)


def _tile(image: Image, box: Box, segmenter: Segmenter, scaling: Scaling) -> np.ndarray:
    batch = _batch(image, box, scaling)
    with torch.inference_mode():
        return segmenter(batch)[0].permute(1, 2, 0).cpu().numpy()


def _batch(image: Image, box: Box, scaling: Scaling) -> torch.Tensor:
    array = read_padded(image, box, 0)
    return scaling(array.reshape(array.shape[-3:]))[None]
