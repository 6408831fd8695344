"""Labels of a session written to files: all levels as they are painted, nothing for what is empty, in little memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as pillow

from napari_medseg.core.annotation import create_layer, labels_of
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.core.session import Session
from napari_medseg.io import open_image, write_labels
from napari_medseg.io.pyramid import levels_to_keep

FORMATS = ["a.ome.zarr", "a.tif"]
GEOMETRY = Geometry((0.5, 0.25), ("um", "um"), (0.0, 0.0))


class Slide:
    """A picture of which only the size is known."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.dtype = shape, np.dtype(np.uint8)


Make = Callable[..., Image]


@pytest.fixture
def painted(tmp_path: Path) -> Make:
    """Labels of a size with a few painted parts, some coarse, some in every pixel."""

    def make(shape: tuple[int, ...], axes: str = "yx", dtype: str = "uint16") -> Image:
        rng = np.random.default_rng(0)
        geometry = Geometry.plain(len(shape), (2.0, 0.5, 0.25)[-len(shape) :], "um")
        with Session.create(tmp_path / "slide.medseg") as session:
            pyramid = create_layer(session, Image((Slide(*shape),), axes, geometry), dtype=dtype).pyramid
            last = pyramid.grid.planes - 1
            for label, (y, x, side) in enumerate([(100, 900, 70), (0, 0, 4000), (2300, 1500, 600)], start=1):
                with pyramid.editing() as outcome:
                    level = pyramid.edit_level(side)
                    mask = rng.random((side >> level, side >> level)) < 0.9
                    pyramid.paint(mask, (y >> level, x >> level), level, label * 40, last)
                session.record("Stroke", edit=outcome.edit)
        # A session that is closed reads nothing any more.
        return labels_of(Session.open(tmp_path / "slide.medseg", writable=False))

    return make


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    ("shape", "axes", "dtype"),
    [
        ((5001, 3777), "yx", "uint16"),
        ((2, 3100, 2050), "zyx", "uint8"),
        ((40, 30), "yx", "int32"),
        ((1400, 1500), "yx", "int64"),
    ],
)
def test_every_level_is_as_painted(tmp_path: Path, painted: Make, name: str, shape, axes: str, dtype: str):
    labels = painted(shape, axes, dtype)
    write_labels(tmp_path / name, labels)
    found = open_image(tmp_path / name, kind="labels")
    assert (found.axes, found.kind, found.geometry.units) == (axes, "labels", ("um",) * len(axes))
    assert found.geometry.scale == labels.geometry.scale
    assert found.dtype == ("int32" if dtype == "int64" and name.endswith("tif") else dtype)
    assert len(found.levels) == max(len(labels.levels), 1 if max(shape) <= 1024 else 2)
    for level, painted_level in zip(found.levels, labels.levels):
        expected = np.asarray(painted_level)
        assert expected.any()
        np.testing.assert_array_equal(level[...], expected)


@pytest.mark.parametrize("name", FORMATS)
def test_labels_without_a_stroke(tmp_path: Path, name: str):
    with Session.create(tmp_path / "slide.medseg") as session:
        create_layer(session, Image((Slide(3000, 3100),), "yx", GEOMETRY))
        write_labels(tmp_path / name, labels_of(session))
    found = open_image(tmp_path / name, kind="labels")
    assert [level.shape for level in found.levels] == [(3000, 3100), (1500, 1550), (750, 775)]
    assert not any(level[...].any() for level in found.levels)


def test_what_is_empty_has_no_chunk_in_zarr(tmp_path: Path, painted: Make):
    labels = painted((60_000, 5000))
    write_labels(tmp_path / "a.zarr", labels)
    chunks = {
        path.relative_to(tmp_path / "a.zarr" / "0").parts[1] for path in (tmp_path / "a.zarr" / "0").glob("c/*/*")
    }
    assert {int(row) for row in chunks} == set(range(8))


