from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image as ImageLayer
from napari.layers import Labels as LabelsLayer

from napari_medseg.core.errors import InputError
from napari_medseg.core.scribbles import check_fit
from napari_medseg.widgets import _layers
from napari_medseg.widgets._compat import camera_of
from napari_medseg.widgets._layers import (
    RESULT_KEY,
    LayerChooser,
    empty_scribbles,
    fitting_level,
    image_of,
    is_image,
    is_paint,
    layer_arguments,
    patches_of,
    view_of,
)

GEOMETRIES = [
    {},
    {"scale": (0.5, 0.25), "translate": (3, -4), "units": ("um", "um")},
    {"rotate": 30, "scale": (2, 3), "units": ("mm", "mm")},
    {"shear": [0.4], "scale": (2, 3), "translate": (1, 1)},
    {"scale": (-1, 2)},
    {"affine": np.array([[0, 1, 5], [-1, 0, 2], [0, 0, 1]]), "scale": (2, 2)},
    {"axis_labels": ("y", "x"), "rotate": 10, "shear": [0.1]},
]


def world_of(layer) -> np.ndarray:
    return np.array([layer.data_to_world(point) for point in [(0, 0), (10, 0), (0, 10), (7, 3)]])


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_result_lies_where_its_image_lies(geometry) -> None:
    source = ImageLayer(np.zeros((20, 30)), **geometry)
    image = image_of(source)
    copy = LabelsLayer(np.zeros(image.shape(), np.uint8), **layer_arguments(image, source))
    np.testing.assert_allclose(world_of(copy), world_of(source), atol=1e-9)
    assert copy.units == source.units
    assert copy.axis_labels == source.axis_labels


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_matrix_of_the_image_is_that_of_the_layer(geometry) -> None:
    layer = ImageLayer(np.zeros((20, 30)), **geometry)
    at = image_of(layer).geometry.matrix() @ (7, 3, 1)
    np.testing.assert_allclose(at[:2], layer.data_to_world((7, 3)), atol=1e-9)


def test_results_keep_unit_rendering_on() -> None:
    viewer = ViewerModel()
    source = viewer.add_image(np.zeros((20, 30)), units="um", scale=(0.5, 0.5))
    data, arguments = empty_scribbles(source)
    viewer.add_labels(data, **arguments)
    assert viewer.layers.extent.units is not None
    assert {str(unit) for unit in viewer.layers.extent.units} == {"micrometer"}


@pytest.mark.parametrize(
    ("data", "arguments", "axes", "shape", "channels"),
    [
        (np.zeros((8, 9, 3), np.uint8), {"rgb": True}, "yxc", (8, 9), 3),
        (np.zeros((4, 8, 9, 4), np.uint8), {"rgb": True}, "zyxc", (4, 8, 9), 4),
        (np.zeros((4, 8, 9)), {"rgb": False}, "zyx", (4, 8, 9), 1),
        (np.zeros((4, 8, 9)), {"rgb": False, "axis_labels": ("c", "y", "x"), "scale": (1, 2, 3)}, "cyx", (8, 9), 4),
        (np.zeros((2, 4, 8, 9)), {}, "tzyx", (2, 4, 8, 9), 1),
    ],
)
def test_axes_are_guessed_from_the_layer(data, arguments, axes, shape, channels) -> None:
    image = image_of(ImageLayer(data, **arguments))
    assert (image.axes, image.shape(), image.channels) == (axes, shape, channels)
    assert len(image.geometry.scale) == len(shape)


def test_the_geometry_of_a_channel_axis_is_left_out() -> None:
    layer = ImageLayer(np.zeros((4, 8, 9)), axis_labels=("c", "y", "x"), scale=(1, 2, 3), translate=(9, 5, 6))
    image = image_of(layer)
    assert image.geometry.scale == (2, 3)
    assert image.geometry.translate == (5, 6)
    assert layer_arguments(image, layer)["axis_labels"] == ("y", "x")


