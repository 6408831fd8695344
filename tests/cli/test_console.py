"""What a run shows on a terminal, in a log, and when it is to be quiet."""

from __future__ import annotations

import io as textio

import pytest

from napari_medseg.cli._console import CLEAR, LOG_INTERVAL_S, TENTH_INTERVAL_S, Console
from napari_medseg.core.events import Note, Progress, Scalar


class Terminal(textio.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal_and_goes_away():
    stream = Terminal()
    with Console(stream) as console:
        console.show(Progress(1, 4, "training"))
        console.show(Note("The machine is slow."))
    assert "\n" not in stream.getvalue().replace("medseg: The machine is slow.\n", "")
    assert "training  25 %" in stream.getvalue()
    assert stream.getvalue().endswith(CLEAR)


class Clock:
    """A time that stands until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def log(*steps: tuple[float, Progress]) -> list[str]:
    """The lines that go into a file, from progress at these seconds."""
    stream, clock = textio.StringIO(), Clock()
    with Console(stream, title="a.tif", clock=clock) as console:
        console.show(Scalar("loss", 1, 0.5))
        for seconds, progress in steps:
            clock.now = 100.0 + seconds
            console.show(progress)
    return stream.getvalue().splitlines()


def test_a_short_run_leaves_no_progress_in_a_log():
    assert log(*((0.1 * done, Progress(done, 9, "predicting")) for done in range(10))) == []


def test_a_long_run_shows_life_in_a_log_now_and_then():
    lines = log(*((float(second), Progress(second, 10_000, "training")) for second in range(100)))
    assert len(lines) == 99 // LOG_INTERVAL_S
    assert lines[0] == "medseg: a.tif: training  0 %  loss 0.5"


def test_a_log_tells_of_each_tenth_but_not_many_times_a_second():
    slow = log(*((2.0 * TENTH_INTERVAL_S * done, Progress(done, 100, "predicting")) for done in range(0, 101, 10)))
    assert [line.split("  ")[1] for line in slow] == [f"{share} %" for share in range(10, 101, 10)]
    quick = log(*((0.1 * TENTH_INTERVAL_S * done, Progress(done, 20, "predicting")) for done in range(21)))
    assert len(quick) == 2


def test_notes_go_into_a_log():
    stream = textio.StringIO()
    with Console(stream) as console:
        console.show(Note("Few strokes.", "warning"))
        console.show(Note("Predicting with torch."))
    assert stream.getvalue() == "medseg: warning: Few strokes.\nmedseg: Predicting with torch.\n"


@pytest.mark.parametrize("stream", [textio.StringIO(), Terminal()])
def test_quiet_leaves_warnings_only(stream: textio.StringIO):
    clock = Clock()
    with Console(stream, quiet=True, clock=clock) as console:
        clock.now += 100
        console.show(Progress(1, 4, "training"))
        console.show(Note("Predicting with torch."))
        console.show(Note("Few strokes.", "warning"))
    assert stream.getvalue() == "medseg: warning: Few strokes.\n"
