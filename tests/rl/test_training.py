"""Training goes on after an interruption as if there had been none."""

import numpy as np
import pytest
import torch

from napari_medseg.core.errors import ModelError
from napari_medseg.nn.device import Device
from napari_medseg.rl.ppo import Constants
from napari_medseg.rl.tracing_env import Scenes
from napari_medseg.rl.training import Training, files, walk
from napari_medseg.train.simulate.axons import STEP_PX
from napari_medseg.train.simulate.episodes import draw

CPU = Device("cpu", bf16=False)


def batch(number, count=3):
    drawn = draw("standard", (number,), count, side=64)
    return Scenes.of(drawn.images, drawn.truth, drawn.history, drawn.ends), drawn.lines


def training(seed=0):
    return Training(Constants(epochs=1, minibatch=128), CPU, seed=seed, reward="pixel", give_up=True)


def test_a_training_that_was_interrupted_goes_on_as_it_would_have(tmp_path):
    path = tmp_path / "axons 1.5 (training)"
    straight, first = training(), training()
    for one in (straight, first):
        one.imitate(*batch(0), STEP_PX)
        one.update(batch(1)[0])
        one.examine(*batch(9))
    first.save(path, {"condition": "standard"})
    again = training(seed=0)
    again.load(path)
    assert again.facts_of(path) == {"condition": "standard"}
    figures = [one.update(batch(2)[0]) for one in (straight, again)]
    for name in ("policy loss", "value loss", "reward"):
        assert figures[0][name] == pytest.approx(figures[1][name], rel=1e-4), name
    for ours, theirs in zip(straight.actor.parameters(), again.actor.parameters()):
        torch.testing.assert_close(ours, theirs)
    for name, tensor in straight.best.items():
        torch.testing.assert_close(again.best[name], tensor)
    assert again.progress.curves.keys() == straight.progress.curves.keys()
    assert again.progress.updates == 3


def test_a_checkpoint_is_two_files_whose_names_may_hold_dots(tmp_path):
    path = tmp_path / "axons 1.5 (training)"
    training().save(path, {})
    assert {found.name for found in tmp_path.iterdir()} == {f"{path.name}.safetensors", f"{path.name}.json"}


def test_a_foreign_checkpoint_is_refused(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "x"
    training().save(path, {})
    save_file({"actor.other": torch.zeros(1)}, files(path)["safetensors"])
    with pytest.raises(ModelError, match="another network"):
        training().load(path)


def test_seeds_differ():
    one, same, other = training(0), training(0), training(1)
    first, second, third = (t.actor.net[0].weight for t in (one, same, other))
    torch.testing.assert_close(first, second)
    assert not torch.equal(first, third)


def test_each_update_draws_anew():
    one = training()
    drawn = []
    for _ in range(2):
        with one._drawing():
            drawn.append(torch.rand(1).item())
        one.progress.updates += 1
    with one._drawing():
        assert torch.rand(1).item() not in drawn
    assert drawn[0] != drawn[1]


def test_the_best_weights_are_kept():
    one = training()
    scenes, lines = batch(0)
    one.examine(scenes, lines)
    kept = {name: tensor.clone() for name, tensor in one.best.items()}
    one.progress.best = 2.0
    one.update(scenes)
    one.examine(scenes, lines)
    for name, tensor in kept.items():
        torch.testing.assert_close(one.best[name], tensor)


def test_walks_begin_at_the_start_and_end_with_the_steps():
    scenes, lines = batch(0)
    paths = walk(training().actor, scenes, CPU, max_steps=7)
    for path, line in zip(paths, lines):
        np.testing.assert_allclose(path[0], line[0], atol=1e-4)
        assert 2 <= len(path) <= 8


def test_imitation_then_shows_in_the_score():
    one = training()
    scenes, lines = batch(5, 6)
    before = one.examine(scenes, lines)["validation coverage"]
    for number in range(14):
        one.imitate(*batch(number % 3, 6), STEP_PX)
    assert one.examine(scenes, lines)["validation coverage"] > before + 0.2
