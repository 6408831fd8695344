"""Teach: fine-tune a network from sparse scribbles (Bokhorst et al., MIDL 2019)."""

from napari_medseg.tools.scribbles.params import ROLES, Params
from napari_medseg.tools.scribbles.run import run

__all__ = ["ROLES", "Params", "run"]
