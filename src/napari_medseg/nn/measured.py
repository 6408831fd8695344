"""What was measured of this machine, kept in the user's cache folder so that every run on it decides alike."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import platformdirs


def folder() -> Path:
    """Where measurements are kept; the variable NAPARI_MEDSEG_CACHE names another place."""
    given = os.environ.get("NAPARI_MEDSEG_CACHE")
    return Path(given) if given else Path(platformdirs.user_cache_dir("napari-medseg", appauthor=False))


def once(what: str, machine: Sequence[str], measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The figures kept for ``machine``, or else those that ``measure`` gives now.

    Of several processes that measure at the same time, all take the figures of the first. Where nothing can be kept,
    each process has its own.

    Parameters
    ----------
    what
        Part of the file's name, such as "bf16".
    machine
        All that the figures depend on.
    """
    path = folder() / f"{what}-{hashlib.sha256(json.dumps(list(machine)).encode()).hexdigest()[:16]}.json"
    kept = _kept(path)
    if kept is not None:
        return kept
    figures = measure()
    _keep(path, {"machine": list(machine), "figures": figures})
    return _kept(path) or figures


def processor() -> str:
    """The processor's name as its maker gives it; Python knows it on some systems only."""
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
        if named:
            return named
    return platform.processor() or platform.machine()


def _kept(path: Path) -> dict[str, float] | None:
    """The figures in a file; None where there is none, or nothing that can be used."""
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
        return {str(name): float(value) for name, value in figures.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(path: Path, content: dict[str, object]) -> None:
    """Write the file, whole, unless another process was first; what is damaged is replaced."""
    beside = path.with_name(f".{uuid.uuid4().hex[:8]}-{path.name}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        try:
            # Unlike a rename, a link does not replace what is there.
            os.link(beside, path)
        except OSError:
            if _kept(path) is None:
                beside.replace(path)
    with suppress(OSError):
        beside.unlink()
