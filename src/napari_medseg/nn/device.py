"""Where networks run, in which precision, and with how many threads."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import torch

from napari_medseg.core.errors import InputError


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

    def describe(self) -> str:
        """One short line for the user."""
        title = {"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}[self.name]
        threads = f", {torch.get_num_threads()} threads" if self.name == "cpu" else ""
        return f"{title}{threads}, {'bf16' if self.bf16 else 'fp32'}"


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

    Without matrix units for bf16 a CPU is up to 250 times slower with it, so those are not even timed.
    """
    if name != "cpu" or not bf16_units(name):
        return bf16_units(name)
    return _time_conv(bf16=True) < 0.8 * _time_conv(bf16=False)


def bf16_units(name: str) -> bool:
    """Whether the device has matrix units for bf16."""
    if name == "cuda":
        return torch.cuda.is_bf16_supported()
    probe = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return name == "cpu" and bool(probe and probe())


def _time_conv(*, bf16: bool) -> float:
    conv = place(torch.nn.Conv2d(64, 64, 3, padding=1), torch.device("cpu"))
    image = torch.ones(1, 64, 128, 128).to(memory_format=torch.channels_last)
    times = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for _ in range(4):
            start = time.perf_counter()
            conv(image)
            times.append(time.perf_counter() - start)
    return min(times)


def threads_available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def choose_threads(step: Callable[[], object], most: int | None = None) -> int:
    """Time ``step`` with all cores and with half of them; keep the faster (a busy core makes all wait)."""
    most = most or threads_available()
    best, best_time = most, float("inf")
    for count in sorted({most, max(1, most // 2)}, reverse=True):
        torch.set_num_threads(count)
        took = min(_timed(step) for _ in range(2))
        if took < best_time:
            best, best_time = count, took
    torch.set_num_threads(best)
    return best


def _timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def place(net: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """Move a network to a device, its weights channels-last (1.5 times as fast on a CPU)."""
    return net.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def release() -> None:
    """Give cached memory back to the device."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
