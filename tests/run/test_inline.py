"""Runs in this process."""

from __future__ import annotations

import numpy as np
import pytest

from napari_medseg.core.errors import InputError, MemoryShortage, ModelError, is_shortage
from napari_medseg.run.inline import run_inline


def test_events_and_result_come_as_from_a_child(job, run):
    inline_events: list[object] = []
    inline = run_inline("echo", job(), inline_events.append)
    listener = run()
    carried = listener.result()
    assert [repr(event) for event in inline_events] == [repr(event) for event in listener.events]
    differs = {"pid", "torch", "matrix"}
    assert inline.summary == carried.summary
    assert {k: v for k, v in inline.values.items() if k not in differs} == {
        k: v for k, v in carried.values.items() if k not in differs
    }
    np.testing.assert_array_equal(inline.values["matrix"], carried.values["matrix"])


def test_memory_is_the_callers(job):
    memory: dict[str, int] = {}
    run_inline("echo", job(), memory=memory)
    assert run_inline("echo", job(), memory=memory).values["runs"] == 2
    assert run_inline("echo", job()).values["runs"] == 1


def test_our_errors_come_as_they_are(job):
    with pytest.raises(ModelError, match="^no such model$"):
        run_inline("echo", job("fail", text="ModelError:no such model"))


def test_mistakes_come_as_they_are(job):
    with pytest.raises(ValueError, match="a mistake in the tool"):
        run_inline("echo", job("crash"))


def test_torch_shortage_is_translated(job):
    with pytest.raises(MemoryShortage, match="smaller tile"):
        run_inline("echo", job("shortage"))


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_generator_is_closed_when_the_caller_stops(job, stop):
    memory: dict[str, int] = {}

    def interrupt(event: object) -> None:
        raise stop("enough")

    with pytest.raises(stop, match="enough"):
        run_inline("echo", job("slow"), interrupt, memory)
    assert memory["closed"] == 1


def test_unknown_tool_is_named(job):
    with pytest.raises(InputError, match="'nothing'.*scribbles"):
        run_inline("nothing", job())


def test_real_torch_message_is_known():
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_shortage(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), RuntimeError("")])
def test_other_errors_are_no_shortage(error):
    assert not is_shortage(error)
