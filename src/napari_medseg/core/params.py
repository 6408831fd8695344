"""Tool parameters: declared once, used by the form, the command line and provenance."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined

from napari_medseg.core.errors import InputError

LARGEST_WHOLE = 2**31 - 1
"""The highest limit of a whole number: controls on screen hold no larger ones, and what they offer is what is taken."""
LONGEST_SHOWN = 60
"""A complaint shows no more than this of what was given."""


class Params(BaseModel):
    """Base of every tool's parameters: frozen, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_user(cls, values: dict[str, Any]) -> typing.Self:
        """Build from what a user gave; a bad value becomes one plain sentence."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise InputError(_sentence(cls, error)) from error


def param(
    default: Any,
    *,
    title: str,
    help: str,
    unit: str = "",
    folded: bool = False,
    ge: float | None = None,
    le: float | None = None,
) -> Any:
    """Declare one parameter.

    Parameters
    ----------
    title, help, unit
        Label of the control, tooltip, and physical unit as the user reads it.
    folded
        True hides the control under "More" in the form.
    ge, le
        Inclusive limits.
    """
    extra = {"unit": unit, "folded": folded}
    return Field(default, title=title, description=help, ge=ge, le=le, json_schema_extra=extra)


@dataclass(frozen=True)
class ParamSpec:
    """All that a form or a command line needs to know about one parameter."""

    name: str
    kind: type
    default: Any
    title: str
    help: str
    unit: str
    folded: bool
    choices: tuple[Any, ...]
    low: float | None
    high: float | None
    optional: bool


def specs(params: type[Params]) -> list[ParamSpec]:
    """Describe the parameters of a tool in the order of their declaration; those of a base come last."""
    names = sorted(params.model_fields, key=lambda name: _depth(params, name))
    return [_spec(name, params.model_fields[name]) for name in names]


def _depth(params: type[Params], name: str) -> int:
    """How many classes above ``params`` the parameter is declared."""
    return next(depth for depth, kind in enumerate(params.__mro__) if name in inspect.get_annotations(kind))


def number_text(value: float, *, grouped: bool = True) -> str:
    """A number as a person writes it: no exponent, no trailing zeros, six digits of a fraction."""
    if float(value).is_integer():
        return f"{int(value):,}" if grouped else str(int(value))
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def limits_text(low: float | None, high: float | None) -> str:
    """The limits in words; empty where there is none."""
    if low is not None and high is not None:
        return f"from {number_text(low)} to {number_text(high)}"
    if low is not None:
        return f"at least {number_text(low)}"
    return "" if high is None else f"at most {number_text(high)}"


def _spec(name: str, info: FieldInfo) -> ParamSpec:
    kind, choices, optional = _resolve(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    limits = _limits(info.metadata)
    return ParamSpec(
        name=name,
        kind=kind,
        default=None if info.default is PydanticUndefined else info.default,
        title=info.title or name,
        help=info.description or "",
        unit=str(extra.get("unit", "")),
        folded=bool(extra.get("folded", False)),
        choices=choices,
        low=limits.get("ge"),
        high=limits.get("le"),
        optional=optional,
    )


def _resolve(annotation: Any) -> tuple[type, tuple[Any, ...], bool]:
    """Split an annotation into its plain type, its choices and whether None is allowed."""
    optional = False
    if get_origin(annotation) in (typing.Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        optional = len(inner) < len(get_args(annotation))
        annotation = inner[0]
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return type(choices[0]), choices, optional
    return get_origin(annotation) or annotation, (), optional


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
"""How a complaint calls the type of a parameter."""


def _sentence(params: type[Params], error: ValidationError) -> str:
    complaints = dict.fromkeys(_complaint(params, item) for item in error.errors())
    return "; ".join(complaints) + "."


def _complaint(params: type[Params], item: ErrorDetails) -> str:
    """What is wrong with one value: its name, what was given, what it must be."""
    name = str(item["loc"][0]) if item["loc"] else params.__name__
    if item["type"] == "extra_forbidden" or name not in params.model_fields:
        return f"{name} is not a parameter here; known are: {', '.join(params.model_fields)}"
    wanted = f"{params.model_fields[name].title or name} must be {_wanted(params, name)}"
    if item["type"] == "missing":
        return f"{name} is missing: {wanted}"
    if item["type"] == "value_error":
        wanted = str(item.get("ctx", {}).get("error", item["msg"]))
    given = repr(item["input"])
    shown = given if len(given) <= LONGEST_SHOWN else f"{given[:LONGEST_SHOWN]} ..."
    return f"{name} = {shown} does not fit: {wanted}"


def _wanted(params: type[Params], name: str) -> str:
    """What a value may be, in words."""
    info = params.model_fields[name]
    spec = _spec(name, info)
    if spec.choices:
        text = " or ".join(map(repr, spec.choices))
    elif spec.kind is dict:
        text = f"pairs of {' and '.join(map(_word, get_args(info.annotation)))}"
    else:
        text = " ".join(filter(None, [_word(spec.kind), limits_text(spec.low, spec.high), spec.unit]))
    return f"{text}, or nothing" if spec.optional else text


def _word(kind: Any) -> str:
    plain, *facts = get_args(kind) if get_origin(kind) is Annotated else (kind,)
    limits = _limits(fact for info in facts if isinstance(info, FieldInfo) for fact in info.metadata)
    text = _WORDS.get(plain) or f"a {getattr(plain, '__name__', plain)}"
    return f"{text} {limits_text(limits.get('ge'), limits.get('le'))}".rstrip()


def _limits(facts: Iterable[Any]) -> dict[str, float]:
    """The inclusive limits among what is known of a value."""
    return {key: getattr(fact, key) for fact in facts for key in ("ge", "le") if hasattr(fact, key)}
