"""What becomes of errors where nobody can catch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from napari.utils.notifications import show_error

from napari_medseg.core.errors import MedsegError


@contextmanager
def shown_errors() -> Iterator[None]:
    """What napari calls in the middle of a stroke must not raise: the sentence is shown instead."""
    try:
        yield
    except MedsegError as error:
        show_error(str(error))


def nothing(*_args: Any) -> None:
    """Where nobody listens any more."""


@contextmanager
def noticed(notices: list[str]) -> Iterator[None]:
    """What keeps a part of a session from being shown is told beside the rest."""
    try:
        yield
    except MedsegError as error:
        notices.append(str(error))