def test_too_many_axes_are_refused() -> None:
    with pytest.raises(InputError, match="5 axes"):
        image_of(ImageLayer(np.zeros((1, 2, 3, 8, 9))))


def test_a_lazy_array_is_not_read() -> None:
    def fail(_block: np.ndarray) -> np.ndarray:
        raise AssertionError("read")

    lazy = da.zeros((64, 64), chunks=32).map_blocks(fail, dtype=float)
    source = ImageLayer(lazy, contrast_limits=(0, 1), visible=False)
    assert image_of(source).levels[0] is source.data


def test_scribbles_on_a_pyramid_take_the_finest_level_that_can_be_painted() -> None:
    levels = [da.zeros((n, n), chunks=1024, dtype=np.uint8) for n in (32768, 16384, 8192, 4096)]
    layer = ImageLayer(levels, multiscale=True, contrast_limits=(0, 255), scale=(0.25, 0.25), units="um", visible=False)
    data, arguments = empty_scribbles(layer)
    assert (data.shape, data.dtype) == ((8192, 8192), np.uint8)
    assert arguments["scale"] == (1, 1)
    assert arguments["translate"] == (0.375, 0.375)
    scribbles = image_of(LabelsLayer(data, **arguments))
    check_fit(fitting_level(image_of(layer), scribbles.shape()), scribbles)


def test_scribbles_on_a_large_plain_image_have_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ImageLayer(da.zeros((9000, 9000), chunks=1000, dtype=np.uint8), contrast_limits=(0, 1), visible=False)
    assert empty_scribbles(layer)[0].shape == (9000, 9000)


class TestChooser:
    @pytest.fixture
    def viewer(self) -> ViewerModel:
        return ViewerModel()

    @pytest.fixture
    def chooser(self, qtbot, viewer: ViewerModel) -> LayerChooser:
        chooser = LayerChooser(viewer.layers, is_image, "open an image")
        qtbot.addWidget(chooser)
        return chooser

    def test_it_says_what_to_do_where_there_is_nothing(self, chooser: LayerChooser) -> None:
        assert chooser.value() is None
        assert chooser.currentText() == "open an image"

    def test_it_takes_the_first_that_fits_and_stays_there(self, chooser: LayerChooser, viewer: ViewerModel) -> None:
        viewer.add_labels(np.zeros((4, 4), int))
        first = viewer.add_image(np.zeros((4, 4)))
        viewer.add_image(np.zeros((4, 4)))
        assert chooser.value() is first
        assert chooser.count() == 2

    def test_it_follows_names_order_and_removal(self, chooser: LayerChooser, viewer: ViewerModel, qtbot) -> None:
        first, second = (viewer.add_image(np.zeros((4, 4)), name=name) for name in "ab")
        first.name = "renamed"
        assert chooser.currentText() == "renamed"
        viewer.layers.move(0, 2)
        assert chooser.value() is first
        with qtbot.waitSignal(chooser.valueChanged) as told:
            viewer.layers.remove(first)
        assert told.args == [second]
        viewer.layers.clear()
        assert chooser.value() is None

    def test_our_results_are_not_offered(self, chooser: LayerChooser, viewer: ViewerModel) -> None:
        viewer.add_image(np.zeros((4, 4)), metadata={RESULT_KEY: {"role": "entropy"}})
        assert chooser.value() is None

    def test_an_optional_one_chooses_nothing_by_itself(self, qtbot, viewer: ViewerModel) -> None:
        chooser = LayerChooser(viewer.layers, is_paint, "none", optional=True)
        qtbot.addWidget(chooser)
        labels = viewer.add_labels(np.zeros((4, 4), int))
        assert chooser.value() is None
        chooser.setValue(labels)
        assert chooser.value() is labels
        chooser.setValue(None)
        assert chooser.value() is None

    def test_it_can_let_go(self, chooser: LayerChooser, viewer: ViewerModel) -> None:
        chooser.disconnect_layers()
        viewer.add_image(np.zeros((4, 4)))
        assert chooser.value() is None


