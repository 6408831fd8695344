import pytest
import torch
from torch import nn

from napari_medseg.core.errors import ModelError
from napari_medseg.core.events import Scalar
from napari_medseg.train.batches import Batch
from napari_medseg.train.engine import Fit, Schedule


class Line(nn.Module):
    """y = a x + b on single pixels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.conv(x)


class Squares:
    """Fits y = 3 x + 1."""

    def __init__(self, net):
        self.net = net

    def step(self, batch):
        return {"loss": ((self.net(batch.images) - (3 * batch.images + 1)) ** 2).mean()}

    def state_dict(self):
        return {}


def new_fit(score=None, seed=0, **schedule):
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)

    def draw():
        return Batch(torch.randn(1, 1, 4, 4, generator=rng), labels)

    return Fit(Squares(Line()), draw, score, Schedule(rate=0.05, weight_decay=0, warmup=1, **schedule))


def run(fit, **limits):
    return list(fit.run(**limits))


def test_learns_and_reports_each_step():
    fit = new_fit()
    points = run(fit, steps=300)
    losses = [p for p in points if p.name == "loss"]
    assert [p.step for p in losses] == list(range(1, 301))
    assert losses[-1].value < 1e-2
    assert fit.averaged.conv.weight.item() == pytest.approx(3, abs=0.2)
    assert all(isinstance(p, Scalar) for p in points)


def test_the_best_checkpoint_wins():
    scores = iter([0.2, 0.9, 0.5, 0.1])
    seen = []

    def score(net):
        seen.append(net.conv.weight.item())
        return next(scores)

    fit = new_fit(score, validate_every=5)
    run(fit, steps=20)
    assert fit.progress.best_score == 0.9 and fit.progress.best_step == 10
    assert fit.best_net().conv.weight.item() == pytest.approx(seen[1])


def test_early_stop_after_halvings():
    fit = new_fit(lambda net: 0.5 if fit.progress.step < 2 else 0.1, validate_every=1, patience=2, stop_after=3)
    run(fit, steps=1000)
    assert fit.finished
    assert fit.progress.step == 1 + 2 * 3
    assert fit.optimizer.param_groups[0]["lr"] == pytest.approx(0.05 * 0.25)


def test_time_limit_ends_the_burst_and_the_next_goes_on():
    fit = new_fit()
    run(fit, seconds=0.05)
    first = fit.progress.step
    run(fit, steps=3)
    assert fit.progress.step == first + 3 and fit.progress.seconds > 0.04


def test_resume_from_files_equals_going_on(tmp_path):
    straight, broken = new_fit(lambda net: 0.5), new_fit(lambda net: 0.5)
    run(straight, steps=40)
    run(broken, steps=20)
    broken.save(tmp_path / "fit")
    resumed = new_fit(lambda net: 0.5, seed=9)
    resumed.load(tmp_path / "fit")
    resumed.draw = broken.draw
    run(resumed, steps=20)
    assert resumed.progress.step == 40
    for a, b in zip(straight.averaged.parameters(), resumed.averaged.parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert resumed.progress.curves == straight.progress.curves


def test_resume_into_another_network_is_refused(tmp_path):
    fit = new_fit()
    fit.save(tmp_path / "fit")
    other = new_fit()
    other.strategy.net.conv = nn.Conv2d(1, 2, 3)
    with pytest.raises(ModelError, match="belongs to another network"):
        other.load(tmp_path / "fit")


def test_examine_forgets_old_scores():
    fit = new_fit(lambda net: 0.9, validate_every=1)
    run(fit, steps=1)
    fit.examine(fit.draw, lambda net: 0.3)
    run(fit, steps=1)
    assert fit.progress.best_score == 0.3
