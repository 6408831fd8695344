"""`medseg scribbles`: what it writes, what it refuses, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_medseg import io
from napari_medseg.cli import main
from napari_medseg.cli._segment import LAYERS, _canvas
from napari_medseg.core.classes import SegmentationClass, default_class
from napari_medseg.core.image import Geometry, Image
from napari_medseg.nn import store
from napari_medseg.nn.device import choose

Teach = Callable[..., int]
Written = Callable[[], dict[str, bytes | None]]


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that was said on stderr."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("medseg: ")
    assert captured.err.count("\n") == 1, captured.err
    return captured.err.removeprefix("medseg: ").strip()


def test_teach_from_files_then_apply_gives_the_same_bytes(
    teach: Teach, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    labels, entropy, again = tmp_path / "labels.tif", tmp_path / "entropy.tif", tmp_path / "again.tif"
    options = ["--entropy", str(entropy), "--save-model", "halves"]
    assert teach(*options) == 0, capsys.readouterr().err
    taught = io.open_image(labels, "labels").read()[..., 0]
    assert taught.shape == (96, 96)
    assert set(np.unique(taught)) <= {1, 2}
    unsure = io.open_image(entropy).read()
    assert unsure.dtype == np.float32
    assert 0 <= unsure.min() <= unsure.max() <= 1
    out = capsys.readouterr().out
    assert "Written: " in out
    assert "halves" in out
    assert (
        main(["apply", str(tmp_path / "image.tif"), "--model", "halves", "--out", str(again), "--device", "cpu"]) == 0
    )
    np.testing.assert_array_equal(io.open_image(again, "labels").read()[..., 0], taught)
    assert main(["models", "show", "halves"]) == 0
    assert "sha256" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_file(teach: Teach, tmp_path: Path):
    outputs = ["one.ome.zarr", "two.ome.zarr"]
    for name in outputs:
        assert teach(out=name) == 0
    one, two = (io.open_image(tmp_path / name).read() for name in outputs)
    np.testing.assert_array_equal(one, two)


def test_strokes_without_a_pixel_size_lie_on_the_image(teach: Teach, tmp_path: Path):
    """Viewers drop the pixel size when they save labels."""
    geometry = Geometry.plain(2, (0.5, 0.5), "um")
    io.write_image(tmp_path / "sized.ome.tif", replace(io.open_image(tmp_path / "image.tif"), geometry=geometry))
    assert teach(image="sized.ome.tif", out="l.ome.tif") == 0
    assert io.open_image(tmp_path / "l.ome.tif", "labels").pixel_size_um() == (0.5, 0.5)


def test_a_failed_run_leaves_the_old_result(teach: Teach, tmp_path: Path):
    (tmp_path / "labels.tif").write_bytes(b"precious")
    strokes = io.open_image(tmp_path / "strokes.tif", "labels").read()[..., 0]
    io.write_labels(tmp_path / "one.tif", Image.of((strokes == 1).astype(np.uint8), kind="labels"))
    assert teach(scribbles="one.tif") == 2
    assert (tmp_path / "labels.tif").read_bytes() == b"precious"


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


# --- what is refused --------------------------------------------------------------------------------------------


@pytest.fixture
def odd(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Files that cannot be used."""
    strokes = np.array(Picture.fromarray(io.open_image(files[1], "labels").read()[..., 0]))
    (tmp_path / "empty.tif").touch()
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "folder.tif" / "thesis.txt").write_text("precious")
    (tmp_path / "list.json").write_text("[1]")
    io.write_labels(tmp_path / "blank.tif", Image.of(np.zeros((96, 96), np.uint8), kind="labels"))
    io.write_labels(tmp_path / "small.tif", Image.of(strokes[:50, :40], kind="labels"))
    Picture.fromarray(np.stack([strokes * 100] * 3, -1)).save(tmp_path / "colours.png")
    Picture.fromarray(strokes * 100).save(tmp_path / "strokes.jpg")
    io.write_image(tmp_path / "nan.tif", Image.of(np.full((96, 96), np.nan, np.float32)))
    io.write_image(tmp_path / "pixel.tif", Image.of(np.zeros((1, 1), np.uint8)))
    (tmp_path / "loop.tif").symlink_to(tmp_path / "loop.tif")


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": "absent.tif"}, "absent.tif does not exist"),
        ({"image": "image.tif/b.tif"}, "image.tif is a file, not a folder"),
        ({"image": "folder.tif"}, "folder.tif is a folder; expected an image file"),
        ({"image": "loop.tif"}, "loop.tif does not exist"),
        ({"image": "/dev/null"}, "neither a file nor a folder"),
        ({"image": "x" * 300}, "cannot be opened: File name too long"),
        ({"image": "nan.tif"}, "holds NaN or infinite values"),
        ({"image": "pixel.tif"}, "'strokes' have 96 x 96 pixels but the image 'pixel' has 1 x 1"),
        ({"scribbles": "empty.tif"}, "empty.tif is empty"),
        ({"scribbles": "blank.tif"}, "The scribbles are empty"),
        ({"scribbles": "small.tif"}, "make new ones on this image"),
        ({"scribbles": "colours.png"}, "'colours' are a picture with 3 colour channels; labels are needed"),
        ({"scribbles": "strokes.jpg"}, "is a JPEG, which changes labels. Save them as .png or .tif"),
        ({"out": "nowhere/labels.tif"}, "nowhere does not exist"),
        ({"out": "image.tif/labels.tif"}, "image.tif is a file, not a folder"),
        ({"out": "folder.tif"}, "folder.tif is a folder, and no file takes its place"),
        ({"out": "labels.xyz"}, "'.xyz'"),
        ({"out": "image.tif"}, "named twice"),
        ({"more": ["--entropy", "{}/strokes.tif"]}, "named twice"),
        ({"more": ["--entropy", "{}/entropy.png"]}, "PNG holds whole numbers. Save as OME-TIFF"),
        ({"more": ["--dense", "{}/colours.png"]}, "'colours' are a picture with 3 colour channels"),
        ({"more": ["--seconds", "-1"]}, "seconds = '-1' does not fit: Training time must be a number from 1 to"),
        ({"more": ["--params", "{}/absent.json"]}, "absent.json cannot be read: No such file or directory."),
        ({"more": ["--params", "{}/image.tif"]}, "image.tif is no JSON file"),
        ({"more": ["--params", "{}/list.json"]}, "list.json holds no parameters"),
        ({"more": ["--start", "nobody"]}, "no model 'nobody'"),
        ({"more": ["--start", ""]}, "No model was named"),
        ({"more": ["--save-model", "../up"]}, "cannot be a model's name"),
        ({"more": ["--save-model", ""]}, "The model has no name"),
        ({"more": ["--replace"]}, "--replace is for a model, but none is kept"),
        ({"more": ["--colours", "red,blue"]}, "'red' is no colour; write it as #rrggbb"),
        ({"more": ["--colours", "#ff0000"]}, "--colours has 1, but the scribbles hold 1, 2; give each class a colour"),
        ({"scribbles": "blank.tif", "more": ["--colours", "#ff0000"]}, "The scribbles are empty"),
        ({"more": ["--colours", "3=#ff0000"]}, "--colours has 3, but the scribbles hold 1, 2"),
        (
            {"more": ["--classes", "a,b", "--colours", "#ff0000,#00ff00,#0000ff"]},
            "--classes names 1, 2 but --colours has 1, 2, 3",
        ),
        ({"more": ["--axes", "yx"]}, "image.tif is read as yxc, size (96, 96, 3). The axes 'yx' name 2 axes"),
        ({"more": ["--axes", "abc"]}, "The axes 'abc' are not understood"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    teach: Teach,
    tmp_path: Path,
    written: Written,
    capsys: pytest.CaptureFixture[str],
    change: dict,
    sentence: str,
):
    before = written()
    more = [word.format(tmp_path) for word in change.pop("more", [])]
    assert teach(*more, **change) == 2
    assert sentence in refused(capsys)
    assert written() == before


