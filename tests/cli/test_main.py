"""The command line as a whole: what it loads, and what it says when nothing can be done."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pytest

from napari_medseg import io
from napari_medseg.cli import COMMANDS, main

HELPED = {*COMMANDS, "show", "remove", "info", "check", "repair", "export", "encoder"}
"""Words after which there is a help."""


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scribbles", "a.tif", "b.tif", "--out", "c.tif", "--step", "5"], "no option --step. Did you mean --steps? "),
        (["scribbles", "a.tif", "b.tif", "--ouput", "c.tif"], "no option --ouput. Did you mean --out? "),
        (["scribbles", "a.tif", "b.tif", "--colors=red"], "no option --colors. Did you mean --colours? "),
        (["scribbles", "a.tif", "--zzz", "--out", "c.tif"], "no option --zzz. "),
        (["scribbles", "-o", "c.tif"], "no option -o. "),
        (["apply", "a.tif", "--out", "c.tif", "--models", "m"], "no option --models. Did you mean --model? "),
        (["models", "--show"], "no option --show. "),
        (["models", "show", "m", "--verbose"], "no option --verbose. "),
        (["models", "shw", "m"], "medseg models knows no 'shw'. Did you mean show? "),
        (["session", "export", "a.medseg", "--out", "c.tif", "--layers", "b"], "Did you mean --layer? "),
        (["session", "exprt", "a.medseg"], "medseg session knows no 'exprt'. Did you mean export? "),
        (["train", "encoder", "--dta", "."], "no option --dta. Did you mean --data? "),
        (["train", "decoder"], "medseg train knows no 'decoder'. Did you mean encoder? "),
        (["demo", "--second", "3"], "no option --second. Did you mean --seconds? "),
        (["scribble", "a.tif"], "medseg knows no 'scribble'. Did you mean scribbles? "),
        (["xyz"], "medseg knows no 'xyz'. It knows demo, scribbles, apply, models, session, train. "),
        (["--quiet", "models"], "There is no option --quiet. "),
        (["models", "show", "my", "model"], "model: nothing more is expected here. Put in quotes what has a space"),
        (["scribbles", "a.tif", "", "--out", "c.tif"], "an empty name was given; expected a file or a folder. "),
        (["apply", "a.tif", "--model", "m", "--out", ""], "argument --out: an empty name was given"),
        (["session", "info", ""], "argument FOLDER: an empty name was given"),
        (["models", "show"], "the following arguments are required: NAME. "),
    ],
)
def test_a_wrong_word_points_to_the_help_of_its_command(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
):
    assert main(words) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    command = " ".join(["medseg", *takewhile(lambda word: word in HELPED, words)])
    assert shown.endswith(f" {command} --help lists what there is.\n")


@pytest.mark.parametrize("value", ["-1", "-.5", "--seconds=-1"])
def test_a_number_below_zero_is_a_value(files: tuple[Path, Path], value: str, capsys: pytest.CaptureFixture[str]):
    words = [value] if "=" in value else ["--seconds", value]
    assert main(["scribbles", *map(str, files), "--out", "c.tif", *words]) == 2
    assert "does not fit: Training time must be" in capsys.readouterr().err


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


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_library_that_logs_a_damaged_file_adds_no_line(files: tuple[Path, Path], tmp_path: Path, cut: float):
    """Under pytest a log is set up, so that only a process of its own shows what a user sees."""
    whole = files[0].read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: int(cut * len(whole))])
    command = [sys.executable, "-m", "napari_medseg.cli", "scribbles", str(tmp_path / "cut.tif"), str(files[1])]
    done = subprocess.run([*command, "--out", str(tmp_path / "out.tif")], capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("medseg: cut.tif is ") and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("command", [["scribbles"], ["apply"], ["session", "export"]])
def test_the_formats_of_results_stand_in_one_place(command: list[str], capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    labels = f"{io.LARGE_FORMATS} at any size, with all levels; {io.SMALL_FORMATS} if small"
    assert f"labels to write: {labels if 'export' in command else io.LABEL_FORMATS}" in shown
    if command == ["scribbles"]:
        assert f"0 to 1, to write: {io.VALUE_FORMATS} --save-model" in shown
    assert (io.LABEL_FORMATS, io.VALUE_FORMATS) == (".tif, .ome.zarr, .png or .nii.gz", ".tif, .ome.zarr or .nii.gz")
