"""Runs in real child processes: events, cancelling, dying, replacing, and what stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_medseg.core.errors import BY_NAME, InputError, MedsegError, MemoryShortage, RunCancelled, RunnerDied
from napari_medseg.core.events import Note, Progress, Result, Scalar
from napari_medseg.core.image import Geometry, Image
from napari_medseg.run.child import Child
from napari_medseg.run.images import NAME_PREFIX

STEP_BEGUN_S = 0.2
"""By then the tool is inside the step that follows its first event."""


def gone(pid: int, timeout_s: float = 5) -> bool:
    """Whether the process ends within the time; a zombie of another parent has ended."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def test_events_arrive_in_order_on_one_background_thread(run):
    listener = run(count=4)
    assert listener.result().summary == "echoed"
    steps = [event for event in listener.events if not hasattr(event, "layer")]
    expected = [e for n in range(4) for e in (Progress(n, 4, f"step {n}"), Scalar("loss", n, 1 / (n + 1)))]
    assert steps == [*expected, Note("done", "warning")]
    assert listener.threads == {"medseg child telling"}
    assert len(listener.ends) == 1


def test_job_crosses_with_geometry_view_and_parameters(child, run, job):
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    geometry = Geometry((0.5, 0.25), ("um", "um"), (3.0, 4.0), rotate=turn)
    pixels = np.random.default_rng(0).integers(0, 2**16, (7, 5, 3)).astype(">u2")
    image = Image((pixels,), "yxc", geometry, "stain", "slide 1")
    listener = run(image=image, names={1: "tumour", 2: "rest"})
    values = listener.result().values
    np.testing.assert_array_equal(listener.tile("image"), pixels)
    assert listener.tile("image").dtype == pixels.dtype
    np.testing.assert_allclose(values["matrix"], geometry.matrix())
    assert (values["axes"], values["kind"], values["name"]) == ("yxc", "stain", "slide 1")
    assert values["units"] == ("um", "um")
    assert values["names"] == {1: "tumour", 2: "rest"}
    assert values["pid"] == child.pid


def test_memory_survives_between_runs_and_torch_stays_out(run):
    first, second = run().result(), run().result()
    assert (first.values["runs"], second.values["runs"]) == (1, 2)
    assert not second.values["torch"]


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_error_classes_survive(run, name):
    error = run("fail", text=f"{name}:the stroke is too short").outcome()
    assert type(error) is BY_NAME[name]
    assert str(error) == "the stroke is too short"


def test_a_mistake_in_a_tool_is_told_and_the_child_stays_warm(child, run):
    error = run("crash").outcome()
    assert type(error) is MedsegError
    assert "ValueError: a mistake in the tool" in str(error)
    assert run().result().values["runs"] == 2


def test_torch_out_of_memory_becomes_memory_shortage(run):
    error = run("shortage").outcome()
    assert isinstance(error, MemoryShortage)
    assert "Tried to allocate 20.00 GiB" in str(error)


def test_result_that_cannot_cross_is_an_error_not_a_hang(run):
    assert "cannot cross" in str(run("unsendable").outcome())


def test_unknown_tool_and_unfit_parameters_are_input_errors(child, run, job):
    assert run().result()
    refused = run(names={1: "a"}).result()
    assert refused.values["names"] == {1: "a"}
    listener = type(run())()
    child.submit("nothing", job(), **listener.callbacks())
    assert isinstance(listener.outcome(), InputError)


def test_object_arrays_are_refused(run):
    error = run(image=np.array([[None, 1], [2, 3]], dtype=object)).outcome()
    assert isinstance(error, InputError)
    assert "object" in str(error)


def test_prints_do_not_disturb_the_stream(run):
    assert run("noise").result().summary == "quiet"


def test_cancel_closes_the_generator_and_keeps_the_process(child, run):
    listener = run("slow")
    listener.begun()
    asked = time.perf_counter()
    child.cancel()
    assert time.perf_counter() - asked < 0.05
    assert isinstance(listener.outcome(), RunCancelled)
    assert time.perf_counter() - asked < 0.25
    values = run("closed").result().values
    assert values == {"closed": 1, "pid": child.pid}


