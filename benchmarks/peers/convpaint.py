"""napari-convpaint as a peer: a warm process in its own environment (made by setup.sh), spoken to through files."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

import numpy as np

from benchmarks.peers.forest import Outcome
from benchmarks.sets import REPOSITORY

PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"
WORKER = Path(__file__).with_name("convpaint_peer.py")


class PeerMissing(Exception):
    """The peers' environment is not there."""


class Convpaint:
    """One warm convpaint process; use it as a context manager."""

    def __init__(self, threads: int | None = None) -> None:
        if not PYTHON.exists():
            raise PeerMissing(f"{PYTHON} is missing; make it with benchmarks/peers/setup.sh (or `make peers`).")
        environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
        if threads:
            environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._folder = tempfile.TemporaryDirectory()
        self._log = (Path(self._folder.name) / "log.txt").open("w+")
        self._process = subprocess.Popen(
            [PYTHON, WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )

    def __enter__(self) -> Convpaint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, image: np.ndarray, strokes: np.ndarray, other: np.ndarray, variant: str = "default") -> Outcome:
        """Learn from ``strokes`` (0 = not painted) on ``image``; label ``image`` and ``other``."""
        source, target = (Path(self._folder.name) / name for name in ("in.npz", "out.npz"))
        np.savez(source, image=image, strokes=strokes, other=other)
        self._ask(f"{variant}\t{source}\t{target}\n")
        with np.load(target) as found:
            return Outcome(
                found["same"], found["other"], float(found["seconds_train"]), float(found["seconds_predict"])
            )

    def _ask(self, line: str) -> None:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise PeerMissing("The convpaint process was started without pipes.")
        process.stdin.write(line)
        process.stdin.flush()
        if process.stdout.readline() != "done\n":
            self._log.seek(0)
            raise RuntimeError(f"convpaint ended with:\n{self._log.read()[-2000:]}")

    def close(self) -> None:
        """End the process and remove its files."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(timeout=30)
        if self._process.stdout:
            self._process.stdout.close()
        self._log.close()
        self._folder.cleanup()
