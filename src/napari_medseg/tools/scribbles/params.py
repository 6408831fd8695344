"""Parameters of Teach, declared once for the form, the command line and provenance."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from napari_medseg.core.balance import Balancing
from napari_medseg.core.params import LARGEST_WHOLE, param
from napari_medseg.core.scribbles import HIGHEST_LABEL
from napari_medseg.tools.compute import Compute

ROLES = {
    "image": "The image to segment: grey, RGB or multichannel; 2D, a stack, or a pyramid.",
    "scribbles": "Labels on the image's pixels: 0 = not annotated, 1, 2, ... = classes.",
    "dense?": "Labels that are above 0 where every pixel has been annotated (dense patches).",
}

ENCODER = "encoder"
SCRATCH = "scratch"


def _colour(text: str) -> str:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        return text
    raise ValueError(f"{text!r} is no colour; write it as #rrggbb, such as #e6553a for a red")


Colour = Annotated[str, AfterValidator(_colour)]
Label = Annotated[int, Field(ge=1, le=HIGHEST_LABEL)]


class Params(Compute):
    """How Teach trains."""

    start: str = param(
        SCRATCH,
        title="Start from",
        help="'scratch' (measured best on most tissue), 'encoder' (shipped, pretrained on nuclei and tissue), or "
        "the name of one of your models.",
    )
    seconds: float = param(
        60.0,
        title="Training time",
        help="How long the network is trained before the whole image is predicted.",
        unit="s",
        ge=1,
        le=86400,
    )
    balancing: Balancing = param(
        "minibatch",
        title="Balancing",
        help="How rare classes are weighted: per mini-batch (best for scribbles), per patch "
        "(instance; best when dense patches are mixed in), or not at all.",
    )
    network: Literal["light", "published"] = param(
        "light",
        title="Network",
        help="'light' learns in seconds; 'published' is the five-level, 32-filter U-Net of the paper.",
        folded=True,
    )
    blend_linear: bool = param(
        True,
        title="Average with the instant answer",
        help="Averages the network with the linear head; removes most bad cases at no cost.",
        folded=True,
    )
    dense_share: float = param(
        0.2,
        title="Dense share",
        help="Share of training crops taken from dense patches where any are marked (paper: 1 in 5).",
        folded=True,
        ge=0,
        le=1,
    )
    rate: float = param(2e-3, title="Learning rate", help="Step size of AdamW.", folded=True, ge=1e-6, le=1)
    crop: int = param(256, title="Crop size", help="Side of a training crop.", unit="px", folded=True, ge=64, le=1024)
    batch: int = param(4, title="Crops per step", help="Crops in a mini-batch.", folded=True, ge=1, le=64)
    steps: int = param(
        0,
        title="Steps",
        help="Train exactly this many steps instead of a time (0: use the time). Repeatable to the bit on CPU.",
        folded=True,
        ge=0,
        le=1_000_000,
    )
    seed: int = param(
        0,
        title="Seed",
        help="Same seed, steps and precision on the CPU: same result.",
        folded=True,
        ge=0,
        le=LARGEST_WHOLE,
    )
    classes: dict[Label, str] = param({}, title="Class names", help="Name of each class, by its label.", folded=True)
    colours: dict[Label, Colour] = param(
        {}, title="Class colours", help="Colour of each class as #rrggbb, by its label.", folded=True
    )
