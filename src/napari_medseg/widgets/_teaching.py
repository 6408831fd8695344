"""What a training run is given: the layers that are chosen, checked, and the form's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari_medseg import tools
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.core.scribbles import check_fit
from napari_medseg.widgets import _layers


def job_of(
    viewer: Any,
    tool: str,
    image: Any,
    scribbles: Any,
    dense: Any,
    values: Mapping[str, Any],
    classes: tuple[SegmentationClass, ...],
    branch: int,
) -> Job:
    """A run of a tool that learns from scribbles; InputError, in the user's words, where something does not fit.

    Parameters
    ----------
    image, scribbles, dense
        The layers that are chosen, or None.
    values
        Of the form.
    branch
        As in `Job`.
    """
    picture, paint = _inputs(image, scribbles)
    params = tools.load(tool).Params.from_user({**values, **_parameters(classes)})
    images = {"image": picture, "scribbles": paint}
    if dense is not None:
        images["dense"] = _layers.patches_of(dense, picture)
    return Job(images, params, _layers.view_of(viewer, scribbles), branch)


def _inputs(image: Any, scribbles: Any) -> tuple[Image, Image]:
    if image is None:
        raise InputError("There is no image. Open an image, then choose it above.")
    if scribbles is None:
        raise InputError("There are no scribbles. Press New and paint a stroke of two classes.")
    if scribbles.multiscale and not _layers.is_pyramid(scribbles):
        raise InputError(
            f"The scribbles {scribbles.name!r} are multiscale, which napari cannot paint. Press New for a plain layer."
        )
    paint = _layers.painted(scribbles)
    fitting = _layers.fitting_level(_layers.image_of(image), paint.shape())
    check_fit(fitting, paint)
    return fitting, paint


def _parameters(classes: tuple[SegmentationClass, ...]) -> dict[str, Any]:
    return {
        "classes": {row.label: row.name for row in classes},
        "colours": {row.label: row.colour for row in classes},
    }
