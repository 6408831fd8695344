"""The system libraries that Qt and OpenGL need on Linux: find what is missing, install it where we may."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

LIBRARIES = {
    "libdbus-1-3": "libdbus-1.so.3",
    "libegl1": "libEGL.so.1",
    "libfontconfig1": "libfontconfig.so.1",
    "libgl1": "libGL.so.1",
    "libglib2.0-0": "libgthread-2.0.so.0",
    "libglx-mesa0": "libGLX_mesa.so.0",
    "libopengl0": "libOpenGL.so.0",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-image0": "libxcb-image.so.0",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-randr0": "libxcb-randr.so.0",
    "libxcb-render-util0": "libxcb-render-util.so.0",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxcb-xfixes0": "libxcb-xfixes.so.0",
    "libxcb-xinerama0": "libxcb-xinerama.so.0",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
}
"""Debian package: the file it brings, which tells on any Linux whether it is there."""

PROGRAMS = {"xauth": "xauth", "xvfb": "Xvfb"}
"""Debian package: program. The tests, and the demo where there is no screen, run in Xvfb."""

DRIVERS = {"libgl1-mesa-dri": "*/dri/swrast_dri.so"}
"""Debian package: a file under the library folders."""


def provide() -> None:
    """Install what is missing where that is allowed; else say in one line which packages to install."""
    if not sys.platform.startswith("linux"):
        return
    if packages := missing():
        install(packages)
    if packages := missing():
        print(f"Missing system libraries: as root, apt-get install {' '.join(packages)}", flush=True)


def missing() -> list[str]:
    """Debian packages of which nothing can be found here."""
    found = {package: _loads(file) for package, file in LIBRARIES.items()}
    found |= {package: shutil.which(program) is not None for package, program in PROGRAMS.items()}
    found |= {package: _driver(pattern) for package, pattern in DRIVERS.items()}
    return sorted(package for package, there in found.items() if not there)


def install(packages: list[str]) -> None:
    """Install Debian packages as root or through sudo without a password; do nothing where neither works.

    A package mirror that does not answer is no error here: the caller looks again at what is missing.
    """
    root = _root()
    if root is None or shutil.which("apt-get") is None:
        return
    print(f"Installing {' '.join(packages)} ...", flush=True)
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60"]
    apt += ["-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run([*apt, "update"], **quiet)
    subprocess.run([*apt, "install", "-y", "--no-install-recommends", *packages], **quiet)


def _root() -> list[str] | None:
    """The prefix that makes a command run as root; None where that is not allowed."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    allowed = subprocess.run(["sudo", "-n", "true"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return ["sudo", "-n"] if allowed.returncode == 0 else None


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _driver(pattern: str) -> bool:
    folders = [Path("/usr/lib"), Path("/usr/lib64").resolve()]
    found = any(path for folder in folders if folder.is_dir() for path in folder.glob(pattern))
    return found or any(path for path in Path("/usr/lib").glob("*/libgallium*.so"))


if __name__ == "__main__":
    print("\n".join(missing()))
