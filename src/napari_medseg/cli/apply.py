"""`medseg apply`: segment images with a model that is there already."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_medseg import io
from napari_medseg.cli import _console, _params
from napari_medseg.cli._parser import file_path
from napari_medseg.cli._segment import add_axes, check_outputs, segment, told
from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.job import Job
from napari_medseg.nn import store
from napari_medseg.tools.apply import ROLES, Params

RESULT = "-labels.tif"
"""How the results of several images end; such files in a folder are not taken for images."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "images",
        metavar="IMAGE",
        type=file_path,
        nargs="+",
        help=f"{ROLES['image']} Several, or a folder, are fine too.",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=file_path,
        required=True,
        help=f"labels to write: {io.LABEL_FORMATS}; a folder where there are several images",
    )
    add_axes(parser)
    _console.add_option(parser)
    _params.add_options(parser, Params)


def run(args: argparse.Namespace) -> str:
    """Segment each image and tell of each as it is done."""
    params = _params.from_options(Params, args)
    _check_model(params.model)
    targets = _targets(args.images, args.out)
    with _folder(args.out, needed=args.out not in targets.values()):
        for source, target in targets.items():
            check_outputs({"prediction": target}, [source])
        failures = _segment_all(args, params, targets)
    if failures:
        done = f"{len(targets) - len(failures)} of {len(targets)} images were segmented into {args.out}"
        raise InputError(f"{done}; left out: {' '.join(failures)}")
    return ""


def _segment_all(args: argparse.Namespace, params: Params, targets: dict[Path, Path]) -> list[str]:
    """Write the labels of each image; a sentence for each that does not fit, unless it is the only one."""
    failures, memory = [], {}
    for number, (source, target) in enumerate(targets.items()):
        console = _console.Console(quiet=args.quiet, title=source.name if len(targets) > 1 else "")
        try:
            job = Job(images={"image": io.open_image(source, axes=args.axes)}, params=params)
            result = segment("apply", job, {"prediction": target}, console, memory)
        except InputError as error:
            if len(targets) == 1:
                raise
            failures.append(f"{source.name}: {error}")
        except KeyboardInterrupt as stop:
            done = number - len(failures)
            raise KeyboardInterrupt(f"{done} of {len(targets)} images were segmented" if done else "") from stop
        else:
            sys.stdout.write(f"{told(result)}\nWritten: {target}\n")
            sys.stdout.flush()
    return failures


def _check_model(name: str) -> None:
    """Complain about a model that is not there before anything is made or opened."""
    if name:
        store.find(name)
        return
    known = ", ".join(card.name for card in store.models("segmentation"))
    then = (
        f"Known models: {known}." if known else "There is none yet: make one with medseg scribbles --save-model NAME."
    )
    raise InputError(f"Which model? Add --model NAME. {then}")


def _targets(given: list[Path], out: Path) -> dict[Path, Path]:
    """Which image goes to which file."""
    sources = [path for item in given for path in _expanded(item)]
    if len(sources) == 1 and not _is_folder(given[0]) and not _is_folder(out):
        return {sources[0]: out}
    if io.has_written_suffix(out) and not _is_folder(out):
        what = f"{len(sources)} images" if len(sources) > 1 else "the images of a folder"
        raise InputError(f"--out {out} is one file, but there are {what}. Give a folder.")
    by_target: dict[Path, Path] = {}
    for path in dict.fromkeys(sources):
        other = by_target.setdefault(out / f"{_stem(path)}{RESULT}", path)
        if other is not path:
            raise InputError(f"{other} and {path} have the same name, so that one result would replace the other.")
    return {source: target for target, source in by_target.items()}


@contextmanager
def _folder(out: Path, *, needed: bool) -> Iterator[None]:
    """Make the folder where it is needed; what is empty at the end goes again."""
    made = [path for path in (out, *out.parents) if needed and not path.exists()]
    try:
        if needed:
            out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {out} cannot be made: {error.strerror or error}. Choose another.") from error
    try:
        yield
    finally:
        for path in made:
            with suppress(OSError):
                path.rmdir()


def _expanded(path: Path) -> list[Path]:
    """A folder becomes the images in it, hidden files left out."""
    if not _is_folder(path):
        return [path]
    found = sorted(item for item in path.iterdir() if io.is_readable(item) and not item.name.endswith(RESULT))
    if not (shown := [item for item in found if not item.name.startswith(".")]):
        raise InputError(f"There is no image in {path}; expected files such as .tif, .png, .jpg or .ome.zarr.")
    return shown


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not io.is_readable(path)


def _stem(path: Path) -> str:
    """The name without .ome.tif, .nii.gz and the like."""
    return re.sub(r"(\.ome|\.nii)?\.\w+$", "", path.name, flags=re.IGNORECASE)
