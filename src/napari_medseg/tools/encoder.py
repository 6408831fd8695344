"""Train the encoder that Teach starts from, on images that are free to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Run
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import LARGEST_WHOLE, param
from napari_medseg.core.params import Params as BaseParams

ROLES: dict[str, str] = {}
"""The images are files in a folder that is named in the parameters."""


class Params(BaseParams):
    """What it learns from, how long, and where the result goes."""

    data: Path = param(..., title="Data", help="Folder of the free image sets: nuclei/DSB2018_color and so on.")
    out: Path = param(..., title="Folder", help="Folder that NAME.safetensors and NAME.json are written to.")
    name: str = param("encoder", title="Name", help="Name of the model.")
    objective: Literal["self", "nuclei", "both"] = param(
        "both", title="Objective", help="Mend damaged pictures (self), find nuclei, or both."
    )
    steps: int = param(8000, title="Steps", help="Training steps.", ge=1, le=10_000_000)
    seed: int = param(0, title="Seed", help="Same seed, same steps: same result.", ge=0, le=LARGEST_WHOLE)


def run(job: Job, memory: Memory) -> Run:
    """Train and write the model; one that is there already is not replaced."""
    from napari_medseg.nn import store

    params = cast(Params, job.params)
    store.check_pattern(params.name)
    store.check_folder(params.out)
    if (params.out / f"{params.name}.json").exists():
        raise InputError(f"There is a model {params.name!r} in {params.out} already. Choose another name or folder.")
    from napari_medseg.train.recipes import encoder

    return (
        yield from encoder.train(
            params.data, params.out, objective=params.objective, steps=params.steps, seed=params.seed, name=params.name
        )
    )
