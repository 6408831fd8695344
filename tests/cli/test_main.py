"""The command line as a whole: what it loads, and what it says when nothing can be done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from napari_medseg.cli import COMMANDS, main


def test_help_names_every_command():
    done = subprocess.run([sys.executable, "-m", "napari_medseg.cli", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "Not a medical device" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [[], ["models"], ["scribbles"], ["apply", "--help"], ["scribbles", "--help"], ["train", "encoder", "--help"]],
)
def test_no_torch_and_no_viewer_before_they_are_needed(arguments: list[str]):
    check = "heavy = {'torch', 'napari', 'qtpy', 'zarr'} & set(sys.modules); sys.stderr.write(f'<{heavy}>')"
    code = (
        "import sys, atexit\n"
        f"def tell():\n    {check}\n"
        "atexit.register(tell)\n"
        f"from napari_medseg.cli import main\nmain({arguments!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("<set()>"), done.stderr


def test_without_arguments_it_explains_itself(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 0
    assert "usage: medseg" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("medseg 0.")


@pytest.mark.parametrize(
    "words", [["bogus"], ["--bogus"], ["models", "bogus"], ["train"], ["demo", "--seconds", "nan"]]
)
def test_a_wrong_word_is_one_line_that_names_the_help(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "--help lists what there is." in captured.err


def test_what_only_the_system_can_say_is_one_line(teach: Callable[..., int], capsys: pytest.CaptureFixture[str]):
    assert teach(out="x" * 300 + ".tif") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith(": File name too long. Check the path and its rights.\n")


def test_a_file_name_that_the_terminal_cannot_show_is_printed_in_escapes(files: tuple[Path, Path], tmp_path: Path):
    command = [sys.executable, "-m", "napari_medseg.cli", "scribbles", *map(str, files), "--steps", "1", "--crop", "64"]
    command += ["--device", "cpu", "--out", str(tmp_path / "schnee ☃.tif")]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert r"schnee \u2603.tif" in done.stdout
    assert (tmp_path / "schnee ☃.tif").exists()
