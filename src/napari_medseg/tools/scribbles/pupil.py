"""Who is taught: the network in training and the linear head, seen as one model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_medseg.core.stacking import best_share
from napari_medseg.nn.device import Device
from napari_medseg.nn.feature_cache import FeatureCache
from napari_medseg.nn.linear_head import LinearHead
from napari_medseg.nn.normalise import Normalisation
from napari_medseg.nn.segmenter import Segmenter, agree
from napari_medseg.tools.scribbles.instant import fit_head_on
from napari_medseg.tools.scribbles.lesson import Lesson
from napari_medseg.tools.scribbles.training import network_channels
from napari_medseg.train.engine import Fit
from napari_medseg.train.exam import Exam

if TYPE_CHECKING:
    from torch import nn


CAREFUL_SHARE = 0.75
"""What the head counts in the first pictures when too few strokes are held out to tell who is better.

Fourteen runs on 2 to 4 strokes: with the share chosen on the ends of strokes, pictures after 70 steps fell to .137 Dice
below the instant answer; with this share none was lower by more than .010.
"""
EVEN_SHARE = 0.5
"""The same for the model that is kept: without evidence both count the same."""


@dataclass(frozen=True)
class Pupil:
    """One run's model in the making.

    Parameters
    ----------
    head
        Fitted on all strokes; what it counts is judged by its twin that has not seen the strokes held out.
    """

    lesson: Lesson
    fit: Fit
    exam: Exam
    cache: FeatureCache
    head: LinearHead
    device: Device

    def draft(self) -> Segmenter:
        """The model as it stands, for a picture while it goes on learning."""
        return self._segmenter(without_evidence=CAREFUL_SHARE)

    def graduate(self) -> Segmenter:
        """The model to keep; in fp32 where bf16 would answer differently on the examined crops."""
        segmenter = self._segmenter(without_evidence=EVEN_SHARE)
        if not agree(segmenter, self.exam.crops[:4]):
            return replace(segmenter, device=replace(self.device, bf16=False))
        return segmenter

    def _segmenter(self, without_evidence: float) -> Segmenter:
        """The best checkpoint once there is one, before that the moving average, beside the head."""
        net = self.fit.best_net() if self.fit.progress.best_score >= 0 else self.fit.averaged
        share = 0.0
        if self.lesson.params.blend_linear:
            share = self._share(net) if self.lesson.comparable else without_evidence
        return Segmenter(
            labels=self.lesson.labels,
            channels=network_channels(self.lesson),
            normalisation=Normalisation.suited(self.lesson.image),
            device=self.device,
            net=net,
            head=self.head if share else None,
            head_share=share,
        )

    def _share(self, net: nn.Module) -> float:
        """How much the head counts beside ``net``, by the strokes held out."""
        twin = fit_head_on(self.lesson.points, self.lesson, self.cache)
        answers = twin.probabilities(self.cache.at(self.exam.points.index))
        return best_share(answers, self.exam.answers(net), self.exam.truth)
