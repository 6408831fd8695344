"""The command line: `medseg COMMAND ...`.

Each command is a module of this package with ``configure(parser)`` and ``run(args) -> str``; it is imported
only when it is called, so that `medseg --help` stays quick and torch stays out until a network runs.
"""

from __future__ import annotations

import argparse
import io
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from napari_medseg import __version__
from napari_medseg.cli._parser import OneLineParser
from napari_medseg.core.errors import MedsegError

COMMANDS = {
    "demo": "open the viewer with a sample and the Teach panel",
    "scribbles": "Teach: segment an image from a few strokes, and keep the model",
    "apply": "segment other images with a model",
    "models": "list the models, show one or remove one",
    "session": "look at, check, repair or export the annotations that a session keeps",
    "train": "train a model on a folder of images",
}
"""Name of the command (and of its module) and what it does."""

FAILED, STOPPED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; every expected failure is one line on stderr and exit code 2."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _print_any_name()
    _leave_the_words_to_us()
    try:
        parser = _parser(given[0] if given else "")
        if not given:
            parser.print_help()
            return 0
        args = parser.parse_args(given)
        text = import_module(f"{__name__}.{args.command}").run(args)
    except MedsegError as error:
        return _told(str(error), FAILED)
    except OSError as error:
        return _told(_of_the_system(error), FAILED)
    except MemoryError:
        return _told("There is not enough memory for this. Close other programs, or choose a smaller image.", FAILED)
    except KeyboardInterrupt as stop:
        return _told(f"stopped; {str(stop) or 'nothing was written'}.", STOPPED)
    sys.stdout.write(text + "\n" if text else "")
    return 0


def _told(sentence: str, code: int) -> int:
    """Say it in one line, whatever a library or a file name brings along."""
    sys.stderr.write(f"medseg: {' '.join(sentence.split())}\n")
    return code


def _print_any_name() -> None:
    """A file name that the terminal's encoding cannot show is printed in escapes instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _leave_the_words_to_us() -> None:
    """What a library logs on a damaged file would stand beside our own line on it; a log that is set up gets it all."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


def _of_the_system(error: OSError) -> str:
    """A sentence for what only the system can say, such as a lack of rights on the way to a file."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}. Check the path and its rights." if error.filename else f"{reason}."


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser, with the options of the chosen command only."""
    parser = OneLineParser(
        prog="medseg",
        description="Annotate, segment and review medical images.",
        epilog="medseg COMMAND --help explains a command. Not a medical device.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"medseg {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", required=True)
    for name, sentence in COMMANDS.items():
        command = commands.add_parser(name, help=sentence, description=_capital(sentence), allow_abbrev=False)
        if name == chosen:
            import_module(f"{__name__}.{name}").configure(command)
    return parser


def _capital(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:]}."
