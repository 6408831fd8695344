"""Work in a thread: each outcome is told, whatever became of those before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from napari_medseg.core.errors import InputError, MedsegError, MemoryShortage
from napari_medseg.widgets._background import Background


@pytest.fixture
def background(qapp) -> Background:
    return Background()


def failing(error: Exception) -> Callable[[], Any]:
    def work() -> None:
        raise error

    return work


def test_a_lack_of_memory_is_said_in_words(background: Background) -> None:
    told: list[MedsegError] = []
    background.run(failing(MemoryError()), told.append, told.append)
    background.run(failing(InputError("not this one")), told.append, told.append)
    assert background.finish(10)
    assert [type(error) for error in told] == [MemoryShortage, InputError]
    assert "not enough memory" in str(told[0])


@pytest.mark.parametrize("at", ["work", "outcome"])
def test_an_error_that_nobody_expects_keeps_no_other_outcome_back(background: Background, at: str) -> None:
    told: list[Any] = []
    error = failing(ZeroDivisionError("of ours"))
    background.run(error if at == "work" else int, lambda _value: error(), told.append)
    background.run(lambda: 4, told.append, told.append)
    with pytest.raises(ZeroDivisionError):
        background.finish(10)
    assert told == [4] and not background.busy
