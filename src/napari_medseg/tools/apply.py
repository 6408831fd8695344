"""Apply a stored segmentation model to an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from napari_medseg.core.events import Note, Result, Run
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import param
from napari_medseg.tools.compute import Compute
from napari_medseg.tools.tiles import draw

if TYPE_CHECKING:
    from napari_medseg.nn.device import Device
    from napari_medseg.nn.segmenter import Segmenter
    from napari_medseg.nn.store import Card

WORTH_TIMING = 8
"""With fewer tiles than this, loading OpenVINO and timing it take longer than they save."""

ROLES = {"image": "The image to segment, with the channels that the model was taught on."}


class Params(Compute):
    """Which model, and where it runs."""

    model: str = param("", title="Model", help="Name of a model, or path of its .safetensors file.")
    backend: Literal["torch", "openvino", "auto"] = param(
        "torch",
        title="Backend",
        help="What computes on the CPU. 'openvino' is often faster and needs an extra package; 'auto' times both on "
        "one tile of a large image. With 'auto' a few pixels may differ from run to run.",
        folded=True,
    )


def run(job: Job, memory: Memory) -> Run:
    """Predict the whole image, what is in view first."""
    from napari_medseg.nn import store
    from napari_medseg.nn.packing import check_channels, load_segmenter

    params, image = cast(Params, job.params), job.images["image"]
    card = store.find(params.model)
    check_channels(card, image)
    segmenter = loaded = load_segmenter(card, device_for(card, params))
    if params.backend != "torch":
        segmenter, why = _with_backend(loaded, image, params.backend)
        yield Note(why)
    yield from draw(image, segmenter, view=job.view)
    values = {"model": str(card.weights), "classes": card.classes, "colours": card.colours, "digest": card.sha256}
    backend = "torch" if segmenter is loaded else "openvino"
    values |= {"seed": card.seed, "backend": backend, "device": segmenter.device.describe()}
    return Result(f"{card.name} applied to {image.name}", values)


def device_for(card: Card, params: Params) -> Device:
    """The device; its precision is the one that the model was taught in, so that results repeat to the bit."""
    from napari_medseg.nn.device import bf16_units, choose

    wanted = "cpu" if params.backend == "openvino" and params.device == "auto" else params.device
    if params.precision != "auto":
        return choose(wanted, params.precision)
    device = choose(wanted, "fp32")
    return choose(wanted, card.precision if bf16_units(device.name) else "fp32")


def _with_backend(segmenter: Segmenter, image: Image, backend: str) -> tuple[Segmenter, str]:
    """The segmenter computing with the backend, and a sentence that says which it is."""
    from napari_medseg.nn.infer import cells, middle_tile
    from napari_medseg.nn.openvino_backend import faster, with_openvino

    if backend == "openvino":
        return with_openvino(segmenter), f"Predicting with OpenVINO, {segmenter.device.describe()}."
    if segmenter.device.name != "cpu":
        return segmenter, "Predicting with torch: OpenVINO is for the CPU."
    if cells(image, segmenter, view=None, only_view=False) < WORTH_TIMING:
        return segmenter, "Predicting with torch: the image is too small for a choice to pay."
    return faster(segmenter, middle_tile(image, segmenter))
