from __future__ import annotations

import os
import signal

import numpy as np
import psutil
import pytest
from qtpy.QtWidgets import QApplication

from napari_medseg.core.errors import InputError, RunCancelled, RunnerDied
from napari_medseg.core.events import Note, Progress, Scalar, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.tools import load
from napari_medseg.widgets import _runner
from napari_medseg.widgets._runner import STARTING, RunnerPanel, time_left
from napari_medseg.widgets._service import RunService

LONG_MS = 30_000


@pytest.fixture
def runner(qtbot, service: RunService) -> RunnerPanel:
    runner = RunnerPanel(service, "Go", "Does it.")
    qtbot.addWidget(runner)
    runner.show()
    return runner


@pytest.fixture
def job(halves: np.ndarray):
    def make(mode: str = "teach", labels: tuple[int, ...] = (1, 2)) -> Job:
        paint = np.zeros(halves.shape, np.uint8)
        for label in labels:
            paint[10:30, 60 * label - 50 : 60 * label - 40] = label
        images = {"image": Image.of(halves), "scribbles": Image.of(paint, kind="labels", name="scribbles")}
        return Job(images, load("tiny").Params(mode=mode))

    return make


def test_a_run_tells_its_events_and_its_result(runner: RunnerPanel, job, qtbot) -> None:
    seen: list = []
    runner.eventReceived.connect(seen.append)
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())
        assert runner.running
        assert runner.cancel_button.isEnabled()
    assert {type(event) for event in seen} == {Progress, Scalar, Tile}
    assert runner.result_line.text() == "taught 2 classes"
    assert not runner.running
    assert not runner.cancel_button.isEnabled()
    assert not runner.error_line.isVisible()


def test_a_warm_child_is_not_too_quick_to_be_heard(runner: RunnerPanel, job, qtbot) -> None:
    seen: list = []
    runner.eventReceived.connect(seen.append)
    for _ in range(20):
        seen.clear()
        with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
            runner.start("tiny", job())
        assert len(seen) == 8


def test_an_error_is_a_plain_sentence(runner: RunnerPanel, job, qtbot) -> None:
    with qtbot.waitSignal(runner.failed, timeout=LONG_MS) as told:
        runner.start("tiny", job(labels=(1,)))
    assert isinstance(told.args[0], InputError)
    assert "Only one class is painted" in runner.error_line.text()
    assert runner.error_line.isVisible()
    assert runner.error_line.wordWrap()


def test_the_next_run_clears_the_error(runner: RunnerPanel, job, qtbot) -> None:
    runner.show_error("Something.")
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())
    assert runner.error_line.text() == ""


def test_cancel_ends_the_run(runner: RunnerPanel, job, qtbot) -> None:
    with qtbot.waitSignal(runner.eventReceived, timeout=LONG_MS):
        runner.start("tiny", job("slow"))
    with qtbot.waitSignal(runner.failed, timeout=5000) as told:
        runner.cancel_button.click()
    assert isinstance(told.args[0], RunCancelled)
    assert runner.result_line.text() == "Cancelled."
    assert not runner.error_line.isVisible()


def test_a_deaf_run_is_killed_and_the_next_one_works(runner: RunnerPanel, service: RunService, job, qtbot) -> None:
    runner.start("tiny", job("deaf"))
    qtbot.waitUntil(lambda: service.child.pid is not None, timeout=LONG_MS)
    qtbot.wait(1500)
    with qtbot.waitSignal(runner.failed, timeout=5000):
        runner.cancel()
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())


def test_a_child_killed_from_outside_is_said_and_replaced(runner: RunnerPanel, service, job, qtbot) -> None:
    with qtbot.waitSignal(runner.eventReceived, timeout=LONG_MS):
        runner.start("tiny", job("slow"))
    with qtbot.waitSignal(runner.failed, timeout=LONG_MS) as told:
        os.kill(service.child.pid, signal.SIGKILL)
    assert isinstance(told.args[0], RunnerDied)
    assert runner.error_line.text().endswith("Start the run again.")
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())
    assert not runner.error_line.isVisible()


