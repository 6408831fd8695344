"""`medseg demo`: the viewer with a sample, in a process of its own.

The command line does not import the viewer: the demo may have to start itself again under a virtual screen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from napari_medseg.core.errors import MedsegError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--play", action="store_true", help="play the loop by itself, as is done where there is no screen"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="training time when it plays by itself (20)")
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder of what it writes then (demo-output)"
    )


def run(args: argparse.Namespace) -> str:
    """Start the demo and wait for its end."""
    command = [sys.executable, "-m", "napari_medseg.widgets.demo", "--seconds", str(args.seconds)]
    command += ["--out", str(args.out), *(["--play"] if args.play else [])]
    code = subprocess.run(command).returncode
    if code:
        raise MedsegError(f"The demo ended with code {code}; the lines above say why.")
    return ""
