"""Write what Teach learned as a model file that can be saved under a name and applied elsewhere."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from napari_medseg.core.scribbles import class_name
from napari_medseg.nn.packing import tensors_of
from napari_medseg.nn.segmenter import Segmenter
from napari_medseg.nn.store import Card, write
from napari_medseg.tools.scribbles.lesson import Lesson
from napari_medseg.tools.scribbles.training import network_arguments
from napari_medseg.train.engine import Fit

NAME = "taught"


@cache
def checkpoint_folder() -> Path:
    """Where this process keeps the model it taught last; it goes when the process ends in order."""
    folder = Path(tempfile.mkdtemp(prefix="medseg-taught-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def write_checkpoint(lesson: Lesson, fit: Fit, segmenter: Segmenter, folder: Path) -> Card:
    """Card and weights of ``segmenter`` in ``folder``."""
    params = lesson.params
    pixel = lesson.image.pixel_size_um()
    card = Card(
        name=NAME,
        task="segmentation",
        architecture=params.network,
        arguments=network_arguments(lesson),
        channels=segmenter.channels,
        image_channels=lesson.image.channels,
        normalisation=segmenter.normalisation.method,
        classes={label: class_name(label, params.classes) for label in lesson.labels},
        colours={label: params.colours[label] for label in lesson.labels if label in params.colours},
        axes="yxc",
        pixel_size_um=pixel[-1] if pixel else None,
        precision=segmenter.device.precision_name,
        linear_head=segmenter.head is not None,
        head_share=segmenter.head_share,
        training_data=f"{len(lesson.everything)} annotated pixels of {lesson.image.name}",
        figures=_figures(lesson, fit),
        parameters=params.model_dump(mode="json"),
        seed=params.seed,
        steps=fit.progress.step,
        parent=params.start,
    )
    return write(card, tensors_of(segmenter), folder)


def _figures(lesson: Lesson, fit: Fit) -> dict[str, float | str]:
    score = fit.progress.best_score
    return {} if lesson.unchecked or score < 0 else {"dice on held-out strokes": round(score, 4)}
