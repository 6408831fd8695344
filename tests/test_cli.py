"""The command line: what it loads, what it says, what it writes and what it leaves alone."""

from __future__ import annotations

import argparse
import io as textio
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg import io
from napari_medseg.cli import COMMANDS, _params, main
from napari_medseg.cli._console import CLEAR, Console
from napari_medseg.cli._segment import LAYERS, _canvas
from napari_medseg.cli.models import table
from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Note, Progress, Scalar
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.params import specs
from napari_medseg.nn import store
from napari_medseg.tools.scribbles import Params

QUICK = ["--steps", "3", "--start", "scratch", "--device", "cpu", "--precision", "fp32", "--batch", "1", "--crop", "64"]


@pytest.fixture(autouse=True)
def _own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path / "models"))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A picture of two halves, and strokes on each."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 60, (96, 96, 3), np.uint8)
    picture[:, 48:] += 150
    strokes = np.zeros((96, 96), np.uint8)
    strokes[10:80:20, 8:40], strokes[10:80:20, 56:88] = 1, 2
    image, scribbles = tmp_path / "image.tif", tmp_path / "strokes.tif"
    io.write_image(image, Image.of(picture, "yxc"))
    io.write_labels(scribbles, Image.of(strokes, kind="labels"))
    return image, scribbles


