"""A segmenter to named tensors and back."""

from __future__ import annotations

import torch

from napari_medseg.core.errors import InputError, ModelError
from napari_medseg.core.image import Image
from napari_medseg.nn import networks
from napari_medseg.nn.device import Device
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.segmenter import Segmenter
from napari_medseg.nn.store import Card, load_tensors


def tensors_of(segmenter: Segmenter) -> dict[str, torch.Tensor]:
    """All tensors of a segmenter, the network's under ``net.``, the linear head's under ``head.``."""
    out: dict[str, torch.Tensor] = {}
    if segmenter.net is not None:
        out.update({f"net.{name}": tensor.detach() for name, tensor in segmenter.net.state_dict().items()})
    if segmenter.head is not None:
        out.update({"head.weight": segmenter.head.weight, "head.bias": segmenter.head.bias})
    return out


def load_segmenter(card: Card, device: Device) -> Segmenter:
    """Build the segmenter that a card describes."""
    if card.task != "segmentation":
        raise ModelError(f"The model {card.name!r} is for {card.task}, not for segmentation; choose another.")
    tensors = load_tensors(card)
    net = networks.build(card.architecture, card.arguments, seed=0, device=device).eval()
    try:
        net.load_state_dict(_without_prefix(tensors))
    except RuntimeError as error:
        raise ModelError(f"The weights of {card.name!r} do not fit its card; save the model again.") from error
    return Segmenter(
        labels=tuple(sorted(card.classes)),
        channels=card.channels,
        normalisation=Normalisation(method="rgb8" if card.normalisation == "rgb8" else "percentile"),
        device=device,
        net=net,
        head=LinearHead(tensors["head.weight"], tensors["head.bias"]) if card.linear_head else None,
        head_share=card.head_share,
    )


def net_tensors(card: Card) -> dict[str, torch.Tensor]:
    """The network's tensors of a model, by the names that the network knows."""
    return _without_prefix(load_tensors(card))


def _without_prefix(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix("net."): tensor for name, tensor in tensors.items() if name.startswith("net.")}


def check_channels(card: Card, image: Image) -> None:
    """Raise unless the model can read the image's channels."""
    colour = card.normalisation == "rgb8"
    if colour and image.channels not in (3, 4):
        raise InputError(
            f"The model {card.name!r} was taught on RGB images; {image.name!r} has {_channels(image.channels)}. "
            "Choose a model for such images."
        )
    taught = card.image_channels
    if not colour and image.channels != taught:
        raise InputError(
            f"The model {card.name!r} was taught on images with {_channels(taught)}; {image.name!r} has "
            f"{_channels(image.channels)}. Choose a model for such images."
        )


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
