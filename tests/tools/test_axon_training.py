"""`medseg train axons`: small, interrupted, refused."""

import numpy as np
import pytest

from napari_medseg.cli import main
from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Note, Scalar
from napari_medseg.core.job import Job
from napari_medseg.nn import store
from napari_medseg.nn.device import Device
from napari_medseg.rl.tiles import TiledImage
from napari_medseg.rl.tracer import load, trace
from napari_medseg.run.inline import run_inline
from napari_medseg.tools import axon_training

SMALL = {"updates": 2, "lessons": 1, "episodes": 2, "epochs": 1, "validation": 2, "validate_every": 1, "seed": 3}


def job(out, **changed):
    return Job(images={}, params=axon_training.Params(out=out, condition="standard", **{**SMALL, **changed}))


def test_the_command_writes_weights_card_and_curves(tmp_path, capsys):
    words = [f"--{key.replace('_', '-')}={value}" for key, value in SMALL.items()]
    assert main(["train", "axons", "--out", str(tmp_path), "--condition", "standard", "--quiet", *words]) == 0
    assert "tracer written to" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["axons.csv", "axons.json", "axons.safetensors"]
    card = store.find(tmp_path / "axons.json")
    assert (card.task, card.seed, card.licence) == ("axons", 3, "BSD-3-Clause")
    assert card.parameters["lessons"] == 1 and card.steps > 0
    assert 0 <= float(card.figures["validation coverage"]) <= 1
    log = (tmp_path / "axons.csv").read_text().splitlines()
    assert log[0] == "update,curve,value"
    assert {line.split(",")[1] for line in log[1:]} >= {"imitation error", "reward", "validation coverage"}
    cpu = Device("cpu", bf16=False)
    image = TiledImage.of(np.random.default_rng(0).random((64, 64)), cpu)
    assert len(trace(load(tmp_path / "axons.json", cpu), image, [np.array([[30.0, 30.0]])], device=cpu)) == 1


def interrupted(job, after):
    """Run until the score of update ``after`` has been shown, and leave."""
    for event in axon_training.run(job, {}):
        if isinstance(event, Scalar) and event.step == after:
            return


def test_an_interrupted_training_is_taken_up_again(tmp_path):
    interrupted(job(tmp_path), after=1)
    assert not (tmp_path / "axons.json").exists()
    events = []
    result = run_inline("axon_training", job(tmp_path), on_event=events.append)
    assert Note("Going on after 1 updates.") in events
    assert [event.step for event in events if isinstance(event, Scalar)][0] == 2
    assert "after 2 updates" in result.summary
    whole = run_inline("axon_training", job(tmp_path / "whole"))
    assert result.values["validation error"] == pytest.approx(whole.values["validation error"], rel=1e-3)
    assert not list(tmp_path.glob("*training*"))


def test_other_parameters_do_not_go_on_with_it(tmp_path):
    interrupted(job(tmp_path), after=1)
    with pytest.raises(InputError, match="unfinished training 'axons' with another seed, reward"):
        run_inline("axon_training", job(tmp_path, seed=4, reward="step"))


def test_the_rate_falls_over_the_lessons_and_again_after_them(tmp_path):
    params = job(tmp_path, updates=6, lessons=4).params
    shares = [axon_training._rate_share(update, params) for update in range(6)]
    assert shares == pytest.approx([1, 0.775, 0.55, 0.325, 1, 0.55])
    flat = job(tmp_path, anneal=False).params
    assert [axon_training._rate_share(update, flat) for update in range(2)] == [1, 1]
    only_lessons = job(tmp_path, updates=2, lessons=9).params
    assert [axon_training._rate_share(update, only_lessons) for update in range(2)] == pytest.approx([1, 0.55])


def test_a_model_that_is_there_is_not_replaced(tmp_path):
    (tmp_path / "axons.json").touch()
    with pytest.raises(InputError, match="There is a model 'axons'"):
        run_inline("axon_training", job(tmp_path))


def test_another_kind_of_model_is_no_tracer():
    from napari_medseg.core.errors import ModelError

    with pytest.raises(ModelError, match="'encoder' is for encoder, not for tracing axons"):
        load("encoder", Device("cpu", bf16=False))