def test_a_volume_for_a_png_is_refused_before_the_training(
    teach: Teach, save_stack: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    strokes = io.open_image(tmp_path / "strokes.tif", "labels").read()[..., 0]
    stack = save_stack("stack.tif", np.stack([strokes * 90] * 5))
    labels = save_stack("labels5.tif", np.stack([strokes] * 5))
    assert teach("--steps", "1000000", image=stack, scribbles=labels, out="labels.png") == 2
    assert "PNG holds y and x only" in refused(capsys)


# --- stacks that look like colours ------------------------------------------------------------------------------


def test_three_slices_without_metadata_are_a_stack_where_that_is_said(
    teach: Teach, save_stack: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    image = io.open_image(tmp_path / "image.tif").read()[..., 0]
    strokes = io.open_image(tmp_path / "strokes.tif", "labels").read()[..., 0]
    stack, labels = save_stack("stack.tif", np.stack([image] * 3)), save_stack("three.tif", np.stack([strokes] * 3))
    assert teach(image=stack, scribbles=labels) == 2
    said = refused(capsys)
    assert "stack.tif is read as one picture with 3 channels, and three as a stack of 3 slices" in said
    assert "add --axes zyx" in said
    assert teach("--axes", "zyx", image=stack, scribbles=labels) == 0
    assert io.open_image(tmp_path / "labels.tif", "labels").shape() == (3, 96, 96)


# --- models under a name that is there --------------------------------------------------------------------------


def test_a_model_is_replaced_only_where_that_is_said(teach: Teach, model: str, capsys: pytest.CaptureFixture[str]):
    before = store.read_weights(store.find(model))
    assert teach("--save-model", model, "--seed", "1", out="other.tif") == 2
    said = refused(capsys)
    assert said == "You have a model named 'm' already. Choose another name, or add --replace to replace it."
    assert store.read_weights(store.find(model)) == before
    assert teach("--save-model", model, "--seed", "1", "--replace", out="other.tif") == 0
    assert store.find(model).seed == 1


def test_a_store_that_cannot_be_written_is_named_before_the_training(
    teach: Teach, own_models: Path, capsys: pytest.CaptureFixture[str]
):
    own_models.write_text("no folder")
    assert teach("--save-model", "m", "--steps", "1000000") == 2
    assert f"No model can be written to {own_models}: {own_models} is no folder" in refused(capsys)


def test_names_and_colours_go_into_the_model(teach: Teach):
    assert teach("--classes", "dark,bright", "--colours", "#101010,#f0f0f0", "--save-model", "m") == 0
    card = store.find("m")
    assert card.classes == {1: "dark", 2: "bright"}
    assert card.colours == {1: "#101010", 2: "#f0f0f0"}


def test_names_and_colours_go_into_the_labels_and_come_back_from_the_strokes(teach: Teach, tmp_path: Path):
    rows = (SegmentationClass(1, "dark", "#101010"), SegmentationClass(2, "all the rest", "#f0f0f0"))
    assert teach("--classes", "dark,all the rest", "--colours", "#101010,#f0f0f0") == 0
    assert io.open_image(tmp_path / "labels.tif", "labels").classes == rows
    strokes = replace(io.open_image(tmp_path / "strokes.tif", "labels"), classes=(*rows, default_class(300)))
    io.write_labels(tmp_path / "named.ome.tif", strokes)
    assert teach(scribbles="named.ome.tif", out="named-labels.ome.zarr") == 0
    assert io.open_image(tmp_path / "named-labels.ome.zarr").classes == rows
    assert teach("--classes", "a,b", scribbles="named.ome.tif", out="other.tif") == 0
    assert [row.name for row in io.open_image(tmp_path / "other.tif", "labels").classes] == ["a", "b"]


# --- what a second run needs to give the same -------------------------------------------------------------------


@pytest.mark.parametrize("more", [["--precision", "fp32"], ["--precision", "auto"]])
def test_teach_again_and_apply_give_the_same_file(teach: Teach, tmp_path: Path, more: list[str]):
    again = ["apply", str(tmp_path / "image.tif"), "--model", "m", "--device", "cpu", "--out"]
    assert teach(*more, "--save-model", "m", out="one.tif") == 0
    assert teach(*more, out="two.tif") == 0
    assert main([*again, str(tmp_path / "three.tif")]) == 0
    one, two, three = ((tmp_path / f"{name}.tif").read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one == three


def test_device_and_precision_are_said_and_kept_with_the_model(teach: Teach, capsys: pytest.CaptureFixture[str]):
    assert teach("--precision", "auto", "--save-model", "m") == 0
    device = choose("cpu")
    assert f"\nComputed on: {device.describe()}\n" in capsys.readouterr().out
    parameters = store.find("m").parameters
    assert (parameters["device"], parameters["precision"]) == ("cpu", device.precision_name)


def test_too_few_strokes_is_said_once(teach: Teach, capsys: pytest.CaptureFixture[str]):
    for more in ([], ["--quiet"]):
        assert teach(*more) == 0
        captured = capsys.readouterr()
        assert (captured.out + captured.err).lower().count("too few strokes to check") == 1
