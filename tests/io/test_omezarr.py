from __future__ import annotations

import json

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.storage import LocalStore, WrapperStore

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Geometry, Image
from napari_medseg.io import omezarr, open_image, write_image, write_labels

RNG = np.random.default_rng(0)


@settings(max_examples=25, deadline=None)
@given(
    axes=st.sampled_from(["yx", "yxc", "cyx", "zyx", "tyx", "tzyx", "czyx", "tczyx", "zyxc"]),
    dtype=st.sampled_from(["uint8", "uint16", "int64", "float32", "float64", "bool", ">u2"]),
    sizes=st.fixed_dictionaries({letter: st.integers(2, 5) for letter in "tzc"}),
    side=st.sampled_from([(1, 1), (17, 5), (30, 40)]),
)
def test_round_trip(tmp_path_factory, axes, dtype, sizes, side):
    path = tmp_path_factory.mktemp("zarr") / "a.ome.zarr"
    shape = tuple((sizes | dict(zip("yx", side, strict=True)))[letter] for letter in axes)
    image = Image.of(RNG.integers(0, 100, shape).astype(dtype), axes, name="sample")
    write_image(path, image)
    back = open_image(path)
    assert (sorted(back.axes), back.name, back.kind) == (sorted(axes), "sample", "raw")
    expected = image.levels[0].transpose([axes.index(letter) for letter in back.axes])
    assert np.array_equal(back.levels[0][...], expected)
    assert back.dtype == np.dtype(dtype).newbyteorder("=")


def test_geometry_round_trip(tmp_path):
    angle = np.array([[0.8, -0.6], [0.6, 0.8]])
    affine = np.array([[1, 0.1, 5], [0, 1, 6], [0, 0, 1.0]])
    geometry = Geometry((0.5, 0.25), ("um", "um"), (3.0, 4.0), rotate=angle, affine=affine)
    write_image(tmp_path / "a.zarr", Image.of(np.zeros((4, 5)), geometry=geometry))
    back = open_image(tmp_path / "a.zarr").geometry
    assert (back.scale, back.units, back.translate) == ((0.5, 0.25), ("um", "um"), (3.0, 4.0))
    assert np.allclose(back.matrix(), geometry.matrix()) and back.shear is None


def test_metadata_is_version_0_5(tmp_path):
    geometry = Geometry((2.0, 0.5, 0.5), ("um",) * 3, (0.0, 10.0, 20.0))
    image = Image.of(np.zeros((2, 3, 1030, 20), np.uint8), "czyx", geometry=geometry, name="cells", kind="labels")
    write_labels(tmp_path / "a.zarr", image)
    ome = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())["attributes"]["ome"]
    assert ome["version"] == "0.5" and "image-label" in ome
    scales = ome["multiscales"][0]
    assert [axis["name"] for axis in scales["axes"]] == list("czyx")
    assert scales["axes"][0] == {"name": "c", "type": "channel"}
    assert scales["axes"][3] == {"name": "x", "type": "space", "unit": "micrometer"}
    assert [item["path"] for item in scales["datasets"]] == ["0", "1"]
    assert scales["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 2.0, 1.0, 1.0]},
        {"type": "translation", "translation": [0.0, 0.0, 10.25, 20.25]},
    ]
    assert open_image(tmp_path / "a.zarr").kind == "labels"


class Counting(WrapperStore):
    """Counts the chunks that are read."""

    chunks = 0

    async def get(self, key, prototype, byte_range=None):
        Counting.chunks += key.split("/")[1:2] == ["c"]
        return await super().get(key, prototype, byte_range)


def test_opening_reads_no_chunk_and_a_region_only_its_own(tmp_path):
    data = RNG.integers(0, 255, (2048, 2048), dtype=np.uint8)
    write_image(tmp_path / "a.zarr", Image.of(data))
    Counting.chunks = 0
    image = omezarr.open_omezarr(Counting(LocalStore(tmp_path / "a.zarr", read_only=True)))
    assert [level.shape for level in image.levels] == [(2048, 2048), (1024, 1024)]
    assert Counting.chunks == 0
    assert np.array_equal(image.read((slice(500, 520), slice(0, 9)))[..., 0], data[500:520, :9])
    assert Counting.chunks == 2


@pytest.mark.parametrize("kind", ["raw", "labels"])
def test_tiles_written_into_level_0_then_the_pyramid(tmp_path, kind):
    shape = (2100, 1500)
    geometry = Geometry.plain(2, (0.5, 0.5), "um")
    levels = omezarr.create_pyramid(tmp_path / "a.zarr", shape, np.uint8, "yx", geometry, kind)
    assert [level.shape for level in levels] == [(2100, 1500), (1050, 750), (525, 375)]
    block = np.full((300, 301), 8, np.uint8)
    levels[0][100:400, 700:1001] = block
    region = (slice(100, 400), slice(700, 1001))
    done = list(omezarr.build_pyramid(levels, "yx", kind, region))
    assert 0 < len(done) < 8
    image = open_image(tmp_path / "a.zarr")
    assert (image.levels[1][50:200, 350:500] == 8).all() and (image.levels[2][25:100, 175:250] == 8).all()
    assert (image.levels[1][:50] == 0).all() and (image.levels[2][:, 252:] == 0).all()
    before = [level[...] for level in levels]
    for _ in omezarr.build_pyramid(levels, "yx", kind):
        pass
    assert all(np.array_equal(level[...], old) for level, old in zip(levels, before, strict=True))