def test_no_event_after_cancel(child, run):
    listener = run("slow")
    listener.begun()
    child.cancel()
    listener.outcome()
    seen = len(listener.events)
    run("closed").result()
    assert len(listener.events) == seen
    assert len(listener.ends) == 1


def test_unresponsive_tool_is_killed_after_the_grace(run, child):
    child._grace_s = 0.3
    listener = run("stuck")
    listener.begun()
    time.sleep(STEP_BEGUN_S)
    pid = child.pid
    asked = time.perf_counter()
    child.cancel()
    assert isinstance(listener.outcome(), RunCancelled)
    assert 0.3 <= time.perf_counter() - asked < 2
    assert gone(pid)
    assert not child.busy
    assert run().result().values["pid"] != pid


def test_stopped_process_with_a_full_pipe_does_not_block_the_caller(child, run):
    child._grace_s = 0.3
    run().result()
    os.kill(child.pid, signal.SIGSTOP)
    asked = time.perf_counter()
    listener = run(text="fills the pipe" * 100_000)
    assert time.perf_counter() - asked < 0.2
    time.sleep(0.5)
    asked = time.perf_counter()
    child.cancel()
    assert time.perf_counter() - asked < 0.2
    assert isinstance(listener.outcome(), RunCancelled)
    assert run().result().values["runs"] == 1


@pytest.mark.parametrize("mode", ["slow", "stuck"])
def test_killed_from_outside_is_told_and_the_next_run_works(child, run, mode):
    listener = run(mode)
    listener.begun()
    os.kill(child.pid, signal.SIGKILL)
    error = listener.outcome()
    assert isinstance(error, RunnerDied)
    assert "SIGKILL" in str(error)
    assert "Start the run again" in str(error)
    assert not child.alive
    assert run().result().values["runs"] == 1


def test_killed_while_idle_goes_unnoticed_by_the_next_run(child, run):
    run().result()
    pid = child.pid
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert run().result().values["runs"] == 1


def test_exit_code_and_last_words_are_quoted(run):
    error = run("die").outcome()
    assert isinstance(error, RunnerDied)
    assert "exit code 7" in str(error)
    assert "last words of the tool" in str(error)


def test_kill_ends_the_run_at_once(child, run):
    listener = run("stuck")
    listener.begun()
    pid = child.pid
    child.kill()
    assert isinstance(listener.outcome(1), RunCancelled)
    assert gone(pid)
    assert run().result().values["runs"] == 1


def test_kill_while_idle_then_submit(child, run):
    run().result()
    child.kill()
    assert run().result().values["runs"] == 1


def test_submitting_while_busy_replaces_and_keeps_only_the_newest(child, run):
    first = run("slow")
    first.begun()
    second, third = run("stuck"), run()
    assert isinstance(second.outcome(), RunCancelled)
    assert not second.events
    assert isinstance(first.outcome(), RunCancelled)
    assert third.result().values["pid"] == child.pid


def test_a_burst_of_submits_ends_every_ticket_once(run):
    listeners = [run("slow" if n < 29 else "echo") for n in range(30)]
    assert listeners[-1].result().summary == "echoed"
    assert [len(listener.ends) for listener in listeners] == [1] * 30
    assert all(isinstance(listener.ends[0], RunCancelled) for listener in listeners[:-1])


def test_queued_run_starts_in_a_new_process_when_the_old_one_dies(child, run):
    child._grace_s = 0.3
    first = run("stuck")
    first.begun()
    time.sleep(STEP_BEGUN_S)
    pid = child.pid
    second = run()
    assert isinstance(first.outcome(), RunCancelled)
    assert second.result().values["pid"] != pid


