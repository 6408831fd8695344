"""`medseg models`: what there is to start from and to apply."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from napari_medseg.nn import store

COLUMNS = ("name", "task", "classes", "size", "licence", "origin")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="show all that is known of one model", allow_abbrev=False)
    show.add_argument("model", metavar="NAME", help="name of a model, or path of its file")
    remove = actions.add_parser("remove", help="take one of your own models out of the list", allow_abbrev=False)
    remove.add_argument("model", metavar="NAME", help="name of the model; its files are kept in a folder aside")


def run(args: argparse.Namespace) -> str:
    """List the models, describe one or remove one."""
    if args.action == "remove":
        attic = store.remove(args.model)
        return f"Removed: {args.model}. Its files are in {attic}; delete them there, or move them back."
    if args.action == "show":
        return describe(store.find(args.model))
    rows = [_row(card) for card in store.models()]
    return f"{table([COLUMNS, *rows])}\n\nYour own models are kept in {store.user_folder()}"


def describe(card: store.Card) -> str:
    """Everything a card says, one line a fact."""
    hidden = {"folder", "linear_head", "head_share"}
    facts = {name: value for name, value in card.model_dump(exclude=hidden).items() if value not in ("", {}, None)}
    facts |= {"answers_with": _answer(card)} if card.task == "segmentation" else {}
    facts |= {"file": card.weights, "size": _size(card)}
    width = max(map(len, facts))
    return "\n".join(f"{name.replace('_', ' '):<{width}}  {_plain(value)}" for name, value in facts.items())


def table(rows: Sequence[Sequence[str]]) -> str:
    """Align columns; the last one is not padded."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _row(card: store.Card) -> tuple[str, ...]:
    classes = ", ".join(card.classes.values()) or "-"
    return card.name, card.task, classes, _size(card), card.licence or "-", "shipped" if card.shipped else "yours"


def _size(card: store.Card) -> str:
    if not card.weights.exists():
        return "file missing"
    return f"{card.weights.stat().st_size / 1e6:.1f} MB"


def _answer(card: store.Card) -> str:
    """Who answers: the network, the linear head on fixed filters, or their weighted mean."""
    if not card.linear_head:
        return "the network alone"
    share = round(100 * card.head_share)
    return f"the network ({100 - share} %) and the linear model of the instant answer ({share} %), averaged"


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return str(value)
