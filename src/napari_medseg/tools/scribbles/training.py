"""The network's part of Teach: which network, from which weights, on which crops."""

from __future__ import annotations

from typing import Any

from napari_medseg.core.errors import ModelError
from napari_medseg.core.job import Memory
from napari_medseg.nn import store
from napari_medseg.nn.device import Device
from napari_medseg.nn.networks import build, copy_matching
from napari_medseg.nn.normalise import Normalisation, Scaling
from napari_medseg.nn.packing import net_tensors
from napari_medseg.tools.scribbles.lesson import Lesson
from napari_medseg.tools.scribbles.params import ENCODER, SCRATCH
from napari_medseg.train.augment import Strengths
from napari_medseg.train.batches import CropSampler
from napari_medseg.train.engine import Fit, Schedule
from napari_medseg.train.exam import Exam
from napari_medseg.train.strategies.supervised import Supervised

_FIT = "scribbles.fit"


def fit_for(lesson: Lesson, scaling: Scaling, score: Exam | None, device: Device, memory: Memory) -> Fit:
    """The fit of this lesson: the one in memory taken up again, or a new one; ``score`` None: no checkpoint is best."""
    draw = _sampler(lesson, scaling).draw
    key = _key(lesson, device)
    held: tuple[Any, Fit] | None = memory.get(_FIT)
    if held and held[0] == key:
        held[1].examine(draw, score)
        return held[1]
    fit = _new_fit(lesson, device, draw, score)
    if held and held[0][:2] == key[:2]:
        copy_matching(held[1].strategy.net.state_dict(), fit.strategy.net)
    memory[_FIT] = (key, fit)
    return fit


def network_arguments(lesson: Lesson) -> dict[str, Any]:
    """Arguments of the network for this lesson."""
    return {"channels": network_channels(lesson), "classes": len(lesson.labels)}


def _key(lesson: Lesson, device: Device) -> tuple[Any, ...]:
    """What must be equal for a training to go on; the first two parts also for its weights to be of use."""
    params = lesson.params
    network = (lesson.branch, params.start, params.network, network_channels(lesson))
    return lesson.key, network, lesson.labels, params.balancing, params.rate, params.seed, device


def network_channels(lesson: Lesson) -> int:
    """Grey images are shown to the network as three equal channels; the alpha of a colour picture is dropped."""
    if lesson.image.channels == 1 or Normalisation.suited(lesson.image).method == "rgb8":
        return 3
    return lesson.image.channels


def _new_fit(lesson: Lesson, device: Device, draw: Any, score: Exam | None) -> Fit:
    params = lesson.params
    net = build(params.network, network_arguments(lesson), seed=params.seed, device=device)
    start = _start(lesson)
    if start is not None:
        copy_matching(net_tensors(start), net)
    strategy = Supervised(net, lesson.labels, network_channels(lesson), params.balancing, device)
    return Fit(strategy, draw, score, Schedule(rate=params.rate))


def _start(lesson: Lesson) -> store.Card | None:
    """The model whose weights the network begins with."""
    params = lesson.params
    if params.start == SCRATCH:
        return None
    if params.start == ENCODER:
        shipped = [card for card in store.models("encoder") if card.shipped and card.architecture == params.network]
        if not shipped:
            raise ModelError(
                f"The shipped encoder is not for the {params.network} network. Choose the light network, or start from "
                f"{SCRATCH!r}."
            )
        return shipped[0]
    card = store.find(params.start)
    if card.architecture != params.network:
        raise ModelError(
            f"The model {card.name!r} is a {card.architecture} network; choose that network to go on from it."
        )
    return card


def _sampler(lesson: Lesson, scaling: Scaling) -> CropSampler:
    params = lesson.params
    return CropSampler(
        lesson.image,
        scaling,
        lesson.points,
        crop=params.crop,
        batch=params.batch,
        strengths=Strengths(),
        seed=params.seed,
        dense=lesson.dense,
        dense_share=params.dense_share,
    )


def exam_of(lesson: Lesson, scaling: Scaling, device: Device) -> Exam:
    """The exam on the strokes that are held out."""
    return Exam(
        lesson.image,
        scaling,
        lesson.held_out,
        labels=lesson.labels,
        channels=network_channels(lesson),
        device=device,
        seed=lesson.params.seed,
    )