class TestPatches:
    def test_rectangles_are_filled_on_the_pixels_of_the_image(self) -> None:
        source = ImageLayer(np.zeros((20, 30)), scale=(2, 2), translate=(10, 10))
        viewer = ViewerModel()
        viewer.layers.append(source)
        corners = np.array([[5, 10], [5, 14], [9, 14], [9, 10]]) * 2 + 10
        shapes = viewer.add_shapes([corners], shape_type="rectangle")
        filled = patches_of(shapes, image_of(source)).read()[..., 0]
        assert filled.shape == (20, 30)
        rows, columns = np.nonzero(filled)
        assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 9, 10, 14)

    @pytest.mark.parametrize("kind", ["rectangle", "ellipse", "polygon"])
    def test_shapes_are_filled_as_napari_fills_them(self, kind: str) -> None:
        source = ImageLayer(np.zeros((60, 80)))
        corners = np.array([[10.3, 20.2], [10.3, 60.7], [50.6, 60.7], [50.6, 20.2]])
        shapes = ViewerModel().add_shapes([corners], shape_type=kind)
        ours = patches_of(shapes, image_of(source)).read()[..., 0]
        napari = shapes.to_labels((60, 80)) > 0
        assert np.count_nonzero(ours != napari) <= 0.02 * np.count_nonzero(napari)

    def test_shapes_on_a_stack_mark_their_plane(self) -> None:
        source = ImageLayer(np.zeros((4, 20, 30)), scale=(5, 1, 1))
        viewer = ViewerModel()
        viewer.layers.append(source)
        corners = np.array([[10, 5, 10], [10, 5, 14], [10, 9, 14], [10, 9, 10]])
        filled = patches_of(viewer.add_shapes([corners], shape_type="polygon"), image_of(source)).read()[..., 0]
        assert filled[2].sum() == filled.sum() == 25

    def test_a_shape_across_planes_is_refused(self) -> None:
        corners = np.array([[0, 5, 10], [0, 5, 14], [3, 5, 14], [3, 5, 10]])
        shapes = ViewerModel().add_shapes([corners], shape_type="polygon", name="patches")
        with pytest.raises(InputError, match="shape of 'patches' goes through several planes. Draw it with y and x"):
            patches_of(shapes, image_of(ImageLayer(np.zeros((4, 20, 30)))))

    def test_a_line_is_no_patch(self) -> None:
        lines = ViewerModel().add_shapes([np.array([[5, 10], [9, 14]])], shape_type="line", name="patches")
        with pytest.raises(InputError, match="'patches' hold no shape with an area. Draw a rectangle"):
            patches_of(lines, image_of(ImageLayer(np.zeros((20, 30)))))

    def test_filling_holds_no_pixels(self) -> None:
        source = ImageLayer(
            da.zeros((2**20, 2**20), chunks=2**12, dtype=np.uint8), contrast_limits=(0, 1), visible=False
        )
        viewer = ViewerModel()
        corners = np.array([[10, 10], [10, 2**19], [2**19, 2**19], [2**19, 10]])
        patches = patches_of(viewer.add_shapes([corners], shape_type="rectangle"), image_of(source))
        assert patches.read((slice(5, 15), slice(5, 15))).sum() == 25

    def test_labels_are_taken_as_they_are(self) -> None:
        labels = LabelsLayer(np.ones((4, 4), np.uint8))
        assert patches_of(labels, image_of(ImageLayer(np.zeros((4, 4))))).read().sum() == 16

    def test_a_layer_without_shapes_is_refused(self) -> None:
        shapes = ViewerModel().add_shapes(name="patches")
        with pytest.raises(InputError, match="'patches' hold no shape"):
            patches_of(shapes, image_of(ImageLayer(np.zeros((4, 4)))))


