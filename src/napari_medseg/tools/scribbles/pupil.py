"""Who is taught: the network in training and the linear head, seen as one model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from napari_medseg.nn.device import Device
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.segmenter import Segmenter, agree
from napari_medseg.tools.scribbles.lesson import Lesson
from napari_medseg.tools.scribbles.training import network_channels
from napari_medseg.train.engine import Fit
from napari_medseg.train.exam import Exam


@dataclass(frozen=True)
class Pupil:
    """One run's model in the making."""

    lesson: Lesson
    fit: Fit
    head: LinearHead
    device: Device

    def segmenter(self) -> Segmenter:
        """The model as it stands: the best checkpoint once there is one, before that the moving average."""
        net = self.fit.best_net() if self.fit.progress.best_score >= 0 else self.fit.averaged
        return Segmenter(
            labels=self.lesson.labels,
            channels=network_channels(self.lesson),
            normalisation=Normalisation.suited(self.lesson.image),
            device=self.device,
            net=net,
            head=self.head if self.lesson.params.blend_linear else None,
        )

    def graduate(self) -> Segmenter:
        """The model to keep; in fp32 where bf16 would answer differently on the examined crops."""
        segmenter = self.segmenter()
        exam = self.fit.score
        if isinstance(exam, Exam) and not agree(segmenter, exam.batches[0].images):
            return replace(segmenter, device=replace(self.device, bf16=False))
        return segmenter