def written(folder: Path) -> set[str]:
    """All that lies in the folder, what is hidden too."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# --- help and start ---------------------------------------------------------------------------------------------


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


# --- options from Params ----------------------------------------------------------------------------------------


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    _params.add_options(parser, Params)
    return parser


def test_every_parameter_is_an_option_with_its_help(parser: argparse.ArgumentParser):
    text = " ".join(parser.format_help().split())
    for spec in specs(Params):
        assert f"--{spec.name.replace('_', '-')}" in text
        assert spec.help.split(".")[0].split(";")[0][:30] in text


def test_options_make_the_same_parameters_as_python_does(parser: argparse.ArgumentParser):
    words = ["--seconds", "7", "--no-blend-linear", "--classes", "1=tumour", "2=all the rest", "--balancing", "none"]
    expected = Params(seconds=7, blend_linear=False, classes={1: "tumour", 2: "all the rest"}, balancing="none")
    assert _params.from_options(Params, parser.parse_args(words)) == expected
    assert _params.from_options(Params, parser.parse_args([])) == Params()


def test_a_file_of_parameters_gives_way_to_options(parser: argparse.ArgumentParser, tmp_path: Path):
    file = tmp_path / "params.json"
    file.write_text(Params(seconds=3, seed=4, classes={1: "a", 2: "b"}).model_dump_json())
    made = _params.from_options(Params, parser.parse_args(["--params", str(file), "--seed", "9"]))
    assert made == Params(seconds=3, seed=9, classes={1: "a", 2: "b"})


@pytest.mark.parametrize("content", ["[1, 2]", "not json", '{"colour": 1}'])
def test_a_bad_file_of_parameters_is_named(parser: argparse.ArgumentParser, tmp_path: Path, content: str):
    file = tmp_path / "params.json"
    file.write_text(content)
    with pytest.raises(InputError, match="params.json|colour is not a parameter"):
        _params.from_options(Params, parser.parse_args(["--params", str(file)]))


def test_a_pair_without_equals_sign_is_refused(parser: argparse.ArgumentParser, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parser.parse_args(["--classes", "tumour"])
    assert "'tumour' is no KEY=VALUE pair" in capsys.readouterr().err


# --- models -----------------------------------------------------------------------------------------------------


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["name", "task", "classes", "size", "licence", "origin"]
    assert all(card.name in out for card in store.models())


def test_an_unknown_model_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "show", "nobody"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("medseg: There is no model 'nobody'")
    assert captured.err.count("\n") == 1


def test_columns_are_aligned():
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


# --- progress ---------------------------------------------------------------------------------------------------


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


def test_only_notes_go_into_a_file():
    stream = textio.StringIO()
    with Console(stream) as console:
        console.show(Progress(1, 4, "training"))
        console.show(Scalar("loss", 1, 0.5))
        console.show(Note("Few strokes.", "warning"))
    assert stream.getvalue() == "medseg: warning: Few strokes.\n"


# --- scribbles and apply ----------------------------------------------------------------------------------------


def test_teach_from_files_then_apply_gives_the_same_bytes(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image, scribbles = map(str, files)
    labels, entropy, again = tmp_path / "labels.tif", tmp_path / "entropy.tif", tmp_path / "again.tif"
    options = ["--out", str(labels), "--entropy", str(entropy), "--save-model", "halves", *QUICK]
    assert main(["scribbles", image, scribbles, *options]) == 0, capsys.readouterr().err
    taught = io.open_image(labels, "labels").read()[..., 0]
    assert taught.shape == (96, 96)
    assert set(np.unique(taught)) <= {1, 2}
    unsure = io.open_image(entropy).read()
    assert unsure.dtype == np.float32
    assert 0 <= unsure.min() <= unsure.max() <= 1
    out = capsys.readouterr().out
    assert "Written: " in out
    assert "halves" in out
    assert main(["apply", image, "--model", "halves", "--out", str(again), "--device", "cpu"]) == 0
    np.testing.assert_array_equal(io.open_image(again, "labels").read()[..., 0], taught)
    assert main(["models", "show", "halves"]) == 0
    assert "sha256" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_file(files: tuple[Path, Path], tmp_path: Path):
    outputs = [tmp_path / "one.ome.zarr", tmp_path / "two.ome.zarr"]
    for path in outputs:
        assert main(["scribbles", *map(str, files), "--out", str(path), *QUICK]) == 0
    one, two = (io.open_image(path).read() for path in outputs)
    np.testing.assert_array_equal(one, two)


def test_a_folder_of_images(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    image, scribbles = files
    options = ["--out", str(tmp_path / "l.tif"), "--save-model", "m", *QUICK]
    assert main(["scribbles", str(image), str(scribbles), *options]) == 0
    folder, results = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.tif", "b.tif"):
        (folder / name).write_bytes(image.read_bytes())
    (folder / "notes.txt").write_text("no image")
    assert main(["apply", str(folder), "--model", "m", "--out", str(results), "--device", "cpu"]) == 0
    assert {path.name for path in results.iterdir()} == {"a-labels.tif", "b-labels.tif"}
    assert capsys.readouterr().out.count("Written: ") == 3


def test_strokes_without_a_pixel_size_lie_on_the_image(files: tuple[Path, Path], tmp_path: Path):
    """Viewers drop the pixel size when they save labels."""
    image, scribbles = files
    sized = tmp_path / "sized.ome.tif"
    geometry = Geometry.plain(2, (0.5, 0.5), "um")
    io.write_image(sized, replace(io.open_image(image), geometry=geometry))
    out = tmp_path / "l.ome.tif"
    assert main(["scribbles", str(sized), str(scribbles), "--out", str(out), *QUICK]) == 0
    assert io.open_image(out, "labels").pixel_size_um() == (0.5, 0.5)


def test_one_bad_image_does_not_stop_the_others(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image, scribbles = files
    options = ["--out", str(tmp_path / "l.tif"), "--save-model", "m", *QUICK]
    assert main(["scribbles", str(image), str(scribbles), *options]) == 0
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "b.tif").write_bytes(image.read_bytes())
    io.write_labels(folder / "a.tif", Image.of(np.zeros((20, 20), np.uint8), kind="labels"))
    again = ["apply", str(folder), "--model", "m", "--out", str(folder), "--device", "cpu"]
    for _ in range(2):
        capsys.readouterr()
        assert main(again) == 2
        said = capsys.readouterr().err.strip()
        assert "1 of 2 images were segmented" in said and "left out: a.tif: The model 'm' was taught on RGB" in said
        assert len(said.splitlines()) == 1
        assert (folder / "b-labels.tif").exists() and not (folder / "a-labels.tif").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": "absent.tif"}, "absent.tif does not exist"),
        ({"scribbles": "empty.tif"}, "empty.tif"),
        ({"scribbles": "blank.tif"}, "stroke|paint|annotat"),
        ({"out": "nowhere/labels.tif"}, "nowhere does not exist"),
        ({"out": "labels.xyz"}, "'.xyz'"),
        ({"out": "image.tif"}, "named twice"),
        ({"more": ["--seconds", "-1"]}, "seconds = '-1'"),
        ({"more": ["--start", "nobody"]}, "nobody"),
        ({"more": ["--save-model", "../up"]}, "cannot be a model's name"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict, sentence: str
):
    (tmp_path / "empty.tif").touch()
    io.write_labels(tmp_path / "blank.tif", Image.of(np.zeros((96, 96), np.uint8), kind="labels"))
    names = {"image": "image.tif", "scribbles": "strokes.tif", "out": "labels.tif", "more": []} | change
    paths = [str(tmp_path / names[role]) for role in ("image", "scribbles", "out")]
    before, content = written(tmp_path), files[0].read_bytes()
    assert main(["scribbles", paths[0], paths[1], "--out", paths[2], *QUICK, *names["more"]]) == 2
    captured = capsys.readouterr()
    last = captured.err.splitlines()[-1]
    assert last.startswith("medseg: ")
    assert any(part in last.lower() for part in sentence.lower().split("|")), last
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert written(tmp_path) == before
    assert files[0].read_bytes() == content


def test_a_failed_run_leaves_the_old_result(files: tuple[Path, Path], tmp_path: Path):
    out = tmp_path / "labels.tif"
    out.write_bytes(b"precious")
    one_class = tmp_path / "one.tif"
    strokes = io.open_image(files[1], "labels").read()[..., 0]
    io.write_labels(one_class, Image.of(np.where(strokes == 1, 1, 0).astype(np.uint8), kind="labels"))
    assert main(["scribbles", str(files[0]), str(one_class), "--out", str(out), *QUICK]) == 2
    assert out.read_bytes() == b"precious"


@pytest.mark.parametrize("layer", ["prediction", "entropy"])
def test_a_large_layer_is_collected_on_disk_and_written_the_same(tmp_path: Path, layer: str):
    image = Image.of(np.zeros((3, 700, 90), np.uint8), "zyx")
    canvases = [_canvas(image, layer, str(tmp_path), limit) for limit in (1 << 20, 0)]
    assert isinstance(canvases[0], np.ndarray)
    assert not isinstance(canvases[1], np.ndarray)
    for canvas in canvases:
        rng = np.random.default_rng(0)
        for z, y in np.ndindex(3, 7):
            canvas[z : z + 1, 100 * y : 100 * y + 100] = rng.integers(0, 4, (1, 100, 90))
    paths = [tmp_path / "memory.tif", tmp_path / "disk.tif"]
    for path, canvas in zip(paths, canvases, strict=True):
        io.write_image(path, image.derive(canvas, LAYERS[layer][0], layer))
    one, two = (io.open_image(path).read() for path in paths)
    assert one.max() == 3
    np.testing.assert_array_equal(one, two)


def test_a_parameter_file_from_a_result_repeats_it(files: tuple[Path, Path], tmp_path: Path):
    params = {"steps": 2, "start": "scratch", "device": "cpu", "precision": "fp32", "batch": 1, "crop": 64}
    file, out = tmp_path / "params.json", tmp_path / "labels.png"
    file.write_text(json.dumps(params))
    assert main(["scribbles", *map(str, files), "--out", str(out), "--params", str(file)]) == 0
    assert io.open_image(out, "labels").shape() == (96, 96)


def test_training_an_encoder_names_the_folder_that_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "encoder", "--data", str(tmp_path), "--out", str(tmp_path), "--steps", "1"]) == 2
    captured = capsys.readouterr()
    assert f"medseg: {tmp_path} does not hold" in captured.err
    assert written(tmp_path) == set()


def test_a_demo_without_screen_says_what_is_missing(tmp_path: Path):
    environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
    environment["PATH"] = str(tmp_path)
    command = [sys.executable, "-m", "napari_medseg.cli", "demo", "--seconds", "1", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=200)
    assert done.returncode == 2
    assert "apt-get install xvfb" in done.stderr


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
