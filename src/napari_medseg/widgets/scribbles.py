"""The Teach panel: paint a few strokes of each class and see the image segmented."""

from __future__ import annotations

from typing import Any

import napari.viewer
from napari.layers import Layer
from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QApplication, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_medseg import tools
from napari_medseg.core.classes import SegmentationClass
from napari_medseg.core.errors import InputError, MedsegError, RunCancelled
from napari_medseg.core.events import Draft, Event, Result, Scalar, Tile
from napari_medseg.core.job import Job
from napari_medseg.core.session import Step
from napari_medseg.nn import store
from napari_medseg.widgets import _applying, _layers, _teaching
from napari_medseg.widgets._accept import Acceptance
from napari_medseg.widgets._classes import ClassEditor, colour_map
from napari_medseg.widgets._form import ParamsForm, Toggle, row_label
from napari_medseg.widgets._keys import Keys
from napari_medseg.widgets._layout import beside, column, heading, line_across, scrolling, stacked
from napari_medseg.widgets._models import ModelBar, StartChoice, check_is_there
from napari_medseg.widgets._offer import LastWork
from napari_medseg.widgets._paint import Paint
from napari_medseg.widgets._pairs import LayerChoosers
from napari_medseg.widgets._plots import CurvePlot
from napari_medseg.widgets._regions import RegionGuide
from napari_medseg.widgets._results import ENTROPY, ResultLayers
from napari_medseg.widgets._runner import RunnerPanel
from napari_medseg.widgets._service import RunService, service_of
from napari_medseg.widgets._sessions import SessionService, sessions_of
from napari_medseg.widgets._taught import Taught

DEBOUNCE_MS = 300
"""Rest after a stroke before the live mode runs."""

LEAST_WIDTH, USUAL_WIDTH = 280, 340
"""Of the panel, in pixels."""

NOT_SHOWN = ("classes", "colours")


