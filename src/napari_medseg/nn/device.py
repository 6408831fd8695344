"""Where networks run, in which precision, and with how many threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from napari_medseg.core.errors import InputError
from napari_medseg.nn import measured

_ROUNDS, _LEAST_GAIN = 5, 0.8
"""Timings of each precision, and what share of the time in fp32 bf16 may take at most to be chosen."""
_GIVEN_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Device:
    """A device and the precision that networks use on it."""

    name: str
    bf16: bool

    @property
    def torch(self) -> torch.device:
        """The torch device."""
        return torch.device(self.name)

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Context in which forward passes run in the device's precision."""
        with torch.autocast(self.name, torch.bfloat16, enabled=self.bf16):
            yield

    @property
    def precision_name(self) -> str:
        """How parameters and model cards call the precision."""
        return "bf16" if self.bf16 else "fp32"

    def describe(self) -> str:
        """One short line for the user."""
        title = {"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}[self.name]
        count = torch.get_num_threads()
        threads = f", {count} thread{'s' if count > 1 else ''}" if self.name == "cpu" else ""
        return f"{title}{threads}, {self.precision_name}"


def choose(device: str = "auto", precision: str = "auto") -> Device:
    """Pick the device and precision; 'auto' takes the fastest that there is."""
    name = _best() if device == "auto" else device
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(name, False):
        raise InputError(f"The device {name!r} is not there; choose one of {[k for k, v in available.items() if v]}.")
    return Device(name, bf16_pays(name) if precision == "auto" else precision == "bf16")


def _best() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@cache
def bf16_pays(name: str) -> bool:
    """Whether bf16 is faster here: by the hardware's word on a GPU, by a short timing on a CPU.

    Without matrix units for bf16 a CPU is up to 250 times slower with it, so those are not even timed. The timing is
    kept for this processor: with another answer in a busy moment, the same seed would give other labels.
    """
    if name != "cpu" or not bf16_units(name):
        return bf16_units(name)
    kept = measured.once("bf16", _processor_and_torch(), _time_precisions)
    return kept["bf16_s"] < _LEAST_GAIN * kept["fp32_s"]


def _processor_and_torch() -> tuple[str, ...]:
    """All that the timing depends on."""
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return measured.processor(), torch.__version__, torch.backends.cpu.get_cpu_capability(), limit


def bf16_units(name: str) -> bool:
    """Whether the device has matrix units for bf16."""
    if name == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return name == "cpu" and bool(probe and probe())


def _time_precisions() -> dict[str, Any]:
    """Seconds of one layer in each precision: the best of a few runs in turn, so that a busy moment meets both.

    On one thread: with more, a busy core would blur the comparison.
    """
    conv = place(torch.nn.Conv2d(64, 64, 3, padding=1), torch.device("cpu"))
    image = torch.ones(1, 64, 128, 128).to(memory_format=torch.channels_last)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with threads(1), torch.inference_mode():
        for _ in range(_ROUNDS):
            for bf16, times in seconds.items():
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    times.append(_timed(lambda: conv(image)))
    return {"bf16_s": min(seconds[True]), "fp32_s": min(seconds[False])}


def _timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with this many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def thread_choices() -> list[int]:
    """Numbers of threads worth trying: what the process was given, and half of it.

    With another program on one core, all threads wait for the slowest, and fewer are faster. The number of threads
    changes no result.
    """
    return sorted({_GIVEN_THREADS, max(1, _GIVEN_THREADS // 2)}, reverse=True)


def place(net: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a network to a device, its weights channels-last (1.5 times as fast on a CPU)."""
    return net.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def release() -> None:
    """Give cached memory back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