class TestView:
    def seen(self, layer, corners, point=None, ndisplay: int = 2):
        viewer = ViewerModel(ndisplay=ndisplay)
        viewer.layers.append(layer)
        layer.corner_pixels = np.array(corners)
        if point is not None:
            viewer.dims.set_point(0, point)
        return view_of(viewer, layer)

    def test_corners_become_spans(self) -> None:
        layer = LabelsLayer(np.zeros((100, 200), np.uint8))
        assert self.seen(layer, [[10, 20], [49, 79]]) == ((10, 50), (20, 80))

    def test_what_lies_outside_is_cut_off(self) -> None:
        layer = LabelsLayer(np.zeros((100, 200), np.uint8))
        assert self.seen(layer, [[-50, 20], [149, 79]]) == ((0, 100), (20, 80))

    def test_a_stack_is_seen_in_one_plane(self) -> None:
        layer = LabelsLayer(np.zeros((5, 100, 200), np.uint8), scale=(3, 1, 1))
        assert self.seen(layer, [[0, 10, 20], [0, 49, 79]], point=9) == ((3, 4), (10, 50), (20, 80))

    @pytest.mark.parametrize("axes", ["cyx", "zcyx", "czyx"])
    def test_channels_ahead_of_the_picture_are_left_out(self, axes: str) -> None:
        shape = {"c": 3, "z": 5, "y": 100, "x": 200}
        layer = ImageLayer(
            np.zeros([shape[axis] for axis in axes]), axis_labels=list(axes), rgb=False, contrast_limits=(0, 1)
        )
        corners = [[0] * (len(axes) - 2) + [10, 20], [0] * (len(axes) - 2) + [49, 79]]
        viewer = ViewerModel()
        viewer.layers.append(layer)
        layer.corner_pixels = np.array(corners)
        if "z" in axes:
            viewer.dims.set_point(axes.index("z"), 2)
        spans = view_of(viewer, layer)
        assert spans == (*([(2, 3)] if "z" in axes else []), (10, 50), (20, 80))

    def test_there_is_none_across_the_channels(self) -> None:
        layer = ImageLayer(np.zeros((3, 100, 200)), axis_labels=("c", "y", "x"), rgb=False)
        viewer = ViewerModel()
        viewer.layers.append(layer)
        viewer.dims.order = (1, 0, 2)
        assert view_of(viewer, layer) is None

    def test_there_is_none_in_3d(self) -> None:
        layer = LabelsLayer(np.zeros((5, 100, 200), np.uint8))
        assert self.seen(layer, [[0, 0, 0], [4, 99, 199]], ndisplay=3) is None

    def test_a_level_of_a_pyramid_has_spans_of_its_own(self) -> None:
        layer = ImageLayer([np.zeros((400, 800)), np.zeros((200, 400)), np.zeros((100, 200))], multiscale=True)
        viewer = ViewerModel()
        viewer.layers.append(layer)
        layer._data_level = 2
        layer.corner_pixels = np.array([[10, 20], [49, 79]])
        assert view_of(viewer, layer, image_of(layer).at_level(1)) == ((20, 100), (40, 160))


def test_the_view_follows_the_canvas(viewer, hand) -> None:
    layer = viewer.add_labels(np.zeros((1000, 1000), np.uint8), rotate=45)
    viewer.reset_view()
    camera_of(viewer).zoom *= 4
    viewer.screenshot(flash=False)
    (top, bottom), (left, right) = view_of(viewer, layer)
    middle = layer.world_to_data(camera_of(viewer).center[-2:])
    assert top < middle[0] < bottom
    assert left < middle[1] < right
    assert bottom - top < 700


def test_a_region_is_shown_in_the_middle_and_not_small(viewer) -> None:
    layer = viewer.add_labels(np.zeros((3, 4000, 4000), np.uint8), scale=(5, 0.5, 0.5))
    viewer.reset_view()
    viewer.screenshot(flash=False)
    before = camera_of(viewer).zoom
    _layers.show_region(viewer, layer, (2, 100, 3000), (slice(2, 3), slice(36, 164), slice(2936, 3064)))
    np.testing.assert_allclose(camera_of(viewer).center[-2:], (50, 1500))
    assert viewer.dims.current_step[0] == 2
    assert camera_of(viewer).zoom > 3 * before