class TeachWidget(QWidget):
    """Chooses the layers, edits classes and parameters, runs the tool and draws what it yields.

    Parameters
    ----------
    viewer
        The viewer that the panel belongs to.
    service
        Carries the runs; the viewer's own one where it is not given.
    tool
        Name of the tool; its ``Params`` make the form.
    """

    def __init__(
        self, viewer: napari.viewer.Viewer, *, service: RunService | None = None, tool: str = "scribbles"
    ) -> None:
        super().__init__()
        # Opened by name, napari hands over a proxy that hides the window.
        viewer = getattr(viewer, "__wrapped__", viewer)
        self.viewer: Any = viewer
        self._tool = tool
        self._service = service or service_of(viewer)
        self.sessions: SessionService = sessions_of(viewer)
        self._checkpoint = ""
        self._draft = ""
        self._results = ResultLayers(viewer, self)
        self.taught = Taught(self.sessions, self)
        self._debounce = QTimer(self)
        self._debounce.setSingleShot(True)
        self._debounce.setInterval(DEBOUNCE_MS)
        self._keys = Keys(viewer)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._attach()
        self._service.warm()

    # ------------------------------------------------------------------ building

    def _make_controls(self) -> None:
        self._choosers = LayerChoosers(self.viewer.layers, self)
        self.image, self.scribbles, self.dense = (self._choosers.image, self._choosers.scribbles, self._choosers.dense)
        self.image.setToolTip(tools.load(self._tool).ROLES["image"])
        self.scribbles.setToolTip(tools.load(self._tool).ROLES["scribbles"])
        self.dense.setToolTip("Optional: Labels or rectangles (Shapes) where every pixel has been annotated.")
        self.new_button = QPushButton("New")
        self.new_button.setToolTip("Make an empty scribble layer on the image's pixels and start to paint.")
        self.last_work = LastWork(self.sessions, self)
        self.classes = ClassEditor()
        self.start = StartChoice()
        self.form = ParamsForm(tools.load(self._tool).Params, exclude=NOT_SHOWN, editors={"start": self.start})
        self.live = Toggle("Live: after each stroke")
        self.live.setToolTip(f"Teach by itself, {DEBOUNCE_MS} ms after the last stroke has ended.")
        self.live.setValue(True)
        self.acceptance = Acceptance(self.viewer, self.sessions, self._results, self.image.value, self.scribbles.value)
        self.plot = CurvePlot()
        self.regions = RegionGuide(self.viewer, self._entropy_on, lambda: self.runner.running)
        self.runner = RunnerPanel(
            self._service,
            "Teach",
            "Train on the scribbles and segment the image.",
            controls=stacked(self.regions, self.acceptance),
            picture=self.plot,
        )
        self.models = ModelBar()
        self._paint = Paint(self.viewer, self.classes, self)

    def _lay_out(self) -> None:
        """What is set up scrolls; what is used while a run goes on stays in its place below."""
        inside = QWidget()
        rows = column(inside)
        rows.setContentsMargins(6, 4, 6, 0)
        rows.setSpacing(4)
        rows.addWidget(self.last_work)
        rows.addLayout(self._layer_rows())
        rows.addLayout(beside(heading("Classes"), self.classes.add_button))
        rows.addWidget(self.classes)
        rows.addLayout(beside(heading("Training"), self.live))
        rows.addWidget(self.form)
        rows.addWidget(self.models)
        rows.addStretch(1)
        self.scroll_area = scrolling(inside)
        self.footer = QWidget()
        column(self.footer).addWidget(self.runner)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.scroll_area, 1)
        layout.addWidget(line_across())
        layout.addWidget(self.footer)
        self.setMinimumWidth(LEAST_WIDTH)

    def sizeHint(self) -> QSize:
        """Wide enough for the usual names."""
        return super().sizeHint().expandedTo(QSize(USUAL_WIDTH, 0))

    def resizeEvent(self, a0: QResizeEvent | None) -> None:
        """In a low window the form gets more of the room."""
        super().resizeEvent(a0)
        self.runner.report.fit_into(self.height())

    def _layer_rows(self) -> QFormLayout:
        rows = QFormLayout()
        rows.setSpacing(4)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows.addRow(row_label("Image"), self.image)
        rows.addRow(row_label("Scribbles"), beside(self.scribbles, self.new_button))
        rows.addRow(row_label("Dense patches"), self.dense)
        return rows

    def _connect(self) -> None:
        self.new_button.clicked.connect(self.new_scribbles)
        self.scribbles.valueChanged.connect(self._paint.set_layer)
        self.scribbles.valueChanged.connect(self.regions.set_layer)
        self.image.valueChanged.connect(self._on_image)
        self._choosers.told.connect(lambda text: self.runner.show_error(text, hint=True))
        self.viewer.layers.events.renamed.connect(self._name_target)
        self.classes.valueChanged.connect(self._on_classes)
        self.sessions.travelled.connect(self._on_travel)
        self.sessions.opened.connect(self._look_for_model)
        self.scribbles.valueChanged.connect(self._look_for_model)
        self.start.valueChanged.connect(self.taught.forget_start)
        self.taught.refused.connect(lambda text: self.runner.show_error(text, hint=True))
        self.acceptance.told.connect(self.runner.show_result)
        self.acceptance.refused.connect(lambda text: self.runner.show_error(text, hint=True))
        self._paint.strokeEnded.connect(self._on_stroke)
        self._debounce.timeout.connect(self._teach_live)
        self.runner.runRequested.connect(self.teach)
        self.runner.eventReceived.connect(self._on_event)
        self.runner.succeeded.connect(self._on_result)
        self.runner.failed.connect(self._on_failure)
        self.regions.told.connect(self.runner.show_result)
        self.regions.refused.connect(lambda text: self.runner.show_error(text, hint=True))
        self.models.saveRequested.connect(self.save_model)
        self.models.applyRequested.connect(self.apply_model)
        self.models.refused.connect(lambda text: self.runner.show_error(text, hint=True))
        self._results.set_colours(colour_map(self.classes.value()))
        self._results.completed.connect(lambda: self.sessions.predictions.keep(self._results))
        self._name_target()

    # ------------------------------------------------------------------ opening and closing

    def event(self, a0: QEvent) -> bool:
        """Give keys and signals back when the dock closes, and take them again when it opens."""
        if a0.type() == QEvent.Type.ParentChange:
            (self._attach if self.parent() is not None else self._detach)()
        return super().event(a0)

    def _attach(self) -> None:
        self._keys.release()
        self._keys.bind("N", self.regions.go_on)
        self._keys.bind("Shift-N", self.regions.skip)
        self._paint.set_layer(self.scribbles.value())
        self.regions.set_layer(self.scribbles.value())

    def _detach(self) -> None:
        self._debounce.stop()
        self.runner.cancel()
        self._keys.release()
        self._paint.release()
        self.regions.set_layer(None)

    # ------------------------------------------------------------------ scribbles and classes

    def new_scribbles(self) -> None:
        """Add an empty scribble layer for the chosen image and arm the first class."""
        image = self.image.value()
        if image is None:
            self.runner.show_error("There is no image to paint on. Open an image first.")
            return
        self.runner.show_error("")
        try:
            layer = self.sessions.new_layer(image, self.classes.value())
        except MedsegError as error:
            self.runner.show_error(str(error))
            return
        layer.brush_size = max(6, min(layer.data.shape[-2:]) // 100)
        self.scribbles.setValue(layer)
        self._paint.arm(self.classes.labels()[0] if self.classes.labels() else 1)

    def _on_classes(self, classes: tuple[SegmentationClass, ...]) -> None:
        self._results.set_colours(colour_map(classes), self.image.value())
        self.sessions.record_classes(self.scribbles.value(), classes)

    def _on_travel(self, step: Step) -> None:
        layer = self.scribbles.value()
        name = self.sessions.name_of(layer)
        if name is not None:
            has_gone = self.taught.travel(step, layer)
            self._paint.follow(name in step.edits and not has_gone)
            # A panel whose dock is closed runs nothing.
            if has_gone and self._paint.layer is layer:
                self._show_model(layer)

    def _show_model(self, scribbles: Layer) -> None:
        """Undo, redo or a jump has come to another model, or to none: show what it predicts."""
        said, image = self.taught.said, self.image.value()
        self._debounce.stop()
        self.runner.cancel()
        self.runner.forget()
        self._checkpoint = self._draft = ""
        self.models.allow_save(self.taught.kept is not None)
        self._results.remove(image)
        self.runner.show_error("")
        if self.taught.kept is not None and image is not None:
            try:
                card = store.find(self.taught.file)
                shape = _layers.image_of(scribbles).shape()
                job = _applying.job_of(self.viewer, image, str(card.weights), self.form.value()["device"], shape)
            except MedsegError as error:
                self.runner.show_error(str(error))
                return
            about = {"tool": self._tool, "parameters": card.parameters, **self.taught.about(scribbles)}
            self._begin(_applying.TOOL, job, _applying.classes_of(card) or self.classes.value(), about)
        self.taught.said = said
        self.runner.show_result(said)

    def _look_for_model(self, _layer: Any = None) -> None:
        self.taught.set_layer(self.scribbles.value())
        if self.taught.kept is not None:
            self.models.allow_save(True)

    def _on_image(self, _layer: Layer | None) -> None:
        self._debounce.stop()
        self.regions.forget()
        self._name_target()

    def _name_target(self, _event: Any = None) -> None:
        layer = self.image.value()
        self.models.set_target("" if layer is None else layer.name)

    def _on_stroke(self) -> None:
        self._choosers.used()
        self.regions.marker.hide_if_painted()
        if self.live.value():
            self._debounce.start()

    # ------------------------------------------------------------------ running

    def teach(self) -> None:
        """Run the tool on what is chosen; what does not fit is said in the error line."""
        self._submit(hint=False)

    def _teach_live(self) -> None:
        if QApplication.mouseButtons() != Qt.MouseButton.NoButton:
            self._debounce.start()
        elif self.live.value():
            self._submit(hint=True)

    def _submit(self, *, hint: bool) -> None:
        try:
            job = self._job()
        except MedsegError as error:
            self.runner.show_error(str(error), hint=hint)
            return
        self._choosers.used()
        layer, parameters = self.scribbles.value(), job.params.model_dump(mode="json")
        about = {"tool": self._tool, "parameters": parameters, **self.taught.about(layer)}
        self._begin(self._tool, job, self.classes.value(), about, hint=hint)
        self.taught.begin(layer, about, is_asked_for=not hint)

    def _begin(
        self, tool: str, job: Job, classes: tuple[SegmentationClass, ...], about: dict[str, Any], *, hint: bool = False
    ) -> None:
        self.taught.begin_other()
        self.acceptance.show_prediction(self.image.value())
        self._results.begin(job.images["image"], self.image.value(), about)
        self._results.set_colours(colour_map(classes))
        self.plot.clear()
        self.runner.start(tool, job, hint=hint)

    def _job(self) -> Job:
        chosen = self.image.value(), self.scribbles.value(), self.dense.value()
        self.start.check()
        values = self.form.value()
        values["start"] = self.taught.start(self.scribbles.value(), values["start"])
        classes, branch = self.classes.value(), self.taught.branch
        return _teaching.job_of(self.viewer, self._tool, *chosen, values, classes, branch)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Tile):
            self._results.add(event)
        elif isinstance(event, Scalar):
            self.plot.add(event)
        elif isinstance(event, Draft):
            self._draft = event.model
            self.models.allow_save(True)

    def _on_result(self, result: Result) -> None:
        self._results.flush()
        self.regions.renew()
        if "model" in result.values:
            self._checkpoint = str(result.values["model"])
            self.models.allow_save(True)
        self.taught.end(result)
        if self.taught.said:
            self.runner.show_result(self.taught.said)
        kept = {key: result.values[key] for key in ("model", "digest", "seed", "steps") if key in result.values}
        self._results.describe(kept)

    def _on_failure(self, error: MedsegError) -> None:
        """Nobody may take the picture of a run that did not end for a result."""
        self._results.flush()
        if self._results.is_drawn:
            stopped = "Cancelled. " if isinstance(error, RunCancelled) else ""
            self.runner.show_result(stopped + self._about_the_picture())

    def _about_the_picture(self) -> str:
        """What is drawn by a run that did not end, and which model there is."""
        if self._results.tool != self._tool:
            return "The model was applied to a part of the image only."
        kept = "Save keeps its model as it was drawn last" if self._draft else "there is no model of it"
        kept = "the last good model is kept" if self._checkpoint else kept
        return f"The picture is that of an unfinished run; {kept}."

    def _entropy_on(self, paint: Layer) -> Any:
        return self._results.find(ENTROPY, self.image.value(), paint.data.shape)

    # ------------------------------------------------------------------ models

    def save_model(self, name: str) -> None:
        """Keep the model of the last complete run under ``name``; before there is one, the one that is drawn."""
        try:
            card = store.save_as(self.taught.file or self._checkpoint or self._draft, name, replace=True)
        except MedsegError as error:
            self.runner.show_error(str(error))
            return
        self.runner.show_error("")
        self.runner.show_result(f"Saved as {card.name}.")
        self.models.refresh(card.name)
        self.start.refresh()

    def apply_model(self, name: str) -> None:
        """Segment the chosen image with a saved model or a model file."""
        try:
            job, card = self._apply_job(name)
        except MedsegError as error:
            self.runner.show_error(str(error))
            self.models.refresh()
            return
        classes = _applying.classes_of(card)
        about = {"tool": _applying.TOOL, "model": card.name, "digest": card.sha256}
        about |= {"classes": card.classes, "colours": card.colours}
        self._begin(_applying.TOOL, job, classes or self.classes.value(), about)

    def _apply_job(self, name: str) -> tuple[Job, store.Card]:
        layer = self.image.value()
        if layer is None:
            raise InputError("There is no image. Open an image, then choose it above.")
        if not name:
            raise InputError("There is no saved model. Teach one and save it, or open a model file.")
        check_is_there(name)
        return _applying.job_of(self.viewer, layer, name, self.form.value()["device"]), store.find(name)
