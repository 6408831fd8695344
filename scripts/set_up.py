"""Make .venv and everything in it, or leave it alone where it is up to date.

Runs on the bare system Python, so it uses the standard library only. Every step is skipped where its
outcome is already there: a second call takes a fraction of a second and needs no network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / ".set-up-of"
USED = frozenset({"app", "plots", "slides", "medical", "fast"})
"""Extras that a user of the viewer and of the command line needs."""
EVERYTHING = USED | {"openvino", "test", "dev"}
"""With what the tests, the linters and the benchmarks need."""
OLDEST = (3, 11)


def set_up(extras: frozenset[str]) -> None:
    """Do all of it for these extras; the system libraries come first because pip takes longest."""
    from system_libraries import provide

    provide()
    if not to_install(extras):
        return
    _make_venv()
    wanted = to_install(extras)
    _install(wanted)
    STAMP.write_text("\n".join([_basis(), *sorted(wanted)]))


def to_install(extras: frozenset[str]) -> frozenset[str]:
    """What pip has to be told: nothing where all is there, else these extras and those that are there already."""
    lines = STAMP.read_text().splitlines() if STAMP.exists() else []
    there = EVERYTHING.intersection(lines)
    if _basis() in lines and extras <= there:
        return frozenset()
    return extras | there


def right_python(script: str) -> None:
    """Go on in this Python if it is new enough, in a newer one where there is one, else stop."""
    if sys.version_info >= OLDEST:
        return
    for minor in (11, 12, 13, 14):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, script, *sys.argv[1:]])
    sys.exit(
        "This is Python {}.{}, and napari-medseg needs 3.11 or later: install one (Debian 12 and later: "
        "apt-get install python3) or name it: make PYTHON=/path/to/python3.".format(*sys.version_info[:2])
    )


def _basis() -> str:
    """What the environment depends on, apart from the extras; a change in any of it installs again."""
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    parts += [str(ROOT).encode(), sys.version.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _make_venv() -> None:
    if PYTHON.exists() and _works(PYTHON):
        return
    if importlib.util.find_spec("ensurepip") is None:
        _provide_ensurepip()
    print(f"Making the virtual environment {VENV.name} ...", flush=True)
    failed = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)]).returncode
    if failed:
        sys.exit(f"The virtual environment {VENV} could not be made; the lines above say why.")


def _provide_ensurepip() -> None:
    from system_libraries import install

    package = f"python3.{sys.version_info.minor}-venv"
    install([package])
    if subprocess.run([sys.executable, "-c", "import ensurepip"], stderr=subprocess.DEVNULL).returncode:
        sys.exit(f"This Python cannot make virtual environments. On Debian: apt-get install {package}")


def _works(python: Path) -> bool:
    same = f"import sys, pip; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
    return subprocess.run([str(python), "-c", same], stderr=subprocess.DEVNULL).returncode == 0


def _install(extras: frozenset[str]) -> None:
    print("Installing napari-medseg and what it needs (several minutes; 1.5 to 3 GB on disk) ...", flush=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    if silently([*pip, "-c", "constraints.txt", "-e", f".[{','.join(sorted(extras))}]"]):
        sys.exit("pip could not install everything; its lines above say why. Run the same command again to go on.")


def silently(command: list[str]) -> int:
    """Run a command and show what it wrote only if it fails; the warnings of a success tell a user nothing."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        sys.stdout.buffer.write(done.stdout)
        sys.stdout.flush()
    return done.returncode


if __name__ == "__main__":
    right_python(__file__)
    set_up(EVERYTHING)
