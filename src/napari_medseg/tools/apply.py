"""Apply a stored segmentation model to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from napari_medseg.core.events import Result, Run
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import Params as BaseParams
from napari_medseg.core.params import param
from napari_medseg.tools.tiles import draw

if TYPE_CHECKING:
    from napari_medseg.nn.device import Device
    from napari_medseg.nn.store import Card

ROLES = {"image": "The image to segment, with the channels that the model was taught on."}


class Params(BaseParams):
    """Which model, and where it runs."""

    model: str = param("", title="Model", help="Name of a model, or path of its .safetensors file.")
    device: Literal["auto", "cpu", "cuda", "mps"] = param(
        "auto", title="Device", help="Where the network runs; 'auto' takes the fastest there is.", folded=True
    )
    precision: Literal["auto", "fp32", "bf16"] = param(
        "auto",
        title="Precision",
        help="'auto' takes the precision that the model was taught in, where this machine has it.",
        folded=True,
    )


def run(job: Job, memory: Memory) -> Run:
    """Predict the whole image, what is in view first."""
    from napari_medseg.nn import store
    from napari_medseg.nn.packing import check_channels, load_segmenter

    params, image = cast(Params, job.params), job.images["image"]
    card = store.find(params.model)
    check_channels(card, image)
    segmenter = load_segmenter(card, device_for(card, params))
    yield from draw(image, segmenter, view=job.view)
    values = {"model": str(card.weights), "classes": card.classes, "colours": card.colours, "digest": card.sha256}
    return Result(f"{card.name} applied to {image.name}", {**values, "seed": card.seed})


def device_for(card: Card, params: Params) -> Device:
    """The device; its precision is the one that the model was taught in, so that results repeat to the bit."""
    from napari_medseg.nn.device import bf16_units, choose

    if params.precision != "auto":
        return choose(params.device, params.precision)
    device = choose(params.device, "fp32")
    return choose(params.device, card.precision if bf16_units(device.name) else "fp32")
