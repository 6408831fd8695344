"""`medseg apply`: segment images with a model that is there already."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from napari_medseg import io
from napari_medseg.cli import _params
from napari_medseg.cli._segment import check_outputs, segment
from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.job import Job
from napari_medseg.tools.apply import ROLES, Params

RESULT = "-labels.tif"
"""How the results of several images end; such files in a folder are not taken for images."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "images", metavar="IMAGE", type=Path, nargs="+", help=f"{ROLES['image']} Several, or a folder, are fine too."
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=Path,
        required=True,
        help="labels to write: .tif, .ome.zarr, .png or .nii.gz; a folder where there are several images",
    )
    _params.add_options(parser, Params)


def run(args: argparse.Namespace) -> str:
    """Segment each image; the model is loaded once."""
    params = _params.from_options(Params, args)
    targets = _targets(args.images, args.out)
    for source, target in targets.items():
        check_outputs({"prediction": target}, [source])
    lines, failures, memory = [], [], {}
    for source, target in targets.items():
        try:
            job = Job(images={"image": io.open_image(source)}, params=params)
            lines += [segment("apply", job, {"prediction": target}, memory).summary, f"Written: {target}"]
        except InputError as error:
            if len(targets) == 1:
                raise
            failures.append(f"{source.name}: {error}")
    if failures:
        done = f"{len(targets) - len(failures)} of {len(targets)} images were segmented into {args.out}"
        raise InputError(f"{done}; left out: {' '.join(failures)}")
    return "\n".join(lines)


def _targets(given: list[Path], out: Path) -> dict[Path, Path]:
    """Which image goes to which file."""
    sources = [path for item in given for path in _expanded(item)]
    if len(sources) == 1 and not _is_folder(given[0]) and not out.is_dir():
        return {sources[0]: out}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"The folder {out} cannot be made: {error.strerror or error}. Choose another.") from error
    targets = {path: out / f"{_stem(path)}{RESULT}" for path in sources}
    if len(set(targets.values())) < len(sources):
        raise InputError("Two of the images have the same name, so that one result would replace the other; run twice.")
    return targets


def _expanded(path: Path) -> list[Path]:
    """A folder becomes the images in it."""
    if not _is_folder(path):
        return [path]
    found = sorted(item for item in path.iterdir() if io.is_readable(item) and not item.name.endswith(RESULT))
    if not found:
        raise InputError(f"There is no image in {path}; expected files such as .tif, .png, .jpg or .ome.zarr.")
    return found


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not io.is_readable(path)


def _stem(path: Path) -> str:
    """The name without .ome.tif, .nii.gz and the like."""
    return re.sub(r"(\.ome|\.nii)?\.\w+$", "", path.name, flags=re.IGNORECASE)
