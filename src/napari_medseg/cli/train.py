"""`medseg train WHAT`: tools whose inputs are folders named in their parameters and whose result is a model."""

from __future__ import annotations

import argparse

from napari_medseg import tools
from napari_medseg.cli import _console, _params
from napari_medseg.core.job import Job

TRAINERS = {
    "encoder": ("encoder", "the encoder that Teach starts from"),
    "axons": ("axon_training", "the tracer of axons"),
}
"""Tool (a name in ``napari_medseg.tools.MODULES``) of each word, and what it trains."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand for each trainer, its options made from its ``Params``."""
    trainers = parser.add_subparsers(dest="trainer", metavar="WHAT", title="what to train", required=True)
    for name, (tool, sentence) in TRAINERS.items():
        trainer = trainers.add_parser(name, help=sentence, description=f"Train {sentence}.", allow_abbrev=False)
        _console.add_option(trainer)
        _params.add_options(trainer, tools.load(tool).Params)


def run(args: argparse.Namespace) -> str:
    """Train and say where the model is."""
    from napari_medseg.run.inline import run_inline

    tool, _ = TRAINERS[args.trainer]
    params = _params.from_options(tools.load(tool).Params, args)
    with _console.Console(quiet=args.quiet) as console:
        result = run_inline(tool, Job(images={}, params=params), on_event=console.show)
    model = result.values.get("model")
    return f"{result.summary}\nModel: {model}" if model else result.summary
