"""Predictions beside a session: the last one of each role, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_medseg.core.classes import default_class
from napari_medseg.core.errors import RunCancelled, StorageError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.io import open_image, predictions

ABOUT = {"tool": "scribbles", "digest": "abc", "parameters": {"steps": 3}}


def never() -> bool:
    return False


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "slide.medseg"
    folder.mkdir()
    return folder / "predictions.zarr"


@pytest.fixture
def labels() -> Image:
    pixels = np.random.default_rng(0).integers(0, 3, (1, 40, 50), dtype=np.uint8)
    geometry = Geometry((2.0, 0.5, 0.5), ("um",) * 3, (0.0, 3.0, 4.0))
    return Image((pixels,), "zyx", geometry, "labels", "slide prediction", (default_class(1), default_class(2)))


def test_it_comes_back_with_what_is_known_of_it(root: Path, labels: Image):
    predictions.write(root, "annotation", "prediction", labels, ABOUT, never)
    (stored,) = predictions.read(root)
    np.testing.assert_array_equal(stored.pixels(), labels.levels[0])
    assert stored.about == ABOUT | {"role": "prediction", "layer": "annotation", "shape": [1, 40, 50]}


def test_others_can_open_it(root: Path, labels: Image):
    predictions.write(root, "annotation", "prediction", labels, ABOUT, never)
    image = open_image(root / "prediction-annotation")
    np.testing.assert_array_equal(image.read(), labels.levels[0][0, ..., None])
    assert (image.kind, image.geometry.scale, image.geometry.translate) == ("labels", (0.5, 0.5), (3.0, 4.0))
    assert image.classes == labels.classes


def test_half_precision_comes_back_as_it_is(root: Path, labels: Image):
    entropy = replace(
        labels, levels=(np.linspace(0, 1, 2000, dtype=np.float16).reshape(1, 40, 50),), kind="probability"
    )
    predictions.write(root, "annotation", "entropy", entropy, ABOUT, never)
    (stored,) = predictions.read(root)
    np.testing.assert_array_equal(stored.pixels(), entropy.levels[0])


def test_the_newest_of_each_layer_and_role_stays(root: Path, labels: Image):
    for layer in ("annotation", "a/b ..", "annotation"):
        predictions.write(root, layer, "prediction", labels, {"digest": layer}, never)
    other = replace(labels, levels=(labels.levels[0][:, ::-1],))
    predictions.write(root, "annotation", "prediction", other, {"digest": "newer"}, never)
    found = {stored.about["layer"]: stored for stored in predictions.read(root)}
    assert set(found) == {"annotation", "a/b .."}
    assert found["annotation"].about["digest"] == "newer"
    np.testing.assert_array_equal(found["annotation"].pixels(), other.levels[0])
    assert sorted(path.name for path in root.iterdir() if path.is_dir()) == [
        "prediction-a%2Fb%20..",
        "prediction-annotation",
    ]


def test_one_that_is_stopped_leaves_the_one_before(root: Path, labels: Image):
    predictions.write(root, "annotation", "prediction", labels, {"digest": "first"}, never)
    large = replace(labels, levels=(np.ones((1, 1500, 600), np.uint8),))
    asked: list[int] = []

    def third_time() -> bool:
        asked.append(1)
        return len(asked) == 3

    with pytest.raises(RunCancelled):
        predictions.write(root, "annotation", "prediction", large, {"digest": "second"}, third_time)
    (stored,) = predictions.read(root)
    assert stored.about["digest"] == "first"
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["prediction-annotation"]


def test_what_a_crash_left_is_never_shown_and_goes(root: Path, labels: Image):
    predictions.write(root, "annotation", "prediction", labels, ABOUT, never)
    (root / "prediction-annotation").rename(root / ".1234abcd-prediction-annotation")
    assert list(predictions.read(root)) == []
    predictions.write(root, "annotation", "entropy", labels, ABOUT, never)
    assert [path.name for path in root.iterdir() if path.is_dir()] == ["entropy-annotation"]


@pytest.mark.parametrize("spoil", ["zarr.json", "0/zarr.json"])
def test_a_damaged_one_is_passed_over(root: Path, labels: Image, spoil: str):
    predictions.write(root, "annotation", "prediction", labels, ABOUT, never)
    predictions.write(root, "annotation", "entropy", labels, ABOUT, never)
    (root / "prediction-annotation" / spoil).write_text("{")
    assert [stored.about["role"] for stored in predictions.read(root)] == ["entropy"]


def test_a_disk_that_takes_nothing_is_said(root: Path, labels: Image):
    root.write_text("a file in its place")
    with pytest.raises(StorageError, match="could not be written"):
        predictions.write(root, "annotation", "prediction", labels, ABOUT, never)