def test_a_replaced_run_is_not_heard(runner: RunnerPanel, job, qtbot) -> None:
    failures: list = []
    runner.failed.connect(failures.append)
    with qtbot.waitSignal(runner.eventReceived, timeout=LONG_MS):
        runner.start("tiny", job("slow"))
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())
    assert failures == []
    assert runner.result_line.text() == "taught 2 classes"


def test_a_warning_stands_until_the_next_run(runner: RunnerPanel, job, qtbot) -> None:
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job("warn"))
    assert runner.error_line.text() == "The image is very small."


def test_closing_the_service_ends_the_process(service: RunService) -> None:
    service.warm()
    pid = service.child.pid
    assert psutil.pid_exists(pid)
    service.close()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_process_that_loads_is_said_until_it_is_heard_of(runner: RunnerPanel, job, qtbot) -> None:
    assert runner.device_line.text() == STARTING
    with qtbot.waitSignal(runner.eventReceived, timeout=LONG_MS):
        runner.start("tiny", job("slow"))
        assert runner.status_line.text() == STARTING
        assert runner.progress.maximum() == 0
    assert runner.status_line.text() != STARTING
    runner.forget()


def test_a_process_that_is_warm_is_not_said_to_start(
    runner: RunnerPanel, service: RunService, job, monkeypatch
) -> None:
    monkeypatch.setattr(type(service), "device", property(lambda _self: "CPU, 2 threads"))
    runner.start("tiny", job())
    assert runner.status_line.text() == "starting"
    runner.forget()


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "text"),
    [(0, 10, 5, ""), (5, 0, 5, ""), (5, 10, 10, "10 s left"), (1, 11, 60, "10 min left"), (10, 10, 5, "")],
)
def test_time_left(done: int, total: int, elapsed: float, text: str) -> None:
    assert time_left(Progress(done, total), elapsed) == text


def test_no_message_changes_the_height(runner: RunnerPanel, job, qtbot) -> None:
    runner.resize(290, runner.sizeHint().height())
    QApplication.processEvents()
    places = {widget: widget.geometry() for widget in (runner.run_button, runner.cancel_button, runner.report)}
    height = runner.sizeHint().height()

    def stands() -> bool:
        QApplication.processEvents()
        return runner.sizeHint().height() == height and all(w.geometry() == place for w, place in places.items())

    runner.show_error("What was given, what was expected, and what to do. " * 12)
    assert stands()
    assert runner.report.messages.verticalScrollBar().maximum() > 0
    runner.show_result("34 steps in 9 s; Dice on held-out strokes 0.82")
    assert stands()
    with qtbot.waitSignal(runner.succeeded, timeout=LONG_MS):
        runner.start("tiny", job())
        assert stands()
    assert stands()
    assert runner.report.messages.verticalScrollBar().maximum() == 0


def test_an_error_and_a_result_of_two_lines_need_no_scrolling(runner: RunnerPanel) -> None:
    runner.resize(290, runner.sizeHint().height())
    runner.show_error("The model has no name. Give it one, such as 'tumour 1'.")
    runner.show_result("Paint inside the white frame, or skip it with Shift+N.")
    QApplication.processEvents()
    assert runner.error_line.y() < runner.result_line.y()
    assert runner.report.messages.verticalScrollBar().maximum() == 0


def test_the_line_of_the_last_run_is_gone_when_the_next_begins(runner: RunnerPanel, job, qtbot) -> None:
    runner.show_result("taught 9 classes")
    with qtbot.waitSignal(runner.failed, timeout=LONG_MS):
        runner.start("tiny", job(labels=(1,)))
    assert not runner.result_line.isVisible()


def test_a_note_is_a_line(runner: RunnerPanel) -> None:
    runner._on_event(Note("Half the batch."))
    assert runner.result_line.text() == "Half the batch."


def test_the_time_left_is_that_of_the_part_at_hand(runner: RunnerPanel, job, monkeypatch) -> None:
    clock = iter([100.0, 100.0, 160.0, 160.0, 165.0])
    monkeypatch.setattr(_runner.time, "monotonic", lambda: next(clock))
    runner._on_event(Progress(0, 0, "instant answer"))
    runner._on_event(Progress(0, 10, "training"))
    runner._on_event(Progress(5, 10, "training"))
    assert runner.status_line.text() == "training · 5 s left"
