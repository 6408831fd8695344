"""The tools by name. A tool is a module with ``Params``, ``ROLES`` and ``run(job, memory)``.

A plugin adds tools of its own through the environment variable ``NAPARI_MEDSEG_EXTRA_TOOLS``:
``name=module`` pairs, separated by ";". Child processes inherit it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Protocol, cast

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Run
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import Params as BaseParams

MODULES = {
    "scribbles": "napari_medseg.tools.scribbles",
    "apply": "napari_medseg.tools.apply",
    "encoder": "napari_medseg.tools.encoder",
    "axon_training": "napari_medseg.tools.axon_training",
}
EXTRA_TOOLS = "NAPARI_MEDSEG_EXTRA_TOOLS"


class Tool(Protocol):
    """The shape of a tool module."""

    Params: type[BaseParams]
    ROLES: dict[str, str]
    """What each input image is, in a sentence; a role that ends in "?" may be left out."""

    def run(self, job: Job, memory: Memory) -> Run:
        """Yield events, return a result; imports torch only when called."""
        ...


def modules() -> dict[str, str]:
    """The module of each tool by the tool's name, those of plugins included."""
    pairs = [entry.partition("=") for entry in os.environ.get(EXTRA_TOOLS, "").split(";") if entry.strip()]
    return MODULES | {name.strip(): module.strip() for name, _, module in pairs}


def load(name: str) -> Tool:
    """Import the tool ``name``; cheap, since tools import torch only when they run."""
    known = modules()
    if name not in known:
        raise InputError(f"There is no tool {name!r}; known are: {', '.join(known)}.")
    return cast(Tool, import_module(known[name]))
