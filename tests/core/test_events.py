from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from multiprocessing import Pipe

import numpy as np
import pytest

from napari_medseg.core.events import Event, Note, Progress, Result, Run, Scalar, Tile

EVENTS = [Progress(1, 3, "training"), Scalar("loss", 10, 0.25), Note("Done."), Note("Careful.", "warning")]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_events_cross_a_pipe_unchanged(event: Event) -> None:
    here, there = Pipe()
    here.send(event)
    assert there.recv() == event


def test_tiles_cross_a_pipe_with_their_pixels() -> None:
    here, there = Pipe()
    here.send(Tile("prediction", (32, 0), np.arange(12, dtype=np.uint8).reshape(3, 4)[:, ::2]))
    tile = there.recv()
    assert (tile.layer, tile.offset, tile.data.dtype) == ("prediction", (32, 0), np.uint8)
    np.testing.assert_array_equal(tile.data, [[0, 2], [4, 6], [8, 10]])


@pytest.mark.parametrize("event", [*EVENTS, Result("Done.")], ids=repr)
def test_events_are_frozen(event: Event | Result) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(event, next(iter(vars(event))), None)


def test_a_run_yields_events_and_returns_a_result() -> None:
    def run() -> Run:
        yield Progress(0, 0)
        return Result("Dice 0.9.", {"dice": 0.9})

    events, generator = [], run()
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            result = stop.value
            break
    assert events == [Progress(0, 0)]
    assert json.loads(json.dumps(result.values)) == {"dice": 0.9}


def test_results_do_not_share_their_values() -> None:
    first, second = Result("a"), Result("b")
    first.values["seed"] = 1
    assert second.values == {}
