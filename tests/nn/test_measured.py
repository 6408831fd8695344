"""Figures of a machine: measured once, whoever asks, and whatever lies in the folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_medseg.nn import measured

MACHINE = ("A processor", "2.13.0", "AVX512", "")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_MEDSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Clock:
    """Gives another figure each time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> dict[str, float]:
        self.asked += 1
        return {"s": float(self.asked)}


def test_a_machine_is_measured_once(folder: Path):
    clock = Clock()
    assert [measured.once("speed", MACHINE, clock) for _ in range(3)] == [{"s": 1.0}] * 3
    assert clock.asked == 1
    assert [path.suffix for path in folder.iterdir()] == [".json"]
    assert "A processor" in next(folder.iterdir()).read_text()


@pytest.mark.parametrize("place", range(4))
def test_another_processor_or_torch_is_measured_anew(place: int):
    other = tuple("other" if number == place else part for number, part in enumerate(MACHINE))
    clock = Clock()
    assert measured.once("speed", MACHINE, clock) == {"s": 1.0}
    assert measured.once("speed", other, clock) == {"s": 2.0}
    assert measured.once("size", MACHINE, clock) == {"s": 3.0}
    assert measured.once("speed", MACHINE, clock) == {"s": 1.0}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"figures": 3}', '{"figures": {"s": "fast"}}', "\0"])
def test_a_damaged_file_is_measured_and_written_anew(folder: Path, content: str):
    clock = Clock()
    measured.once("speed", MACHINE, clock)
    next(folder.iterdir()).write_text(content)
    assert measured.once("speed", MACHINE, clock) == {"s": 2.0}
    assert measured.once("speed", MACHINE, clock) == {"s": 2.0}


def test_where_nothing_can_be_kept_each_run_measures(folder: Path):
    folder.write_text("a file where the folder should be")
    clock = Clock()
    assert [measured.once("speed", MACHINE, clock)["s"] for _ in range(2)] == [1.0, 2.0]


def test_processes_that_measure_at_once_agree():
    code = (
        "import os, time\n"
        "from napari_medseg.nn import measured\n"
        "def slowly():\n    time.sleep(0.5)\n    return {'s': float(os.getpid())}\n"
        "print(measured.once('speed', ('a',), slowly)['s'])"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({process.communicate()[0] for process in started}) == 1


def test_the_processor_has_a_name():
    assert measured.processor()
