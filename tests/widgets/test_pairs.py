"""Image and scribbles stay together: strokes of one image are never taught on another by accident."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import LayerList
from napari.layers import Image, Labels, Layer, Shapes
from napari.layers._source import layer_source
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication
from skimage.io import imsave

from napari_medseg.widgets._classes import CLASSES_KEY
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._pairs import IMAGES_KEY, LayerChoosers, images_of, made_at, made_on
from napari_medseg.widgets._results import PREDICTION
from napari_medseg.widgets.scribbles import TeachWidget

LEFT, RIGHT = ((40, 30), (150, 90)), ((40, 160), (150, 230))
LONG_MS = 30_000


def picture(name: str, path: Path | None = None) -> Image:
    """An image, as if it had been opened from ``path``; all are of one size."""
    with layer_source(path=None if path is None else str(path)):
        return Image(np.zeros((20, 30)), name=name)


def paint_on(image: Layer, name: str) -> Labels:
    """Scribbles as the button New makes them."""
    return Labels(np.zeros((20, 30), np.uint8), name=name, metadata={CLASSES_KEY: {}, **made_on(image)})


class Scene:
    """Two images of one size, scribbles on the first, and what the choosers have said."""

    def __init__(self, qtbot: QtBot) -> None:
        self.a, self.b = picture("A"), picture("B")
        self.on_a = paint_on(self.a, "on A")
        self.layers = LayerList([self.b, self.a, self.on_a])
        self.choosers = LayerChoosers(self.layers)
        self.said: list[str] = []
        self.choosers.told.connect(self.said.append)
        for chooser in (self.choosers.image, self.choosers.scribbles, self.choosers.dense):
            qtbot.addWidget(chooser)

    @property
    def chosen(self) -> tuple[Layer | None, Layer | None]:
        return self.choosers.image.value(), self.choosers.scribbles.value()

    def choose(self, layer: Layer) -> None:
        """As the user does, in the list that has the layer."""
        chooser = self.choosers.image if isinstance(layer, Image) else self.choosers.scribbles
        chooser.setValue(layer)


@pytest.fixture
def scene(qtbot: QtBot) -> Scene:
    made = Scene(qtbot)
    assert made.chosen == (made.a, made.on_a)
    return made


def test_another_image_leaves_the_scribbles(scene: Scene) -> None:
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, None)
    assert scene.said == ["The scribbles were made on another image. Press New to paint on 'B'."]


def test_they_come_back_with_their_image(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.choose(scene.a)
    assert scene.chosen == (scene.a, scene.on_a)
    assert scene.said[-1] == ""


def test_what_is_left_is_not_chosen_again_by_itself(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.layers.append(Image(np.zeros((20, 30)), metadata={RESULT_KEY: {"role": "entropy"}}))
    scene.layers.append(Labels(np.zeros((20, 30), int), name="nobody's"))
    scene.on_a.name = "renamed"
    assert scene.chosen == (scene.b, None)


def test_an_image_brings_its_own_scribbles(scene: Scene) -> None:
    on_b = paint_on(scene.b, "on B")
    scene.layers.append(on_b)
    assert scene.chosen == (scene.a, scene.on_a)
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, on_b)
    scene.choose(scene.a)
    assert scene.chosen == (scene.a, scene.on_a)


def test_of_several_the_one_chosen_last_comes_back(scene: Scene) -> None:
    scene.layers.append(paint_on(scene.a, "later on A"))
    scene.choose(scene.b)
    scene.choose(scene.a)
    assert scene.chosen == (scene.a, scene.on_a)


def test_scribbles_bring_their_image(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.choose(scene.on_a)
    assert scene.chosen == (scene.a, scene.on_a)
    assert scene.said[-1] == (
        "'on A' were made on 'A', which is chosen too. To teach 'B' with them, choose it again."
    )  # fmt: skip


def test_the_image_that_was_left_can_be_chosen_again_on_purpose(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.choose(scene.on_a)
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, scene.on_a)
    assert scene.said[-1] == "'B' is taught with 'on A', which were made on another image."
    for image in (scene.a, scene.b):
        scene.choose(image)
        assert scene.chosen == (image, scene.on_a)


def test_an_image_with_scribbles_of_its_own_gets_those(scene: Scene) -> None:
    on_b = paint_on(scene.b, "on B")
    scene.layers.append(on_b)
    scene.choose(scene.b)
    scene.choose(scene.on_a)
    assert scene.said[-1] == "'on A' were made on 'A', which is chosen too."
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, on_b)


def test_closing_the_image_that_came_along_is_no_choice(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.choose(scene.on_a)
    scene.layers.remove(scene.a)
    assert scene.chosen == (scene.b, None)


def test_not_on_purpose_once_they_were_painted(scene: Scene) -> None:
    scene.choose(scene.b)
    scene.choose(scene.on_a)
    scene.choosers.used()
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, None)


def test_any_other_layer_may_be_picked_and_belongs_to_the_image_from_its_first_use(scene: Scene) -> None:
    other = Labels(np.zeros((20, 30), int), name="nobody's")
    scene.layers.append(other)
    scene.choose(other)
    assert scene.chosen == (scene.a, other)
    scene.choose(scene.b)
    assert scene.chosen == (scene.b, other)
    scene.choosers.used()
    scene.choose(scene.a)
    assert scene.chosen == (scene.a, scene.on_a)
    scene.choose(other)
    assert scene.chosen == (scene.b, other)


def test_a_closed_image_takes_its_scribbles_out_of_the_choice(scene: Scene) -> None:
    scene.layers.remove(scene.a)
    assert scene.chosen == (scene.b, None)
    scene.choose(scene.on_a)
    assert scene.chosen == (scene.b, scene.on_a)


def test_new_scribbles_bring_their_image_where_none_are_chosen(scene: Scene) -> None:
    scene.choose(scene.b)
    later = paint_on(scene.a, "later on A")
    scene.layers.append(later)
    assert scene.chosen == (scene.a, later)


def test_scribbles_of_a_session_find_their_image_by_its_place(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    slide = picture("slide", path)
    again = Labels(np.zeros((20, 30), int), metadata={CLASSES_KEY: {}, **made_at({"path": str(path.resolve())})})
    moved = Labels(np.zeros((20, 30), int), metadata={CLASSES_KEY: {}, **made_at({"path": "old"}, path)})
    scene.layers.extend([slide, again, moved])
    for layer in (again, moved):
        scene.choose(scene.a)
        scene.choose(layer)
        assert scene.chosen == (slide, layer)
        assert scene.said[-1].endswith("'slide', which is chosen too.")
    scene.layers.remove(slide)
    assert scene.choosers.scribbles.value() is scene.on_a


def test_scribbles_whose_image_is_not_found_wait_for_it(qtbot: QtBot) -> None:
    lost = Labels(np.zeros((20, 30), int), metadata={CLASSES_KEY: {}, **made_at({"path": "gone.tif"})})
    choosers = LayerChoosers(layers := LayerList([lost]))
    qtbot.addWidget(choosers.image)
    qtbot.addWidget(choosers.scribbles)
    layers.insert(0, picture("found by hand"))
    assert choosers.scribbles.value() is lost


def test_two_images_of_one_file_are_told_apart(scene: Scene, tmp_path: Path) -> None:
    red, green = (picture(name, tmp_path / "both.tif") for name in ("red", "green"))
    on_red = paint_on(red, "on red")
    scene.layers.extend([red, green, on_red])
    assert images_of(on_red, [green, red]) == [red]
    scene.choose(green)
    assert scene.chosen == (green, None)


def test_a_session_without_a_place_says_nothing() -> None:
    assert made_at({"name": "scribbles"}) == {}


def test_dense_patches_are_of_one_image(scene: Scene) -> None:
    patches = Shapes([np.array([[0, 0], [0, 5], [5, 5], [5, 0]])], name="patches")
    scene.layers.append(patches)
    scene.choosers.dense.setValue(patches)
    scene.choose(scene.b)
    assert scene.choosers.dense.value() is None
    scene.choose(scene.a)
    assert scene.choosers.dense.value() is patches
    scene.choose(scene.b)
    scene.layers.remove(patches)
    scene.choose(scene.a)
    assert scene.choosers.dense.value() is None


# ---------------------------------------------------------------------- in the panel


@pytest.fixture
def painted(panel: TeachWidget, hand) -> TeachWidget:
    """The panel after a stroke of each of two classes."""
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    return panel


def teach(panel: TeachWidget, qtbot: QtBot) -> None:
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.runner.run_button.click()


def mirrored(panel: TeachWidget, halves: np.ndarray) -> Image:
    """Another image of the same size, on which the strokes would teach the opposite."""
    return panel.viewer.add_image(halves[:, ::-1].copy(), name="mirrored", scale=(2, 2), units="um")


def test_strokes_are_not_taught_on_another_image(painted: TeachWidget, halves: np.ndarray) -> None:
    other = mirrored(painted, halves)
    painted.image.setValue(other)
    assert painted.scribbles.value() is None
    assert "Press New to paint on 'mirrored'." in painted.runner.error_line.text()
    painted.runner.run_button.click()
    assert not painted.runner.running
    assert painted.runner.error_line.text().startswith("There are no scribbles.")


def test_a_stroke_that_waits_for_live_does_not_teach_the_next_image(painted: TeachWidget, qtbot, hand, halves) -> None:
    other = mirrored(painted, halves)
    painted.live.setValue(True)
    hand.stroke((100, 170), (140, 200))
    painted.image.setValue(other)
    painted.image.setValue(painted.viewer.layers["halves"])
    qtbot.wait(600)
    assert not painted.runner.running
    assert [layer for layer in painted.viewer.layers if RESULT_KEY in layer.metadata] == []


def test_strokes_on_a_layer_of_napari_bind_it_to_the_image(panel: TeachWidget, hand, halves) -> None:
    layer = panel.viewer.add_labels(np.zeros((96, 128), np.uint8), scale=(2, 2), units="um")
    panel.scribbles.setValue(layer)
    assert IMAGES_KEY not in layer.metadata
    layer.mode = "paint"
    hand.stroke(*LEFT)
    panel.image.setValue(mirrored(panel, halves))
    assert panel.scribbles.value() is None


def test_the_next_region_is_one_of_the_chosen_image(painted: TeachWidget, qtbot, halves) -> None:
    teach(painted, qtbot)
    painted.image.setValue(mirrored(painted, halves))
    painted.regions.next_button.click()
    assert painted.runner.error_line.text().startswith("There is no layer to paint in. Press New")
    painted.new_button.click()
    painted.regions.next_button.click()
    assert painted.regions.visited == []
    assert painted.runner.error_line.text().startswith("Nothing is predicted yet.")
    painted.image.setValue(painted.viewer.layers["halves"])
    painted.regions.next_button.click()
    assert len(painted.regions.visited) == 1


def test_classes_of_one_image_do_not_colour_the_prediction_of_another(painted: TeachWidget, qtbot, halves) -> None:
    teach(painted, qtbot)
    prediction = next(
        layer for layer in painted.viewer.layers if layer.metadata.get(RESULT_KEY, {}).get("role") == PREDICTION
    )
    before = prediction.get_color(1)
    painted.image.setValue(mirrored(painted, halves))
    painted.new_button.click()
    painted.classes.recolour(1, "#00ff00")
    np.testing.assert_array_equal(prediction.get_color(1), before)
    painted.image.setValue(painted.viewer.layers["halves"])
    painted.classes.recolour(1, "#ffff00")
    np.testing.assert_allclose(prediction.get_color(1), (1, 1, 0, 1))


def test_a_reopened_session_is_shown_with_its_image(viewer, service, hand, halves, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    imsave(path, halves, check_contrast=False)
    viewer.open(str(path), plugin="napari")
    panel = TeachWidget(viewer, service=service, tool="tiny")
    panel.live.setValue(False)
    viewer.window.add_dock_widget(panel, name="Teach", area="right")
    QApplication.processEvents()
    viewer.reset_view()
    panel.new_button.click()
    panel.scribbles.value().data_setitem((np.arange(9), np.arange(9)), 1)
    folder = panel.sessions.session.folder
    panel.sessions.close()
    viewer.layers.clear()
    other = viewer.add_image(halves[:, ::-1].copy(), name="mirrored")
    assert panel.image.value() is other
    panel.sessions.open(folder)
    assert (panel.image.value(), panel.scribbles.value()) == (viewer.layers["slide"], viewer.layers["slide scribbles"])
