from __future__ import annotations

import pytest

from napari_medseg.nn.device import Device, threads


@pytest.mark.parametrize(("count", "words"), [(1, "CPU, 1 thread, fp32"), (2, "CPU, 2 threads, fp32")])
def test_a_device_is_described_in_words(count: int, words: str) -> None:
    with threads(count):
        assert Device("cpu", bf16=False).describe() == words
