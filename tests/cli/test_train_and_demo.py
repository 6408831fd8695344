"""`medseg train` and `medseg demo`, the commands that run something of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.cli import main

Written = Callable[[], dict[str, bytes | None]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "--data is missing. Folder of the free image sets"),
        (["--data", "."], "--out is missing. Folder that NAME.safetensors and NAME.json are written to"),
        (["--data", "empty", "--out", "new"], "empty lacks the 6 free image sets: nuclei/DSB2018_color/*/images/*.png"),
        (["--data", "nodir", "--out", "new"], "There is no folder nodir; expected is one that holds the 6 free image"),
        (["--data", "empty", "--out", "note.txt"], "No model can be written to note.txt: note.txt is no folder"),
        (["--data", "empty", "--out", "note.txt/new"], "note.txt is no folder"),
        (["--data", "empty", "--out", "new", "--name", "../up"], "cannot be a model's name"),
        (["--data", "empty", "--out", "old"], "There is a model 'encoder' in old already"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    tmp_path: Path,
    written: Written,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    sentence: str,
):
    (tmp_path / "empty").mkdir()
    (tmp_path / "note.txt").touch()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "encoder.json").touch()
    monkeypatch.chdir(tmp_path)
    before = written()
    assert main(["train", "encoder", "--steps", "1", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert sentence in captured.err
    assert written() == before


def test_a_demo_without_screen_says_what_is_missing(tmp_path: Path):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["PATH"] = str(tmp_path)
    command = [sys.executable, "-m", "napari_medseg.cli", "demo", "--seconds", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 2
    assert done.stderr.startswith("medseg demo: There is no screen")
    assert "apt-get install xvfb" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_demo_plays_the_loop_in_the_real_viewer(tmp_path: Path):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "napari_medseg.cli", "demo", "--play", "--seconds", "1"]
    command += ["--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "Dice of 0." in done.stdout
    labels = io.open_image(tmp_path / "out" / "labels.tif", "labels").read()
    assert set(np.unique(labels)) == {1, 2}
    entropy = io.open_image(tmp_path / "out" / "entropy.tif").read()
    assert entropy.shape == labels.shape
    assert np.isfinite(entropy).all()
    assert (tmp_path / "out" / "screenshot.png").stat().st_size > 50_000
