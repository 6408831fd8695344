"""Options made from a tool's ``Params``, and ``Params`` made from the options."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_medseg.core.errors import InputError
from napari_medseg.core.params import Params, ParamSpec, specs


def add_options(parser: argparse.ArgumentParser, params: type[Params]) -> None:
    """Add one option for each parameter; what is folded in the form comes in a group of its own."""
    shown, folded = parser.add_argument_group("parameters"), parser.add_argument_group("more parameters")
    for spec in specs(params):
        _add(folded if spec.folded else shown, spec)
    parser.add_argument(
        "--params",
        metavar="FILE",
        type=Path,
        help="JSON file of parameters, such as those a result was made with; options given here come first",
    )


def from_options(params: type[Params], args: argparse.Namespace) -> Params:
    """Build the tool's parameters; ``Params`` itself checks them and words the complaint."""
    given = {spec.name: getattr(args, spec.name) for spec in specs(params) if hasattr(args, spec.name)}
    return params.from_user({**_from_file(args.params), **given})


def _add(group: Any, spec: ParamSpec) -> None:
    settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(spec)}
    if spec.kind is bool:
        settings["action"] = argparse.BooleanOptionalAction
    elif spec.kind is dict:
        settings |= {"action": _Pairs, "nargs": "+", "metavar": "KEY=VALUE"}
    elif spec.kind in (list, tuple):
        settings |= {"nargs": "+", "metavar": spec.name.upper()}
    else:
        settings |= {"choices": spec.choices or None, "metavar": None if spec.choices else spec.name.upper()}
    group.add_argument(f"--{spec.name.replace('_', '-')}", dest=spec.name, **settings)


def _help(spec: ParamSpec) -> str:
    facts = [] if spec.default in (None, "", {}) else [f"default {_plain(spec.default)}"]
    facts += [f"{_plain(spec.low)} to {_plain(spec.high)}"] if spec.low is not None and spec.high is not None else []
    facts += [spec.unit] if spec.unit else []
    text = f"{spec.help} ({'; '.join(facts)})" if facts else spec.help
    return text.replace("%", "%%")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value) if whole else value)


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"--params {path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"--params {path} holds no parameters; expected a JSON object of names and values.")
    return content


class _Pairs(argparse.Action):
    """Reads 1=tumour 2=rest into a dictionary."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the pairs; complain about a word without an equals sign."""
        words = [values] if isinstance(values, str) else list(values or ())
        if wrong := [word for word in words if "=" not in word]:
            parser.error(f"{option_string}: {wrong[0]!r} is no KEY=VALUE pair, such as 1=tumour")
        pairs = (word.split("=", 1) for word in words)
        setattr(namespace, self.dest, {key.strip(): value.strip() for key, value in pairs})