def test_create_refuses_other_orders_of_axes(tmp_path):
    with pytest.raises(InputError, match="order tczyx, not yxc"):
        omezarr.create_pyramid(tmp_path / "a.zarr", (4, 4, 3), np.uint8, "yxc", Geometry.plain(2))


def version_0_4(path, axes, own=None, top=None):
    group = zarr.create_group(store=path, zarr_format=2)
    group.create_array("full", data=np.arange(2 * 3 * 8 * 9, dtype=">u2").reshape(1, 2, 3, 8, 9))
    steps = [{"type": "scale", "scale": [1, 1, 2, 0.5, 0.25]}] if own is None else own
    scales = {"datasets": [{"path": "full", "coordinateTransformations": steps}], "axes": axes}
    group.attrs["multiscales"] = [scales | ({"coordinateTransformations": top} if top else {})]


def test_reads_version_0_4(tmp_path):
    axes = [{"name": letter, "type": "space", "unit": "micrometer"} for letter in "tczyx"]
    own = [{"type": "scale", "scale": [1, 1, 2, 0.5, 0.25]}, {"type": "translation", "translation": [0, 0, 4, 5, 6]}]
    version_0_4(tmp_path / "a.zarr", axes, own, top=[{"type": "scale", "scale": [1, 1, 1, 2, 2]}])
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == "czyx" and image.shape() == (3, 8, 9) and image.name == "a"
    assert image.geometry.scale == (2, 1, 0.5) and image.geometry.translate == (4, 10, 12)
    assert image.pixel_size_um() == (2, 1, 0.5)
    assert image.read().dtype.isnative and image.levels[0][1, 2, 7, 8] == 431


@pytest.mark.parametrize("axes", [None, list("tczyx")])
def test_reads_older_versions(tmp_path, axes):
    version_0_4(tmp_path / "a.zarr", axes)
    assert open_image(tmp_path / "a.zarr").axes == "czyx"


def test_reads_the_image_inside_a_bioformats2raw_group(tmp_path):
    zarr.create_group(store=tmp_path / "a.zarr", attributes={"ome": {"bioformats2raw.layout": 3}})
    omezarr.write_omezarr(tmp_path / "a.zarr" / "0", Image.of(np.eye(4)))
    assert np.array_equal(open_image(tmp_path / "a.zarr").read()[..., 0], np.eye(4))


def test_reads_a_bare_array(tmp_path):
    zarr.create_array(store=tmp_path / "a.zarr", data=np.arange(24).reshape(2, 3, 4))
    image = open_image(tmp_path / "a.zarr")
    assert image.axes == "zyx" and image.levels[0][1, 2, 3] == 23


def test_replaces_an_older_image_but_nothing_else(tmp_path):
    path = tmp_path / "a.zarr"
    for value in (1, 2):
        write_image(path, Image.of(np.full((4, 4), value)))
    assert (open_image(path).read() == 2).all()
    other = tmp_path / "b.zarr"
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(InputError, match=r"exists and is no zarr folder; choose another name"):
        write_image(other, Image.of(np.eye(4)))
    assert (other / "thesis.txt").exists()


def test_groups_that_are_no_image(tmp_path):
    zarr.create_group(store=tmp_path / "a.zarr")
    with pytest.raises(InputError, match="without 'multiscales'; open the image inside it"):
        open_image(tmp_path / "a.zarr")
    version_0_4(tmp_path / "b.zarr", [{"name": letter} for letter in "tcqyx"])
    with pytest.raises(InputError, match="axes t, c, q, y, x; expected 5 of t, c, z, y, x"):
        open_image(tmp_path / "b.zarr")
    write_image(tmp_path / "c.zarr", Image.of(np.eye(4)))
    (tmp_path / "c.zarr" / "zarr.json").write_text("{")
    with pytest.raises(InputError, match="c.zarr is not a whole OME-Zarr image"):
        open_image(tmp_path / "c.zarr")


def test_a_damaged_chunk_is_told_when_it_is_read(tmp_path):
    write_image(tmp_path / "a.zarr", Image.of(RNG.random((9, 9))))
    (chunk,) = (path for path in (tmp_path / "a.zarr" / "0" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(b"no data")
    image = open_image(tmp_path / "a.zarr")
    with pytest.raises(InputError, match="a.zarr is damaged or incomplete"):
        image.read()


@pytest.mark.parametrize(
    "attributes",
    [
        {"ome": {"multiscales": "x"}},
        {"ome": {"multiscales": 3}},
        {"ome": {"multiscales": []}},
        {"ome": {"multiscales": [7]}},
        {"ome": {"multiscales": [{"datasets": []}]}},
        {"ome": {"multiscales": [{"datasets": [{"path": "0"}], "axes": 5}]}},
        {"ome": {"multiscales": [{"datasets": [{"path": "0"}], "axes": [{"nme": "y"}, "x"]}]}},
        {"ome": {"multiscales": [{"datasets": [{"path": "0", "coordinateTransformations": [{"scale": ["a"]}]}]}]}},
    ],
)
def test_attributes_of_another_shape_are_damage(tmp_path, attributes):
    write_image(tmp_path / "a.zarr", Image.of(np.zeros((5, 6), np.uint8)))
    path = tmp_path / "a.zarr" / "zarr.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "attributes": attributes}))
    with pytest.raises(InputError, match="^a.zarr is not a whole OME-Zarr image"):
        open_image(tmp_path / "a.zarr")
