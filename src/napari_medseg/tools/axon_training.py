"""Train the policy that traces axons, on simulated pictures only."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from napari_medseg.core.errors import InputError
from napari_medseg.core.events import Event, Note, Progress, Result, Run, Scalar
from napari_medseg.core.job import Job, Memory
from napari_medseg.core.params import LARGEST_WHOLE, param
from napari_medseg.core.params import Params as BaseParams

if TYPE_CHECKING:
    from napari_medseg.rl.training import Training
    from napari_medseg.train.simulate.episodes import Episodes

ROLES: dict[str, str] = {}
"""The pictures are simulated."""
LAST_RATE_SHARE = 0.1
"""The learning rate falls to this share."""
VALIDATION_SEED = 1 << 20
"""Pictures for validation never share a seed with those for training."""
_MAY_CHANGE = {"updates", "out"}
"""Parameters that may differ when a training is taken up again."""


class Params(BaseParams):
    """What it learns from, how long, and where the result goes."""

    out: Path = param(..., title="Folder", help="Folder that NAME.safetensors, NAME.json and NAME.csv are written to.")
    name: str = param("axons", title="Name", help="Name of the model.")
    condition: Literal[
        "standard", "low_contrast", "wide", "noisy", "structured_noise", "realistic", "published", "all"
    ] = param("all", title="Pictures", help="One condition of the simulator, the five published ones, or all of them.")
    updates: int = param(1500, title="Updates", help="Batches of episodes to learn from.", ge=1, le=1_000_000)
    lessons: int = param(
        1200,
        title="Lessons",
        help="Batches that imitate a teacher before rewards count; 0 as published.",
        ge=0,
        le=10**6,
    )
    seed: int = param(0, title="Seed", help="Same seed, same updates: same result.", ge=0, le=LARGEST_WHOLE)
    episodes: int = param(32, title="Episodes", help="Episodes in a batch.", ge=1, le=4096, folded=True)
    epochs: int = param(10, title="Epochs", help="Passes over each batch.", ge=1, le=100, folded=True)
    minibatch: int = param(512, title="Minibatch", help="Steps that one gradient is of.", ge=8, le=65536, folded=True)
    rate: float = param(5e-4, title="Learning rate", help="Adam's.", ge=1e-7, le=0.1, folded=True)
    anneal: bool = param(
        True, title="Anneal", help="Let the learning rate fall to a tenth; off as published.", folded=True
    )
    gamma: float = param(0.99, title="Discount", help="Of rewards to come, a step.", ge=0, le=1, folded=True)
    entropy_bonus: float = param(
        0.0, title="Entropy bonus", help="Weight of the policy's entropy in the loss.", ge=0, le=1, folded=True
    )
    reward: Literal["step", "pixel"] = param(
        "pixel",
        title="Reward",
        help="What pays: the mean of the centreline along a step (step, as published), or that times its length.",
        folded=True,
    )
    midway: float = param(
        0.5,
        title="Midway",
        help="Share of the episodes that start on the axon with a direction, not at its end.",
        ge=0,
        le=1,
        folded=True,
    )
    give_up: bool = param(
        True, title="Give up", help="End an episode when the axon has been out of sight for four steps.", folded=True
    )
    validate_every: int = param(25, title="Validate", help="Updates between two scores.", ge=1, le=10_000, folded=True)
    validation: int = param(
        200, title="Validation pictures", help="Pictures that a score is of.", ge=1, le=10_000, folded=True
    )


def run(job: Job, memory: Memory) -> Run:
    """Train and write the model; an interrupted training in the same folder is taken up again."""
    from napari_medseg.nn import store

    params = cast(Params, job.params)
    store.check_pattern(params.name)
    store.check_folder(params.out)
    if (params.out / f"{params.name}.json").exists():
        raise InputError(f"There is a model {params.name!r} in {params.out} already. Choose another name or folder.")
    training = _training(params)
    yield from _taken_up(training, params)
    yield from _trained(training, params)
    return _written(training, params)


def _training(params: Params) -> Training:
    from napari_medseg.nn.device import choose
    from napari_medseg.rl.ppo import Constants
    from napari_medseg.rl.training import Training

    constants = Constants(
        gamma=params.gamma,
        epochs=params.epochs,
        minibatch=params.minibatch,
        rate=params.rate,
        entropy_bonus=params.entropy_bonus,
    )
    return Training(constants, choose(), seed=params.seed, reward=params.reward, give_up=params.give_up)


def _taken_up(training: Training, params: Params) -> Generator[Event, None, None]:
    """Load what an earlier run of the same training left."""
    from napari_medseg.rl.training import files

    checkpoint = _checkpoint(params)
    if not files(checkpoint)["json"].exists():
        return
    before = training.facts_of(checkpoint)
    changed = [key for key, value in _facts(params).items() if before.get(key) != value]
    if changed:
        raise InputError(
            f"{params.out} holds an unfinished training {params.name!r} with another {', '.join(changed)}. "
            "Give the same parameters to go on with it, or choose another name or folder."
        )
    training.load(checkpoint)
    yield Note(f"Going on after {training.progress.updates} updates.")


def _trained(training: Training, params: Params) -> Generator[Event, None, None]:
    """Update until all are done; score and save now and then."""
    from napari_medseg.train.simulate.axons import STEP_PX

    exam = _draw(params, VALIDATION_SEED, params.validation, midway=0.0)
    progress = training.progress
    while progress.updates < params.updates:
        training.learner.set_rate(_rate_share(progress.updates, params))
        batch = _draw(params, progress.updates, params.episodes, midway=params.midway)
        if progress.updates < params.lessons:
            figures = training.imitate(_scenes(batch), batch.lines, STEP_PX)
        else:
            figures = training.update(_scenes(batch))
        last = progress.updates == params.updates
        if progress.updates % params.validate_every == 0 or last:
            figures |= training.examine(_scenes(exam), exam.lines)
            params.out.mkdir(parents=True, exist_ok=True)
            training.save(_checkpoint(params), _facts(params))
            _write_log(progress.curves, params.out / f"{params.name}.csv")
        for name, value in figures.items():
            yield Scalar(name, progress.updates, value)
        yield Progress(progress.updates, params.updates, "training the tracer")


def _rate_share(update: int, params: Params) -> float:
    """The learning rate falls in a straight line, once over the lessons and once over the updates after them."""
    if not params.anneal:
        return 1.0
    lessons = min(params.lessons, params.updates)
    first, last = (0, lessons) if update < lessons else (lessons, params.updates)
    return 1 - (1 - LAST_RATE_SHARE) * (update - first) / (last - first)


def _draw(params: Params, number: int, count: int, *, midway: float) -> Episodes:
    from napari_medseg.train.simulate import episodes

    return episodes.draw(params.condition, (params.seed, number), count, midway=midway)


def _scenes(batch: Episodes) -> Any:
    from napari_medseg.rl.tracing_env import Scenes

    return Scenes.of(batch.images, batch.truth, batch.history, batch.ends)


def _written(training: Training, params: Params) -> Result:
    """Write weights and card, and take the checkpoint away."""
    from napari_medseg.nn.store import Card, write
    from napari_medseg.rl.tracer import ARCHITECTURE
    from napari_medseg.rl.training import files

    progress = training.progress
    figures = {name: points[-1][1] for name, points in progress.curves.items() if name.startswith("validation")}
    at = {name: dict(points)[progress.best_update] for name, points in progress.curves.items() if name in figures}
    card = Card(
        name=params.name,
        task="axons",
        architecture=ARCHITECTURE,
        arguments={},
        channels=1,
        image_channels=1,
        normalisation="brightness",
        axes="yx",
        training_data=f"simulated axons ({params.condition}), {progress.updates * params.episodes} pictures",
        licence="BSD-3-Clause",
        figures={name: round(value, 4) for name, value in at.items()},
        parameters={**_facts(params), "best_update": progress.best_update, "hours": round(progress.seconds / 3600, 3)},
        seed=params.seed,
        steps=progress.steps,
        precision=training.device.precision_name,
    )
    stored = write(card, {f"actor.{key}": tensor for key, tensor in training.best.items()}, params.out)
    for path in files(_checkpoint(params)).values():
        path.unlink(missing_ok=True)
    summary = f"tracer written to {stored.weights} after {progress.updates} updates ({progress.steps} steps)"
    return Result(summary, {"model": str(stored.weights), **at})


def _checkpoint(params: Params) -> Path:
    return params.out / f"{params.name} (training)"


def _facts(params: Params) -> dict[str, Any]:
    """What must not change when a training goes on."""
    return params.model_dump(mode="json", exclude=_MAY_CHANGE)


def _write_log(curves: dict[str, list[tuple[int, float]]], path: Path) -> None:
    """Write the curves as a table: update, name of the curve, value."""
    rows = [f"{update},{name},{value:.5g}" for name in curves for update, value in curves[name]]
    path.write_text("\n".join(["update,curve,value", *rows]) + "\n", encoding="utf-8")
