"""`medseg session`: look at the annotations that a session keeps, check and repair them, and write them to a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from napari_medseg import io
from napari_medseg.cli import _console
from napari_medseg.cli._parser import file_path
from napari_medseg.core import annotation, layer_repair
from napari_medseg.core.errors import BrokenTile, InputError, MedsegError, NewerTile, SessionError
from napari_medseg.core.events import Note, Progress
from napari_medseg.core.image import Image
from napari_medseg.core.session import ANNOTATION, Session

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    sentences = {
        "info": "show image, layers, people and disk cost; nothing is changed",
        "check": "read all of it and list what is wrong; nothing is changed",
        "repair": "repair what check lists; the damaged file is kept beside",
        "export": "write a layer to a file, of any size; nothing in the session is changed",
    }
    for action, sentence in sentences.items():
        command = actions.add_parser(
            action, help=sentence, description=f"{sentence[0].upper()}{sentence[1:]}.", allow_abbrev=False
        )
        command.add_argument("folder", metavar="FOLDER", type=file_path, help="folder of the session, NAME.medseg")
        if action == "export":
            _configure_export(command)


def _configure_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=file_path,
        required=True,
        help=f"labels to write: {io.LARGE_FORMATS} at any size, with all levels; {io.SMALL_FORMATS} if small",
    )
    parser.add_argument(
        "--layer",
        metavar="NAME",
        help="which of several layers, by its name here or in napari; info lists them (default: the accepted "
        "annotation, or else the strokes)",
    )
    parser.add_argument("--replace", action="store_true", help="replace FILE where it is there already")
    _console.add_option(parser)


def run(args: argparse.Namespace) -> str:
    """Do one of the four."""
    return {"info": _info, "check": _check, "repair": _repair, "export": _export}[args.action](args)


def _info(args: argparse.Namespace) -> str:
    with Session.open(args.folder, writable=False) as session:
        rows = list(_facts(session))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


def _facts(session: Session) -> Iterator[tuple[str, str]]:
    """What there is to say of a session, a line each; further lines on the same thing have no name."""
    info, found = session.info(), session.find_image()
    yield "session", str(session.folder)
    yield "created", info.created
    yield "image", "none" if found is None else str(found.path or "missing")
    if found is not None and found.sentence:
        yield "", found.sentence
    yield from _named("layers", [_layer_line(session, name, info.tiles.get(name, 0)) for name in _layers(session)])
    yield "actions", f"{info.actions}{_newest(session)}"
    yield from _named("people", [f"{who or 'unknown'}: {count} actions" for who, count in info.people.items()])
    yield "documents", ", ".join(info.docs) or "none"
    yield "on disk", size_text(info.disk_bytes)
    yield "  annotations", size_text(info.present_bytes)
    yield "  history", f"{size_text(info.history_bytes)}, which compaction gives back"
    yield "  models", size_text(info.models_bytes)
    yield "  predictions", f"{size_text(info.predictions_bytes)}, which can be made again"
    for sentence in session.recovered:
        yield "note", sentence


def _named(name: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    yield name, lines[0] if lines else "none"
    yield from (("", line) for line in lines[1:])


def _layers(session: Session) -> list[str]:
    """Layers that are described, then those of which there are tiles alone."""
    return list(dict.fromkeys([*annotation.layer_names(session), *session.info().tiles]))


def _layer_line(session: Session, name: str, tiles: int) -> str:
    try:
        layer = annotation.open_layer(session, name)
    except MedsegError as error:
        return f"{name}: {_count(tiles, 'tile')}; {error}"
    classes = ", ".join(f"{row.label} {row.name}" for row in annotation.classes_of(session, name))
    image = layer.image
    axes = " x ".join(f"{size:,} {axis}" for size, axis in zip(image.shape(), image.axes, strict=True))
    facts = [
        f"{axes} pixels",
        str(image.dtype),
        _pixel_size(image),
        _count(tiles, "tile"),
        classes and f"classes {classes}",
    ]
    title = annotation.titles(session)[name]
    called = name if title == name else f"{name} ({title!r} in napari)"
    return f"{called}: {', '.join(filter(None, facts))}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _pixel_size(image: Image) -> str:
    """Pixel size along each axis with its unit; empty where nobody has given one."""
    units = image.geometry.units
    if set(units) == {"pixel"}:
        return ""
    return " x ".join(f"{size:g} {unit}" for size, unit in zip(image.geometry.scale, units, strict=True))


def _newest(session: Session) -> str:
    newest = session.history(limit=1)
    if not newest:
        return ""
    action = newest[0].action
    return f"; the newest is {action.name!r} by {action.who or 'unknown'} at {action.time_utc}"


def size_text(size: float) -> str:
    """A number of bytes with a unit that keeps it short."""
    unit = 0
    while size >= 1000 and unit + 1 < len(_UNITS):
        size, unit = size / 1000, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} {_UNITS[0]}"


def _check(args: argparse.Namespace) -> str:
    with Session.open(args.folder, writable=False) as session:
        problems = [problem.sentence for problem in session.check()]
        for name in annotation.layer_names(session):
            problems += _layer_problems(session, name)
    if not problems:
        return f"{args.folder}: no problems."
    sys.stdout.write("".join(f"{problem}\n" for problem in problems))
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise SessionError(f"{count} in {args.folder}. Say medseg session repair {args.folder}")


def _layer_problems(session: Session, name: str) -> Iterator[str]:
    try:
        yield from layer_repair.problems(session, annotation.open_layer(session, name))
    except (InputError, SessionError, BrokenTile, NewerTile) as error:
        yield f"Layer {name}: {error}"


def _repair(args: argparse.Namespace) -> str:
    with Session.open(args.folder) as session:
        if session.read_only:
            raise SessionError(f"Nothing was repaired. {session.read_only}")
        session.repair()
        said = list(session.recovered)
        for name in annotation.layer_names(session):
            said += layer_repair.open_mended(session, name).notes
    return "\n".join(said) or f"{args.folder}: there was nothing to repair."


def _export(args: argparse.Namespace) -> str:
    io.check_writable(args.out)
    if args.out.exists() and not args.replace:
        raise InputError(f"{args.out} is there already; add --replace, or choose another name.")
    if args.folder.resolve() in (args.out.resolve(), *args.out.resolve().parents):
        raise InputError(f"{args.out} lies in the session itself; choose a place outside {args.folder}.")
    with Session.open(args.folder, writable=False) as session:
        titles = annotation.titles(session)
        layer = layer_repair.open_mended(session, _named_layer(args.layer, titles) or _default_layer(titles))
        labels = replace(layer.image, classes=annotation.classes_of(session, layer.name))
        io.check_writable(args.out, labels)
        with _console.Console(quiet=args.quiet) as console:
            for sentence in (*session.recovered, *layer.notes):
                console.show(Note(sentence, "warning"))
            io.write_labels(args.out, _watched(labels, console))
    others = ", ".join(repr(title) for name, title in titles.items() if name != layer.name)
    return f"Written: {args.out}, layer {titles[layer.name]!r}" + (f"; --layer takes {others} too" if others else "")


def _named_layer(given: str | None, titles: Mapping[str, str]) -> str | None:
    """A layer by its name or by what napari calls it."""
    return given if given in titles else next((name for name, title in titles.items() if title == given), given)


def _default_layer(titles: Mapping[str, str]) -> str:
    """What is finished before the strokes that it was made from; the only layer there is whatever its name."""
    if len(titles) == 1:
        return next(iter(titles))
    return annotation.ACCEPTED if annotation.ACCEPTED in titles else ANNOTATION


def _watched(labels: Image, console: _console.Console) -> Image:
    """The same labels; how far they have been read is shown."""
    total, done = sum(level.size for level in labels.levels), 0

    def tell(pixels: int) -> None:
        nonlocal done
        done += pixels
        console.show(Progress(done, total, "Writing"))

    return replace(labels, levels=tuple(_Watched(level, tell) for level in labels.levels))


class _Watched:
    """A level that tells how many pixels are read of it."""

    def __init__(self, level: Any, tell: Callable[[int], None]) -> None:
        self.shape, self.dtype = level.shape, level.dtype
        self._level, self._tell = level, tell

    def __getitem__(self, key: Any) -> np.ndarray:
        block = np.asarray(self._level[key])
        self._tell(block.size)
        return block
