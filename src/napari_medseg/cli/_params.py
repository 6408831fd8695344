"""Options made from a tool's ``Params``, and ``Params`` made from the options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from napari_medseg.cli._parser import file_path
from napari_medseg.core.errors import InputError
from napari_medseg.core.params import Params, ParamSpec, limits_text, number_text, specs

P = TypeVar("P", bound=Params)


def add_options(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """Add one option for each parameter; what is folded in the form comes in a group of its own."""
    shown, folded = parser.add_argument_group("parameters"), parser.add_argument_group("more parameters")
    for spec in specs(params):
        _add(folded if spec.folded else shown, spec, needed=spec.name in _needed(params))
    parser.add_argument(
        "--params",
        metavar="FILE",
        type=file_path,
        help="JSON file of parameters, such as those a result was made with; options given here come first",
    )


def from_options(params: type[P], args: argparse.Namespace) -> P:
    """Build the tool's parameters; ``Params`` itself checks them and words the complaint."""
    given = {spec.name: getattr(args, spec.name) for spec in specs(params) if hasattr(args, spec.name)}
    values = {**_from_file(args.params), **given}
    for name, help_text in _needed(params).items():
        if name not in values:
            raise InputError(f"{_option(name)} is missing. {help_text}")
    return params.from_user(values)


def _needed(params: type[Params]) -> dict[str, str]:
    """The parameters without a default, and what they are."""
    return {name: info.description or "" for name, info in params.model_fields.items() if info.is_required()}


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add(group: Any, spec: ParamSpec, *, needed: bool) -> None:
    settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(spec, needed=needed)}
    if spec.kind is bool:
        settings["action"] = argparse.BooleanOptionalAction
    elif spec.kind is dict:
        settings |= {"action": _Pairs, "metavar": "1=A,2=B"}
    elif spec.kind in (list, tuple):
        settings |= {"type": _words, "metavar": "A,B"}
    else:
        settings |= {"choices": spec.choices or None, "metavar": None if spec.choices else spec.name.upper()}
    group.add_argument(_option(spec.name), dest=spec.name, **settings)


def _help(spec: ParamSpec, *, needed: bool) -> str:
    facts = ["required"] if needed else []
    facts += [f"default {_plain(spec.default)}"] if spec.default not in (None, "", {}) else []
    facts += [limits] if (limits := limits_text(spec.low, spec.high)) else []
    facts += [spec.unit] if spec.unit else []
    facts += ["or A,B in the order of the labels"] if spec.kind is dict else []
    text = f"{spec.help} ({'; '.join(facts)})" if facts else spec.help
    return text.replace("%", "%%")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return number_text(value, grouped=False) if isinstance(value, int | float) else str(value)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--params {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--params {path} is no JSON file of parameters: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"--params {path} holds no parameters; expected a JSON object of names and values.")
    return content


def _words(text: str) -> list[str]:
    """The words between the commas."""
    return [word.strip() for word in text.split(",")]


class _Pairs(argparse.Action):
    """Reads 1=tumour,2=rest, or tumour,rest in the order of the labels, into a dictionary.

    The words stand in one argument, so that the option cannot swallow the images after it; given again, it goes on.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the pairs; complain about what is none."""
        before: dict[str, str] = getattr(namespace, self.dest, {})
        words = _words(str(values))
        if len({"=" in word for word in words}) > 1:
            parser.error(f"{option_string} {values}: number all of them, as in 1=A,2=B, or none, as in A,B")
        pairs = [word.split("=", 1) for word in words] if "=" in words[0] else _numbered(words, len(before) + 1)
        found = [(key.strip(), value.strip()) for key, value in pairs]
        keys = [*before, *(key for key, _ in found)]
        if not all(key and value for key, value in found):
            parser.error(f"{option_string} {values}: {_what_is_missing(words, option_string)}")
        if twice := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
            parser.error(f"{option_string} {values}: {twice[0]} is given twice")
        setattr(namespace, self.dest, before | dict(found))


def _what_is_missing(words: list[str], option: str | None) -> str:
    if len(words) > 1 and not words[-1]:
        cure = f'Write no space after a comma, or put all of it in quotes: {option} "A, B"'
        return f"nothing stands after the last comma. {cure}"
    return "something is missing around a comma or an equals sign"


def _numbered(words: list[str], first: int) -> list[list[str]]:
    return [[str(number), word] for number, word in enumerate(words, start=first)]
