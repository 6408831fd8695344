"""`medseg demo`: the viewer with a sample, in a process of its own.

The command line does not import the viewer: the demo may have to start itself again under a virtual screen.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from napari_medseg.cli._parser import file_path
from napari_medseg.core.errors import MedsegError

SAID = 2
"""The code of a demo that has said itself, in one line, why it could not go on."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--play", action="store_true", help="play the loop by itself, as is done where there is no screen"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=20.0, metavar="S", help="training time when it plays by itself (20)"
    )
    parser.add_argument(
        "--out", type=file_path, default=Path("demo-output"), help="folder of what it writes then (demo-output)"
    )


def _seconds(text: str) -> float:
    """Read a time; the panel takes 1 s to a day."""
    with suppress(ValueError):
        if 1 <= float(text) <= 86400:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no training time; give 1 to 86400 seconds")


def run(args: argparse.Namespace) -> str:
    """Start the demo and wait for its end."""
    command = [sys.executable, "-m", "napari_medseg.widgets.demo", "--seconds", str(args.seconds)]
    command += ["--out", str(args.out), *(["--play"] if args.play else [])]
    code = subprocess.run(command).returncode
    if code == SAID:
        raise SystemExit(code)
    if code:
        raise MedsegError(f"The demo ended with code {code}; the lines above say why.")
    return ""
