from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from napari_medseg.nn import device, measured
from napari_medseg.nn.device import Device, threads


@pytest.mark.parametrize(("count", "words"), [(1, "CPU, 1 thread, fp32"), (2, "CPU, 2 threads, fp32")])
def test_a_device_is_described_in_words(count: int, words: str) -> None:
    with threads(count):
        assert Device("cpu", bf16=False).describe() == words


@pytest.fixture
def matrix_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor that says it has them, of which nothing is known yet."""
    monkeypatch.setenv("NAPARI_MEDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True, raising=False)
    device.bf16_pays.cache_clear()
    yield
    device.bf16_pays.cache_clear()


@pytest.mark.usefixtures("matrix_units")
@pytest.mark.parametrize(("bf16_s", "precision"), [(1e-9, "bf16"), (1e9, "fp32")])
def test_the_precision_is_what_was_measured_before(tmp_path: Path, bf16_s: float, precision: str) -> None:
    """Whatever this moment would say: two runs on a machine give the same labels."""
    assert device.choose("cpu").precision_name in ("bf16", "fp32")
    kept = next((tmp_path / "cache").iterdir())
    measured_then = kept.read_text()
    figures = device._time_precisions()
    assert set(figures) == {"bf16_s", "fp32_s"} and all(value > 0 for value in figures.values())
    kept.unlink()
    measured.once("bf16", device._processor_and_torch(), lambda: {"bf16_s": bf16_s, "fp32_s": 1.0})
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [kept.name] and kept.read_text() != measured_then
    for _ in range(2):
        device.bf16_pays.cache_clear()
        assert device.choose("cpu").precision_name == precision


def test_a_precision_that_is_asked_for_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_MEDSEG_CACHE", str(tmp_path / "cache"))
    assert [device.choose("cpu", name).precision_name for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert not (tmp_path / "cache").exists()
