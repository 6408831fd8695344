"""One Teach run: the instant answer, the network in bursts, then the whole image."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from napari_medseg.core.events import Draft, Event, Note, Progress, Result, Run, Scalar
from napari_medseg.core.job import Job, Memory, Span
from napari_medseg.tools.scribbles.params import Params
from napari_medseg.tools.tiles import draw

if TYPE_CHECKING:
    from napari_medseg.nn.store import Card
    from napari_medseg.tools.scribbles.pupil import Pupil
    from napari_medseg.train.engine import Fit

FIRST_BURST_S = 0.4
LONGEST_BURST_S = 12.0
FIRST_BURST_STEPS = 10
TENTHS = 10
"""Progress counts tenths of a second, or of a step, so that the time left does not jump."""


def run(job: Job, memory: Memory) -> Run:
    """Train on the scribbles and predict the image.

    Strategy: the head answers first, for what is in view; the network is trained in bursts that grow from
    0.4 s, and after each the view is drawn again; at the end the best checkpoint is written and everything is
    predicted with it.
    """
    from napari_medseg.tools.scribbles.lesson import prepare

    params = cast(Params, job.params)
    lesson = prepare(job, params)
    yield Progress(0, 0, "instant answer")

    from napari_medseg.nn import device as device_
    from napari_medseg.nn.normalise import Normalisation
    from napari_medseg.tools.scribbles import instant
    from napari_medseg.tools.scribbles.checkpoint import checkpoint_folder, write_checkpoint
    from napari_medseg.tools.scribbles.pupil import Pupil
    from napari_medseg.tools.scribbles.training import exam_of, fit_for
    from napari_medseg.train.engine import VALIDATION

    device = device_.choose(params.device, params.precision)
    # What is stored with the model is what 'auto' turned out to be, so that another machine can repeat the run.
    resolved = {"device": device.name, "precision": device.precision_name}
    lesson = replace(lesson, params=params.model_copy(update=resolved))
    normalisation = Normalisation.suited(lesson.image)
    scaling = normalisation.measure(lesson.image)
    cache = instant.cache_for(lesson, scaling, memory)
    head = instant.fit_head(lesson, cache)
    if job.view is not None:
        yield from instant.answer(lesson, cache, head, job.view)

    # Whoever looks on learns early why no curve comes; without a view the result says it.
    if lesson.unchecked and job.view is not None:
        yield Note(f"{lesson.unchecked[0].upper()}{lesson.unchecked[1:]}.")
    exam = exam_of(lesson, scaling, device)
    fit = fit_for(lesson, scaling, exam if lesson.comparable else None, device, memory)
    pupil = Pupil(lesson, fit, exam, cache, head, device)
    for event in _train(pupil, job.view):
        if not (lesson.unchecked and isinstance(event, Scalar) and event.name == VALIDATION):
            yield event
    segmenter = pupil.graduate()
    card = write_checkpoint(lesson, fit, segmenter, checkpoint_folder())
    yield from draw(lesson.image, segmenter, view=job.view, message="predicting the whole image")
    return _result(card, fit, lesson.unchecked, device.describe())


def _train(pupil: Pupil, view: tuple[Span, ...] | None) -> Generator[Event, None, None]:
    """Bursts of training, each followed by a fresh picture of the view and a draft of the model."""
    from napari_medseg.tools.scribbles.checkpoint import checkpoint_folder, write_checkpoint

    fit, params = pupil.fit, pupil.lesson.params
    total = params.steps or params.seconds
    start, first_step = time.perf_counter(), fit.progress.step
    for seconds, steps in _bursts(params):
        done = 0.0
        if seconds is not None and seconds > FIRST_BURST_S:
            yield from fit.settle_threads()
        for point in fit.run(seconds=seconds, steps=steps):
            yield point
            done = fit.progress.step - first_step if params.steps else time.perf_counter() - start
            yield Progress(min(int(TENTHS * done), int(TENTHS * total)), int(TENTHS * total), "training")
        if fit.finished or done >= total:
            break
        if view is not None:
            segmenter = pupil.draft()
            yield from draw(pupil.lesson.image, segmenter, view=view, only_view=True)
            yield Draft(str(write_checkpoint(pupil.lesson, fit, segmenter, checkpoint_folder() / "draft").weights))
    yield from fit.validate()


def _bursts(params: Params) -> Iterator[tuple[float | None, int | None]]:
    """(seconds, steps) of each burst; one of the two is None."""
    if params.steps:
        left, burst = params.steps, FIRST_BURST_STEPS
        while left > 0:
            yield None, min(burst, left)
            left, burst = left - burst, burst * 2
        return
    start, burst = time.perf_counter(), FIRST_BURST_S
    while (left := params.seconds - (time.perf_counter() - start)) > 0:
        yield min(burst, left), None
        burst = min(burst * 2, LONGEST_BURST_S)


def _result(card: Card, fit: Fit, unchecked: str, device: str) -> Result:
    progress = fit.progress
    figures = {} if unchecked else {"dice": progress.best_score}
    values = {
        "model": str(card.weights),
        "classes": card.classes,
        "colours": card.colours,
        "device": device,
        "seed": card.seed,
        "steps": progress.step,
        "digest": card.sha256,
    }
    checked = unchecked or f"Dice on held-out strokes {progress.best_score:.2f}"
    steps = "1 step" if progress.step == 1 else f"{progress.step:,} steps"
    return Result(f"{steps} in {progress.seconds:.0f} s; {checked}", values | figures)
