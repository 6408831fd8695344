"""`medseg scribbles`: Teach from files."""

from __future__ import annotations

import argparse
from pathlib import Path

from napari_medseg import io
from napari_medseg.cli import _params
from napari_medseg.cli._segment import check_outputs, segment
from napari_medseg.core.job import Job
from napari_medseg.core.scribbles import laid_on
from napari_medseg.nn import store
from napari_medseg.tools.scribbles import ROLES, Params


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("image", metavar="IMAGE", type=Path, help=ROLES["image"])
    parser.add_argument("scribbles", metavar="SCRIBBLES", type=Path, help=ROLES["scribbles"])
    parser.add_argument("--dense", metavar="FILE", type=Path, help=ROLES["dense?"])
    parser.add_argument(
        "--out", metavar="FILE", type=Path, required=True, help="labels to write: .tif, .ome.zarr, .png or .nii.gz"
    )
    parser.add_argument("--entropy", metavar="FILE", type=Path, help="how unsure the model is, 0 to 1, to write")
    parser.add_argument("--save-model", metavar="NAME", help="keep the model under this name")
    _params.add_options(parser, Params)


def run(args: argparse.Namespace) -> str:
    """Teach, predict and write."""
    params = _params.from_options(Params, args)
    paths = {"image": args.image, "scribbles": args.scribbles, "dense": args.dense}
    given = {role: path for role, path in paths.items() if path}
    outputs = {"prediction": args.out} | ({"entropy": args.entropy} if args.entropy else {})
    check_outputs(outputs, list(given.values()))
    if args.save_model:
        store.check_name(args.save_model)
    image = io.open_image(args.image)
    drawn = {role: laid_on(io.open_image(path, "labels"), image) for role, path in given.items() if role != "image"}
    images = {"image": image, **drawn}
    result = segment("scribbles", Job(images=images, params=params), outputs)
    return "\n".join([result.summary, *(f"Written: {path}" for path in outputs.values()), *_model(args, result.values)])


def _model(args: argparse.Namespace, values: dict) -> list[str]:
    if not args.save_model:
        return []
    card = store.save_as(values["model"], args.save_model)
    return [f"Model {card.name!r} kept in {card.weights.parent}"]
