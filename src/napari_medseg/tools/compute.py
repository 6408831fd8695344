"""The parameters that every tool with a network shares: where it computes, and in which precision."""

from __future__ import annotations

from typing import Literal

from napari_medseg.core.params import Params, param


class Compute(Params):
    """Base of the parameters of a tool that runs a network."""

    device: Literal["auto", "cpu", "cuda", "mps"] = param(
        "auto", title="Device", help="Where the network runs; 'auto' takes the fastest there is.", folded=True
    )
    precision: Literal["auto", "fp32", "bf16"] = param(
        "auto",
        title="Precision",
        help="'auto' trains in bf16 only where this processor was measured to be faster with it (once, then kept), and "
        "applies a model in the precision that it was taught in, where this machine has it.",
        folded=True,
    )
