"""Turn probabilities into what the viewer draws: labels and how unsure they are."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

import numpy as np

from napari_medseg.core.events import Event, Note, Progress, Tile
from napari_medseg.core.image import Box, Image
from napari_medseg.core.job import Span
from napari_medseg.core.metrics import entropy

if TYPE_CHECKING:
    from napari_medseg.nn.segmenter import Segmenter

PREDICTION = "prediction"
ENTROPY = "entropy"


def tiles_of(box: Box, probabilities: np.ndarray, labels: tuple[int, ...]) -> tuple[Tile, Tile]:
    """The prediction and the entropy of one region; ``probabilities`` is (*region, classes)."""
    offset = tuple(part.start for part in box)
    predicted = np.array(labels, np.uint8)[probabilities.argmax(axis=-1)]
    return Tile(PREDICTION, offset, predicted), Tile(ENTROPY, offset, entropy(probabilities, axis=-1))


def draw(
    image: Image,
    segmenter: Segmenter,
    *,
    view: tuple[Span, ...] | None = None,
    only_view: bool = False,
    message: str = "predicting",
) -> Generator[Event, None, None]:
    """Predict an image, or only what meets the view, and yield its tiles as they are ready."""
    from napari_medseg.nn.infer import cells, predict

    total = cells(image, segmenter, view=view, only_view=only_view)
    smaller: list[int] = []
    found = predict(image, segmenter, view=view, only_view=only_view, on_smaller=smaller.append)
    for done, (box, probabilities) in enumerate(found, start=1):
        while smaller:
            yield Note(f"Memory ran short; going on with tiles of {smaller.pop()} pixels.", "warning")
        yield from tiles_of(box, probabilities, segmenter.labels)
        if not only_view:
            yield Progress(done, max(total, done), message)
