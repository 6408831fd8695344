"""`medseg scribbles`: Teach from files."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_medseg import io
from napari_medseg.cli import _console, _params
from napari_medseg.cli._parser import file_path
from napari_medseg.cli._segment import add_axes, check_outputs, segment, told
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.core.scribbles import HIGHEST_LABEL, check_enough, check_labels, collect, laid_on
from napari_medseg.nn import store
from napari_medseg.tools.scribbles import ROLES, Params
from napari_medseg.tools.scribbles.params import ENCODER, SCRATCH


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("image", metavar="IMAGE", type=file_path, help=ROLES["image"])
    parser.add_argument("scribbles", metavar="SCRIBBLES", type=file_path, help=ROLES["scribbles"])
    parser.add_argument("--dense", metavar="FILE", type=file_path, help=ROLES["dense?"])
    parser.add_argument(
        "--out", metavar="FILE", type=file_path, required=True, help=f"labels to write: {io.LABEL_FORMATS}"
    )
    parser.add_argument(
        "--entropy",
        metavar="FILE",
        type=file_path,
        help=f"how unsure the model is, 0 to 1, to write: {io.VALUE_FORMATS}",
    )
    parser.add_argument("--save-model", metavar="NAME", help="keep the model under this name")
    parser.add_argument("--replace", action="store_true", help="replace your model of that name, if there is one")
    add_axes(parser)
    _console.add_option(parser)
    _params.add_options(parser, Params)


def run(args: argparse.Namespace) -> str:
    """Teach, predict and write."""
    params = _params.from_options(Params, args)
    paths = {"image": args.image, "scribbles": args.scribbles, "dense": args.dense}
    given = {role: path for role, path in paths.items() if path}
    outputs = {"prediction": args.out} | ({"entropy": args.entropy} if args.entropy else {})
    check_outputs(outputs, list(given.values()))
    _check_model(args)
    if params.start not in (SCRATCH, ENCODER):
        store.find(params.start)
    images = _images(given, args.axes)
    _check_classes(params, images["scribbles"])
    params = _with_names(params, images["scribbles"])
    console = _console.Console(quiet=args.quiet)
    result = segment("scribbles", Job(images=images, params=params), outputs, console)
    return "\n".join([told(result), *(f"Written: {path}" for path in outputs.values()), *_model(args, result.values)])


def _images(given: dict[str, Path], axes: str) -> dict[str, Image]:
    """The image, and the labels laid on it."""
    image = io.open_image(given["image"], axes=axes)
    labels = {role: io.open_image(path, "labels") for role, path in given.items() if role != "image"}
    for drawn in labels.values():
        if image.channels > 1 and drawn.shape() == (image.channels, *image.shape()):
            raise InputError(
                f"{given['image'].name} is read as one picture with {image.channels} channels, and {drawn.name} as a "
                f"stack of {image.channels} slices. If the image is a stack too, add --axes zyx."
            )
    return {"image": image, **{role: laid_on(drawn, image) for role, drawn in labels.items()}}


def _check_classes(params: Params, scribbles: Image) -> None:
    """Complain about a colour for no class, or for some of the named classes only."""
    if not params.colours:
        return
    named, coloured = set(params.classes), set(params.colours)
    if named:
        if named != coloured:
            raise InputError(
                f"--classes names {_listed(named)} but --colours has {_listed(coloured)}; give each class a colour."
            )
        return
    check_labels(scribbles)
    points = collect(scribbles)
    check_enough(points, params.classes)
    drawn = set(points.counts())
    if coloured != drawn:
        raise InputError(
            f"--colours has {_listed(coloured)}, but the scribbles hold {_listed(drawn)}; give each class a colour."
        )


def _with_names(params: Params, scribbles: Image) -> Params:
    """Names and colours that the file of strokes brings along, where none are given."""
    rows = [row for row in scribbles.classes if row.label <= HIGHEST_LABEL]
    if params.classes or not rows:
        return params
    colours = params.colours or {row.label: row.colour for row in rows}
    return params.model_copy(update={"classes": {row.label: row.name for row in rows}, "colours": colours})


def _listed(labels: set[int]) -> str:
    return ", ".join(map(str, sorted(labels)))


def _check_model(args: argparse.Namespace) -> None:
    """Complain, ahead of the training, about a name that the model cannot be kept under."""
    if args.save_model is None:
        if args.replace:
            raise InputError("--replace is for a model, but none is kept. Add --save-model NAME.")
        return
    store.check_name(args.save_model)
    if store.own(args.save_model) and not args.replace:
        raise InputError(
            f"You have a model named {args.save_model!r} already. Choose another name, or add --replace to replace it."
        )
    store.check_folder(store.user_folder())


def _model(args: argparse.Namespace, values: dict) -> list[str]:
    if args.save_model is None:
        return []
    card = store.save_as(values["model"], args.save_model, replace=args.replace)
    return [f"Model {card.name!r} kept in {card.weights.parent}"]
