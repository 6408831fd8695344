from pathlib import Path

import numpy as np
import pytest
import torch

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Draft, Note, Progress, Scalar, Tile
from napari_medseg.core.image import Image
from napari_medseg.core.job import Job
from napari_medseg.nn import store
from napari_medseg.run.inline import run_inline
from napari_medseg.tools import load
from napari_medseg.tools.apply import Params as ApplyParams
from napari_medseg.tools.scribbles import Params

QUICK = {"steps": 30, "crop": 64, "start": "scratch", "precision": "fp32", "device": "cpu"}


def two_textures(side=160, seed=0):
    """Left: dark and smooth, right: bright and striped."""
    rng = np.random.default_rng(seed)
    image = rng.normal(100, 10, (side, side, 3))
    image[:, side // 2 :] += 60 + 30 * np.sin(np.arange(side))[:, None, None]
    truth = np.ones((side, side), np.uint8)
    truth[:, side // 2 :] = 2
    return image.clip(0, 255).astype(np.uint8), truth


def strokes_on(truth, apart=30):
    scribbles = np.zeros_like(truth)
    for y in range(10, truth.shape[0] - 10, apart):
        scribbles[y : y + 3, 10:40] = truth[y, 20]
        scribbles[y : y + 3, -40:-10] = truth[y, -20]
    return scribbles


def job(image, scribbles, view=None, axes="yxc", **params):
    images = {
        "image": Image.of(image, axes, name="tissue"),
        "scribbles": Image.of(scribbles, kind="labels", name="strokes"),
    }
    return Job(images, Params(**{**QUICK, **params}), view)


def drawn(events, layer, shape, dtype):
    out = np.zeros(shape, dtype)
    for event in events:
        if isinstance(event, Tile) and event.layer == layer:
            out[tuple(slice(o, o + n) for o, n in zip(event.offset, event.data.shape, strict=True))] = event.data
    return out


@pytest.fixture(autouse=True)
def own_models(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_MEDSEG_MODELS", str(tmp_path / "models"))


def test_learns_two_textures_from_a_few_strokes():
    image, truth = two_textures()
    events = []
    result = run_inline("scribbles", job(image, strokes_on(truth)), events.append)
    predicted = drawn(events, "prediction", truth.shape, np.uint8)
    assert (predicted == truth).mean() > 0.88
    entropy = drawn(events, "entropy", truth.shape, np.float32)
    assert entropy.min() >= 0 and entropy.max() <= 1
    assert result.values["steps"] == 30 and result.values["classes"] == {1: "class 1", 2: "class 2"}
    assert any(isinstance(e, Progress) for e in events)


def test_enough_strokes_give_a_figure():
    image, truth = two_textures()
    events = []
    result = run_inline("scribbles", job(image, strokes_on(truth, apart=15)), events.append)
    assert {event.name for event in events if isinstance(event, Scalar)} == {"loss", "validation dice"}
    assert not any(isinstance(event, Note) for event in events)
    assert result.summary.endswith(f"; Dice on held-out strokes {result.values['dice']:.2f}")
    assert list(store.find(result.values["model"]).figures) == ["dice on held-out strokes"]


@pytest.mark.parametrize("apart", [100, 30], ids=["ends of strokes", "whole strokes"])
def test_a_few_strokes_give_no_figure(apart):
    image, truth = two_textures()
    events = []
    result = run_inline("scribbles", job(image, strokes_on(truth, apart), view=((0, 100), (0, 100))), events.append)
    why = "too few strokes to check: paint at least 8 of each class"
    assert [event.message for event in events if isinstance(event, Note)] == [f"{why.capitalize()}."]
    assert {event.name for event in events if isinstance(event, Scalar)} == {"loss"}
    assert result.summary.endswith(f"; {why}")
    assert "dice" not in result.values and not store.find(result.values["model"]).figures


def test_without_a_view_only_the_result_says_that_strokes_are_too_few():
    image, truth = two_textures()
    events = []
    result = run_inline("scribbles", job(image, strokes_on(truth, 100)), events.append)
    assert not any(isinstance(event, Note) for event in events)
    assert result.summary.endswith("; too few strokes to check: paint at least 8 of each class")


@pytest.mark.parametrize(("apart", "comparable"), [(100, False), (30, True)])
def test_only_whole_strokes_choose_the_checkpoint(apart, comparable):
    image, truth = two_textures()
    memory = {}
    run_inline("scribbles", job(image, strokes_on(truth, apart)), memory=memory)
    fit = memory["scribbles.fit"][1]
    assert (fit.score is not None) == comparable
    assert (fit.progress.best_score >= 0) == comparable
    if not comparable:
        last = fit.averaged.state_dict()
        assert all(torch.equal(tensor, last[name]) for name, tensor in fit.best.items())


def test_the_instant_answer_comes_before_training_and_only_in_view():
    image, truth = two_textures(1100)
    scribbles = strokes_on(truth)
    events = []
    run_inline("scribbles", job(image, scribbles, view=((0, 100), (0, 100)), steps=1), events.append)
    before = events[: next(i for i, e in enumerate(events) if isinstance(e, Scalar))]
    tiles = [e for e in before if isinstance(e, Tile)]
    assert {tile.offset for tile in tiles} == {(0, 0)} and tiles[0].data.shape == (512, 512)
    scribbled = np.zeros((512, 512), bool)
    scribbled[:] = scribbles[:512, :512] > 0
    assert (tiles[0].data[scribbled] == truth[:512, :512][scribbled]).mean() > 0.95


def covers(tile, place):
    return all(o <= at < o + n for o, n, at in zip(tile.offset, tile.data.shape, place, strict=True))


@pytest.mark.parametrize("axes", ["yxc", "cyx"])
def test_what_is_in_view_is_predicted_first(axes):
    image, truth = two_textures(700)
    image = image if axes == "yxc" else np.moveaxis(image, -1, 0)
    view, place = ((650, 690), (650, 690)), (670, 670)
    events = []
    taught = run_inline("scribbles", job(image, strokes_on(truth, 100), view, axes, steps=1), events.append)
    assert covers(next(event for event in events if isinstance(event, Tile)), place)
    params = ApplyParams(model=taught.values["model"], device="cpu")
    applied = load("apply").run(Job({"image": Image.of(image, axes)}, params, view), {})
    assert covers(next(event for event in applied if isinstance(event, Tile)), place)
    applied.close()


def test_drafts_can_be_kept_before_the_run_ends():
    image, truth = two_textures()
    driven = load("scribbles").run(job(image, strokes_on(truth), view=((0, 160), (0, 160)), steps=200), {})
    draft = next(event for event in driven if isinstance(event, Draft))
    driven.close()
    assert store.save_as(draft.model, "early").steps == 10


def test_without_whole_strokes_to_judge_by_first_pictures_lean_on_the_head_and_the_model_is_even():
    image, truth = two_textures()
    shares = []

    def note_draft(event):
        if isinstance(event, Draft):
            shares.append(store.read_card(Path(event.model).with_suffix(".json")).head_share)

    view = ((0, 64), (0, 64))
    result = run_inline("scribbles", job(image, strokes_on(truth, apart=70), view), note_draft)
    kept = store.read_card(Path(result.values["model"]).with_suffix(".json")).head_share
    assert shares and set(shares) == {0.75} and kept == 0.5


def test_memory_carries_training_on():
    image, truth = two_textures()
    memory = {}
    first = run_inline("scribbles", job(image, strokes_on(truth)), memory=memory)
    more = strokes_on(truth)
    more[70:73, 60:75] = 1
    second = run_inline("scribbles", job(image, more), memory=memory)
    assert (first.values["steps"], second.values["steps"]) == (30, 60)
    other = run_inline("scribbles", job(255 - image, more), memory=memory)
    assert other.values["steps"] == 30


def test_a_new_class_keeps_the_trunk():
    image, truth = two_textures()
    memory = {}
    run_inline("scribbles", job(image, strokes_on(truth)), memory=memory)
    learned = memory["scribbles.fit"][1].strategy.net.state_dict()["down.0.0.0.weight"].clone()
    more = strokes_on(truth)
    more[70:73, 60:75] = 3
    driven = load("scribbles").run(job(image, more), memory)
    while not isinstance(next(driven), Scalar):
        pass
    net = memory["scribbles.fit"][1].strategy.net
    driven.close()
    assert net.head.out_channels == 3
    moved = (net.state_dict()["down.0.0.0.weight"] - learned).abs().max()
    assert moved < 0.05


def test_saved_model_applied_gives_the_same_bytes():
    image, truth = two_textures()
    events, again = [], []
    result = run_inline("scribbles", job(image, strokes_on(truth)), events.append)
    store.save_as(result.values["model"], "textures")
    apply = Job({"image": Image.of(image, "yxc", name="elsewhere")}, ApplyParams(model="textures", device="cpu"))
    run_inline("apply", apply, again.append)
    for layer, dtype in (("prediction", np.uint8), ("entropy", np.float32)):
        first, second = (drawn(e, layer, truth.shape, dtype) for e in (events, again))
        assert first.tobytes() == second.tobytes()


def test_same_seed_and_steps_give_the_same_bytes():
    image, truth = two_textures()
    runs = []
    for _ in range(2):
        events = []
        run_inline("scribbles", job(image, strokes_on(truth), steps=5), events.append)
        runs.append(drawn(events, "entropy", truth.shape, np.float32).tobytes())
    assert runs[0] == runs[1]


def test_grey_stack_learns_from_all_annotated_planes():
    image, truth = two_textures()
    stack = np.stack([image[..., 0], 255 - image[..., 0]])
    scribbles = np.stack([strokes_on(truth), strokes_on(truth)])
    events = []
    run_inline("scribbles", job(stack, scribbles, axes="zyx", steps=60), events.append)
    predicted = drawn(events, "prediction", stack.shape, np.uint8)
    assert (predicted[0] == truth).mean() > 0.75 and (predicted[1] == truth).mean() > 0.75


def test_dense_patch_is_mixed_in():
    image, truth = two_textures()
    scribbles = strokes_on(truth)
    dense = np.zeros_like(truth)
    dense[100:150, 50:110] = 1
    scribbles[100:150, 50:110] = truth[100:150, 50:110]
    given = job(image, scribbles, dense_share=0.5)
    images = {**given.images, "dense": Image.of(dense, kind="labels", name="dense")}
    events = []
    run_inline("scribbles", Job(images, given.params), events.append)
    assert (drawn(events, "prediction", truth.shape, np.uint8) == truth).mean() > 0.97


@pytest.mark.parametrize("convert", [
    lambda a: a.astype(np.float64), lambda a: a.astype(">u2") * 100, lambda a: a[..., 0] > 130, lambda a: a[..., :2],
    lambda a: a[..., [0, 1, 2, 0]], lambda a: a[..., [0, 1, 2, 0]].astype(np.uint16),
], ids=["float64", "big-endian", "bool", "two channels", "RGBA", "four channels"])  # fmt: skip
def test_other_types_of_image(convert):
    image, truth = two_textures()
    given = convert(image)
    events = []
    run_inline("scribbles", job(given, strokes_on(truth), axes="yx" if given.ndim == 2 else "yxc"), events.append)
    assert (drawn(events, "prediction", truth.shape, np.uint8) == truth).mean() > 0.8


def test_four_channels_ahead_of_the_picture_are_no_alpha_and_the_model_applies_to_such_images():
    image, truth = two_textures()
    given = np.moveaxis(image[..., [0, 1, 2, 0]], -1, 0)
    result = run_inline("scribbles", job(given, strokes_on(truth), axes="cyx"))
    events = []
    again = Job({"image": Image.of(given, "cyx")}, ApplyParams(model=result.values["model"]))
    run_inline("apply", again, events.append)
    assert (drawn(events, "prediction", truth.shape, np.uint8) == truth).mean() > 0.8


@pytest.mark.parametrize("shape", [(17, 5), (12, 300)])
def test_small_images(shape):
    truth = np.ones(shape, np.uint8)
    truth[shape[0] // 2 :] = 2
    image = (truth * 100).astype(np.uint8)
    events = []
    run_inline("scribbles", job(image, truth, axes="yx", steps=5), events.append)
    assert drawn(events, "prediction", shape, np.uint8).all()


def test_dask_and_zarr_images():
    import dask.array
    import zarr

    image, truth = two_textures()
    lazy = dask.array.from_array(image, chunks=(50, 60, 3))
    stored = zarr.create_array({}, shape=image.shape, chunks=(64, 64, 3), dtype=image.dtype)
    stored[:] = image
    results = []
    for array in (image, lazy, stored):
        events = []
        run_inline("scribbles", job(array, strokes_on(truth), steps=3), events.append)
        results.append(drawn(events, "entropy", truth.shape, np.float32).tobytes())
    assert results[0] == results[1] == results[2]


def with_nan(image):
    broken = image.astype(np.float32)
    broken[3, 3] = np.nan
    return broken


@pytest.mark.parametrize(("spoil", "sentence"), [
    (lambda i, s: (with_nan(i), s), "'tissue' holds NaN or infinite values. Replace them"),
    (lambda i, s: (np.full_like(i, 7).astype(np.float32), s), r"'tissue' is the same everywhere \(every pixel is 7\)"),
    (lambda i, s: (i, s[:-1]), "have 159 x 160 pixels but the image 'tissue' has 160 x 160"),
    (lambda i, s: (i, s * 0), "The scribbles are empty. Paint at least one stroke of two classes"),
    (lambda i, s: (i, (s > 0).astype(np.uint8)), r"Only one class is painted \(class 1\)"),
    (lambda i, s: (i, np.where(s == 2, 0, s) + (np.arange(160) == 5) * (np.arange(160)[:, None] == 5) * 2),
     r"Class class 2 has too few pixels \(1\); paint at least 10"),
    (lambda i, s: (i, s.astype(np.float32)), "hold float32 values; labels of whole numbers"),
    (lambda i, s: (i[:1, :1], s[:1, :1] * 0 + 1), "Only one class"),
], ids=["nan", "constant", "shape", "empty", "one class", "few pixels", "float labels", "1 x 1"])  # fmt: skip
def test_bad_input_is_refused_in_plain_words(spoil, sentence):
    image, truth = two_textures()
    given, scribbles = spoil(image, strokes_on(truth))
    events = []
    with pytest.raises(InputError, match=sentence):
        run_inline("scribbles", job(given, scribbles), events.append)
    assert not any(isinstance(event, Tile) for event in events)


def test_a_failed_run_leaves_the_last_model_alone():
    image, truth = two_textures()
    memory = {}
    result = run_inline("scribbles", job(image, strokes_on(truth), steps=3), memory=memory)
    model = Path(result.values["model"])
    before = model.read_bytes()
    with pytest.raises(InputError):
        run_inline("scribbles", job(image, truth * 0, steps=3), memory=memory)
    cancelled = load("scribbles").run(job(image, strokes_on(truth), steps=30), memory)
    while not isinstance(next(cancelled), Scalar):
        pass
    cancelled.close()
    assert model.read_bytes() == before


def test_start_from_an_unknown_model():
    image, truth = two_textures()
    with pytest.raises(Exception, match="There is no model 'nobody'"):
        run_inline("scribbles", job(image, strokes_on(truth), start="nobody"))


def test_start_from_own_model_uses_its_weights():
    image, truth = two_textures()
    result = run_inline("scribbles", job(image, strokes_on(truth)))
    store.save_as(result.values["model"], "before")
    events = []
    run_inline("scribbles", job(image, strokes_on(truth), start="before", steps=1, blend_linear=False), events.append)
    assert (drawn(events, "prediction", truth.shape, np.uint8) == truth).mean() > 0.9