def test_cancel_before_the_run_begins(child, run):
    """The process is still starting: the cancel must not have to wait for it, nor kill it."""
    child._grace_s = 0.0
    listener = run("slow")
    pid, asked = child.pid, time.perf_counter()
    child.cancel()
    assert isinstance(listener.outcome(), RunCancelled)
    assert time.perf_counter() - asked < 0.2
    child._grace_s = 30.0
    values = run().result().values
    assert (values["pid"], values["runs"]) == (pid, 1)


def test_strokes_while_the_process_starts_do_not_keep_it_from_starting(child, run):
    child._grace_s = 0.0
    listeners = [run("slow") for _ in range(5)]
    pid = child.pid
    last = run()
    assert last.result().values["pid"] == pid
    assert all(isinstance(listener.outcome(), RunCancelled) for listener in listeners)


def test_start_is_quick_and_runs_use_the_same_process(child, run):
    asked = time.perf_counter()
    child.start()
    assert time.perf_counter() - asked < 0.2
    pid = child.pid
    assert child.alive
    child.start()
    assert run().result().values["pid"] == pid


def test_callback_may_submit_and_a_failing_callback_hurts_nobody(child, run, job, caplog):
    nested: list[object] = []

    def again(result: Result) -> None:
        nested.append(run(count=1))
        raise ValueError("a mistake in the panel")

    child.submit("echo", job(), on_event=nested.append, on_result=again, on_error=nested.append)
    end = time.monotonic() + 30
    while time.monotonic() < end and not any(hasattr(item, "result") for item in nested):
        time.sleep(0.01)
    assert nested[-1].result().values["runs"] == 2
    assert "a mistake in the panel" in caplog.text


def test_close_ends_the_run_and_refuses_more(child, run):
    listener = run("stuck")
    listener.begun()
    pid = child.pid
    child.close()
    assert isinstance(listener.outcome(0.1), RunCancelled)
    assert gone(pid)
    child.close()
    with pytest.raises(RunnerDied, match="closed"):
        run()


def test_warm_child_says_its_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, run):
    said: list[str] = []
    child = Child("cpu", on_ready=said.append)
    try:
        child.start()
        end = time.monotonic() + 120
        while not said and time.monotonic() < end:
            time.sleep(0.02)
        assert said == [child.device]
    finally:
        child.close()
    assert child.device == ""


PARENT = """
import sys, time
import numpy as np
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.run.child import Child
from napari_medseg.run.images import NAME_PREFIX
from napari_medseg.tools import load
child = Child(warm={warm})
job = Job({{"image": Image.of(np.zeros((64, 64), np.uint8))}}, load("echo").Params(mode={mode!r}))
def told(outcome):
    print("torch" in sys.modules, type(outcome).__name__, flush=True)
def begun(event):
    print(child.pid, flush=True)
child.submit("echo", job, on_event=begun, on_result=told, on_error=told)
"""


def parent(mode: str, then: str, warm: bool = False) -> subprocess.Popen[str]:
    script = PARENT.format(mode=mode, warm=warm) + then
    return subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, stderr=-1, text=True)


def test_child_ends_when_its_parent_is_killed_in_the_middle_of_a_step():
    process = parent("stuck", "time.sleep(600)")
    pid = int(process.stdout.readline())
    assert psutil.pid_exists(pid)
    process.kill()
    process.communicate()
    assert gone(pid)
    end = time.monotonic() + 10
    while segments(process.pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert not segments(process.pid)


def test_parent_that_forgets_to_close_leaves_nothing_and_says_nothing():
    process = parent("stuck", "sys.stdin.readline()")
    pid = int(process.stdout.readline())
    made = segments(process.pid)
    assert made or not Path("/dev/shm").is_dir()
    _, err = process.communicate("enough\n", timeout=60)
    assert err == ""
    assert gone(pid)
    assert not segments(process.pid)


def test_parent_loads_no_torch():
    process = parent("echo", "while child.busy: time.sleep(0.02)\nchild.close()")
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1] == "False Result", err


def segments(pid: int) -> set[str]:
    """Names of the shared memory that a process has made."""
    return {path.name for path in Path("/dev/shm").glob(f"{NAME_PREFIX}{pid}-*")}
