"""A session remembers: annotations as compressed label tiles, documents, and a history that never loses anything.

A session is a folder ``NAME.medseg`` with one SQLite database, and beside it models and predictions. Start reading at
``session.py``; ``schema.py`` says what the tables hold, ``route.py`` how undo finds its way, ``models.py`` where models
are kept, ``salvage.py`` what happens to a damaged file.
"""

from napari_medseg.core.session.action import START, Action, DocChange, Entry, Step
from napari_medseg.core.session.check import Problem
from napari_medseg.core.session.docs import Docs
from napari_medseg.core.session.image_reference import Found, ImageReference
from napari_medseg.core.session.info import Info
from napari_medseg.core.session.models import KeptModel
from napari_medseg.core.session.session import ANNOTATION, Session
from napari_medseg.core.session.tiles import SessionTiles

__all__ = [
    "ANNOTATION", "START", "Action", "DocChange", "Docs", "Entry", "Found", "ImageReference", "Info", "KeptModel",
    "Problem", "Session", "SessionTiles", "Step",
]  # fmt: skip
