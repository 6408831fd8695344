"""A picture and strokes as files, and a store of models of one's own."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_medseg import io
from napari_medseg.cli import main
from napari_medseg.core.image import Image

QUICK = ["--steps", "3", "--start", "scratch", "--device", "cpu", "--precision", "fp32", "--batch", "1", "--crop", "64"]


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty store."""
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


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


@pytest.fixture
def teach(files: tuple[Path, Path], tmp_path: Path) -> Callable[..., int]:
    """Run `medseg scribbles` for a few steps; a word that is given again comes last, and counts."""

    def run(*more: str, image: str = "image.tif", scribbles: str = "strokes.tif", out: str = "labels.tif") -> int:
        places = [str(tmp_path / name) for name in (image, scribbles, out)]
        return main(["scribbles", *places[:2], "--out", places[2], *QUICK, *more])

    return run


@pytest.fixture
def model(teach: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> str:
    """A model called m, taught on the picture."""
    assert teach("--save-model", "m") == 0
    capsys.readouterr()
    return "m"


@pytest.fixture
def written(tmp_path: Path) -> Callable[[], dict[str, bytes | None]]:
    """All that lies in the folder of the test, what is hidden too, with its content."""

    def look() -> dict[str, bytes | None]:
        paths = sorted(tmp_path.rglob("*"))
        return {str(path.relative_to(tmp_path)): path.read_bytes() if path.is_file() else None for path in paths}

    return look


@pytest.fixture
def save_stack(tmp_path: Path) -> Callable[..., str]:
    """Write an array as tifffile does by default, which takes three or four slices for colours."""

    def save(name: str, array: np.ndarray) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            tifffile.imwrite(tmp_path / name, array)
        return name

    return save