def test_what_is_empty_is_one_tile_in_tiff_that_plain_readers_understand(tmp_path: Path, painted: Make):
    labels = painted((9000, 3000), dtype="uint8")
    write_labels(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        page = file.pages[0]
        empty = [offset for offset in page.dataoffsets if page.dataoffsets.count(offset) > 1]
        assert len(set(empty)) == 1 and len(empty) > 50
        assert all(page.databytecounts)
        assert page.tags["SubIFDs"].count == len(labels.levels) - 1
    with pillow.open(tmp_path / "a.tif") as picture:
        np.testing.assert_array_equal(np.array(picture), np.asarray(labels.levels[0]))


@pytest.mark.parametrize("name", FORMATS)
def test_memory_does_not_grow_with_the_image(tmp_path: Path, painted: Make, name: str):
    labels = painted((24_000, 20_000))
    tracemalloc.start()
    try:
        write_labels(tmp_path / name, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The labels take 960 MB.
    assert peak < 100e6


def test_classes_go_along(tmp_path: Path):
    rows = (SegmentationClass(1, "tumour", "#ff8000"), SegmentationClass(7, "Gefäß", "#000102"))
    image = Image.of(np.ones((5, 6), np.uint8), kind="labels", classes=rows, geometry=GEOMETRY)
    write_labels(tmp_path / "a.zarr", image)
    ome = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["image-label"]["colors"][0] == {"label-value": 1, "rgba": [255, 128, 0, 255]}
    assert ome["image-label"]["properties"][1] == {"label-value": 7, "class": "Gefäß"}
    assert open_image(tmp_path / "a.zarr").classes == rows
    write_labels(tmp_path / "a.tif", image)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        described = file.ome_metadata
    assert described is not None and '<M K="1">tumour #ff8000</M>' in described and "Gefäß" in described
    again = open_image(tmp_path / "a.tif")
    assert (again.classes, again.kind) == (rows, "labels")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr"])
def test_class_names_of_any_kind_come_back(tmp_path: Path, name: str):
    names = ["two words", 'a & <b> "quoted"', "with #ff0000 in it", "腫瘍", "x=1,y=2", "trailing #"]
    rows = tuple(SegmentationClass(label, text, f"#0000{label:02x}") for label, text in enumerate(names, start=1))
    write_labels(tmp_path / name, Image.of(np.ones((5, 6), np.uint8), kind="labels", classes=rows))
    assert open_image(tmp_path / name).classes == rows


def test_what_xml_cannot_hold_costs_neither_the_classes_nor_the_pixel_size(tmp_path: Path):
    rows = (SegmentationClass(1, "be\x07ll", "#ff8000"),)
    image = Image.of(np.ones((5, 6), np.uint8), kind="labels", name="a\x01b", classes=rows, geometry=GEOMETRY)
    write_labels(tmp_path / "a.tif", image)
    again = open_image(tmp_path / "a.tif")
    assert again.classes == (SegmentationClass(1, "be?ll", "#ff8000"),)
    assert again.geometry.scale == GEOMETRY.scale


def test_annotations_of_others_are_no_classes(tmp_path: Path):
    annotations = [
        {"1": "a patient"},
        {"Namespace": "napari-medseg/classes", "Value": {"0": "ground", "x": "y", "-1": "below", "2": "#010203"}},
    ]
    tifffile.imwrite(tmp_path / "a.ome.tif", np.ones((5, 6), np.uint8), metadata={"MapAnnotation": annotations})
    assert open_image(tmp_path / "a.ome.tif").classes == (SegmentationClass(2, "class 2", "#010203"),)
    tifffile.imwrite(tmp_path / "b.ome.tif", np.ones((5, 6), np.uint8), metadata={"MapAnnotation": annotations[:1]})
    other = open_image(tmp_path / "b.ome.tif")
    assert (other.classes, other.kind) == ((), "raw")


@pytest.mark.parametrize("name", ["a.tif", "a.ome.zarr", "a.png", "a.nii.gz"])
def test_equal_labels_make_equal_files(tmp_path: Path, name: str):
    """Two writers, each with a time, a process and a random seed of its own."""
    code = (
        "import sys, numpy as np\n"
        "from napari_medseg.core.image import Image\n"
        "from napari_medseg.core.classes import SegmentationClass\n"
        "from napari_medseg.io import write_labels\n"
        "labels = np.zeros((700, 900), np.uint8)\nlabels[50:90, 600:] = int(sys.argv[2])\n"
        "rows = (SegmentationClass(1, 'tumour', '#ff0000'),)\n"
        "write_labels(sys.argv[1], Image.of(labels, kind='labels', classes=rows))\n"
    )
    contents = []
    for folder, label in (("one", "1"), ("two", "1"), ("three", "2")):
        (tmp_path / folder).mkdir()
        target = tmp_path / folder / name
        subprocess.run([sys.executable, "-c", code, str(target), label], check=True)
        if name.endswith(".gz"):
            time.sleep(1.1)  # its header counts seconds
        paths = sorted(path for path in (target, *target.rglob("*")) if path.is_file())
        contents.append({str(path.relative_to(tmp_path / folder)): path.read_bytes() for path in paths})
    assert contents[0] == contents[1]
    assert contents[1] != contents[2]


def test_other_labels_make_another_uuid(tmp_path: Path):
    found = set()
    for label in (1, 2):
        write_labels(tmp_path / "a.tif", Image.of(np.full((5, 6), label, np.uint8), kind="labels"))
        with tifffile.TiffFile(tmp_path / "a.tif") as file:
            found |= set(re.findall('UUID="urn:uuid:([0-9a-f-]{36})"', file.ome_metadata or ""))
    assert len(found) == 2
    assert not any(value.startswith("00000000") for value in found)


@pytest.mark.parametrize(
    "row",
    [
        {"label-value": 1.5, "class": "a"},
        {"label-value": 0, "rgba": [0, 0, 0, 0]},
        {"label-value": 1, "rgba": [300, 0, 0, 255]},
        {"label-value": 1, "rgba": "red"},
        "red",
    ],
)
def test_colours_of_others_that_are_not_understood_do_no_harm(tmp_path: Path, row):
    write_labels(tmp_path / "a.zarr", Image.of(np.ones((5, 6), np.uint8), kind="labels"))
    path = tmp_path / "a.zarr" / "zarr.json"
    content = json.loads(path.read_text())
    content["attributes"]["ome"]["image-label"]["colors"] = [row, {"label-value": 3, "rgba": [1, 2, 3, 255]}]
    path.write_text(json.dumps(content))
    image = open_image(tmp_path / "a.zarr")
    assert image.kind == "labels" and image.classes[-1] == SegmentationClass(3, "class 3", "#010203")


def test_a_label_that_a_tiff_cannot_hold_leaves_no_file(tmp_path: Path):
    with Session.create(tmp_path / "slide.medseg") as session:
        pyramid = create_layer(session, Image((Slide(2000, 2000),), "yx", GEOMETRY), dtype="int64").pyramid
        with pyramid.editing() as outcome:
            pyramid.paint(np.ones((9, 9), bool), (1500, 1500), 0, 1 << 40)
        session.record("Stroke", edit=outcome.edit)
        with pytest.raises(InputError, match="save as OME-Zarr"):
            write_labels(tmp_path / "a.tif", labels_of(session))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slide.medseg"]


@pytest.mark.parametrize(
    ("shapes", "kind", "count"),
    [
        ([(3000, 2001), (1500, 1001)], "labels", 2),
        ([(3000, 2001), (1500, 1001)], "raw", 1),
        ([(3000, 2001), (1500, 1000)], "labels", 1),
        ([(9000, 9000), (4500, 4500)], "labels", 1),
        ([(3000, 2000), (1000, 667)], "labels", 1),
        ([(300, 200)], "labels", 1),
    ],
)
def test_only_labels_that_halve_exactly_keep_their_levels(shapes, kind, count: int):
    image = Image(tuple(Slide(*shape) for shape in shapes), "yx", GEOMETRY, kind)
    assert len(levels_to_keep(image)) == count
