"""Inference on the CPU by OpenVINO, an optional extra, in place of torch.

Only whole images are worth it: loading and converting take about three seconds. Training always stays with torch.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import nn

from napari_medseg.core.errors import InputError
from napari_medseg.nn.segmenter import Segmenter

FASTER = 1.3
"""OpenVINO must be this many times as fast as torch to be chosen ..."""

SAME = 0.999
"""... and give the same class on at least this share of a tile's pixels."""

TIMINGS = 3


class OpenVinoNet(nn.Module):
    """A network compiled by OpenVINO, called as the torch network is; for inference only.

    A model is compiled once for each input shape: fixed shapes are faster, and all tiles of an image have the same.

    Parameters
    ----------
    channels
        What the network takes.
    bf16
        Compute in bfloat16 in place of float32. It is always named, for left alone OpenVINO takes bfloat16 where the
        processor has it.
    """

    def __init__(self, net: nn.Module, channels: int, *, bf16: bool) -> None:
        super().__init__()
        self.multiple = int(getattr(net, "multiple", 1))
        self.precision = "bf16" if bf16 else "f32"
        self._openvino = load_openvino()
        self._model = _converted(self._openvino, net, torch.zeros(1, channels, 4 * self.multiple, 4 * self.multiple))
        self._by_shape: dict[tuple[int, ...], Any] = {}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, channels, h, w) float32 -> logits (batch, classes, h, w) float32."""
        shape = tuple(x.shape)
        if shape not in self._by_shape:
            self._by_shape[shape] = self._compiled(shape)
        return torch.from_numpy(self._by_shape[shape](x.contiguous().numpy(), share_inputs=True)[0])

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        self._model.reshape(list(shape))
        settings = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            # A thread that is bound to a core waits for whatever else runs there.
            "ENABLE_CPU_PINNING": False,
        }
        return self._openvino.Core().compile_model(self._model, "CPU", settings)


def load_openvino() -> ModuleType:
    """Import OpenVINO, or say how to install it."""
    # Otherwise `import openvino` and each conversion report to Google Analytics and put a client number into the home
    # folder. Nothing leaves a machine that holds patients' images; OpenVINO goes on without its telemetry package.
    sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType, reportCallIssue]
    try:
        import openvino
    except ImportError as error:
        raise InputError(
            f"The backend 'openvino' needs the package OpenVINO, which cannot be loaded ({error}). Install it with: "
            "pip install \"napari-medseg[openvino]\", or choose the backend 'torch'."
        ) from error
    return openvino


def _converted(openvino: ModuleType, net: nn.Module, example: torch.Tensor) -> Any:
    """An OpenVINO model of any input size."""
    with warnings.catch_warnings(), torch.inference_mode():
        # OpenVINO reads a network by tracing, which torch has begun to call deprecated.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        return openvino.convert_model(net.eval(), example_input=example)


def with_openvino(segmenter: Segmenter) -> Segmenter:
    """The same model with its network compiled by OpenVINO, in the precision of the segmenter's device."""
    if segmenter.device.name != "cpu":
        raise InputError(
            f"The backend 'openvino' computes on the CPU, but the device is {segmenter.device.name!r}; choose the "
            "device 'cpu' or the backend 'torch'."
        )
    if segmenter.net is None:
        return segmenter
    return replace(segmenter, net=OpenVinoNet(segmenter.net, segmenter.channels, bf16=segmenter.device.bf16))


def faster(segmenter: Segmenter, batch: torch.Tensor) -> tuple[Segmenter, str]:
    """The faster of torch and OpenVINO on one tile, and a sentence that says why.

    Parameters
    ----------
    batch
        A tile of the image, (1, image channels, h, w); OpenVINO must also agree with torch there.
    """
    try:
        other = with_openvino(segmenter)
    except InputError as error:
        return segmenter, f"Predicting with torch. {error}"
    gain, same = _compare(segmenter, other, batch)
    chosen = other if gain > FASTER and same >= SAME else segmenter
    return chosen, (
        f"Predicting with {'OpenVINO' if chosen is other else 'torch'}: on one tile OpenVINO was {gain:.1f} times as "
        f"fast as torch and gave the same class on {same:.2%} of the pixels."
    )


def _compare(first: Segmenter, second: Segmenter, batch: torch.Tensor) -> tuple[float, float]:
    """How many times as fast the second is, and the share of pixels with the same class; the two run in turn."""
    with torch.inference_mode():
        same = (first(batch).argmax(dim=1) == second(batch).argmax(dim=1)).float().mean().item()
        pairs = [(_seconds(first, batch), _seconds(second, batch)) for _ in range(TIMINGS)]
    before, after = (min(times) for times in zip(*pairs, strict=True))
    return before / after, same


def _seconds(segmenter: Segmenter, batch: torch.Tensor) -> float:
    start = time.perf_counter()
    segmenter(batch)
    return time.perf_counter() - start
