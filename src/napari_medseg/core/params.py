"""Tool parameters: declared once, used by the form, the command line and provenance."""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from napari_medseg.core.errors import InputError


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
    """Describe the parameters of a tool in the order of their declaration."""
    return [_spec(name, info) for name, info in params.model_fields.items()]


def _spec(name: str, info: FieldInfo) -> ParamSpec:
    kind, choices, optional = _resolve(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    limits = {key: getattr(item, key) for item in info.metadata for key in ("ge", "le") if hasattr(item, key)}
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


def _sentence(params: type[Params], error: ValidationError) -> str:
    parts = []
    for item in error.errors():
        name = ".".join(str(part) for part in item["loc"]) or params.__name__
        if item["type"] == "extra_forbidden":
            known = ", ".join(params.model_fields)
            parts.append(f"{name} is not a parameter here; known are: {known}")
        else:
            parts.append(f"{name} = {item['input']!r}: {item['msg'][0].lower()}{item['msg'][1:]}")
    return "; ".join(parts) + "."
