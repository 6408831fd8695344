from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, ValidationError

from napari_medseg.core.errors import InputError
from napari_medseg.core.params import Params, limits_text, number_text, param, specs


class Bake(Params):
    """Parameters of a tool that does not exist."""

    minutes: float = param(30.0, title="Time", help="How long.", unit="min", ge=0, le=600)
    shelf: Literal["low", "middle"] = param("middle", title="Shelf", help="Where.")
    fan: bool = param(True, title="Fan", help="Moves the air.", folded=True)
    rack: int | None = param(None, title="Rack", help="Which one.", ge=1)
    names: dict[int, str] = param({}, title="Names", help="By number.")


def test_specs_tell_all_that_a_form_needs() -> None:
    minutes, shelf, fan, rack, names = specs(Bake)
    assert [spec.name for spec in specs(Bake)] == ["minutes", "shelf", "fan", "rack", "names"]
    assert (minutes.kind, minutes.default, minutes.unit, minutes.low, minutes.high) == (float, 30.0, "min", 0, 600)
    assert (minutes.title, minutes.help, minutes.folded, minutes.optional) == ("Time", "How long.", False, False)
    assert (shelf.kind, shelf.choices, shelf.low) == (str, ("low", "middle"), None)
    assert (fan.kind, fan.folded) == (bool, True)
    assert (rack.kind, rack.optional, rack.low, rack.high) == (int, True, 1, None)
    assert (names.kind, names.default) == (dict, {})


def test_from_user_builds() -> None:
    assert Bake.from_user({"minutes": 5, "rack": "2"}) == Bake(minutes=5.0, rack=2)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"minutes": -1}, "minutes = -1 does not fit: Time must be a number from 0 to 600 min."),
        ({"minutes": "long"}, "minutes = 'long' does not fit: Time must be a number from 0 to 600 min."),
        ({"shelf": "top"}, "shelf = 'top' does not fit: Shelf must be 'low' or 'middle'."),
        ({"fan": "blue"}, "fan = 'blue' does not fit: Fan must be true or false."),
        ({"rack": 0}, "rack = 0 does not fit: Rack must be a whole number at least 1, or nothing."),
        ({"names": {"x": "y"}}, "names = 'x' does not fit: Names must be pairs of a whole number and text."),
        ({"names": 3}, "names = 3 does not fit: Names must be pairs of a whole number and text."),
        ({"sugar": 1}, "sugar is not a parameter here; known are: minutes, shelf, fan, rack, names."),
    ],
)
def test_from_user_says_what_is_wrong_in_a_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Bake.from_user(values)
    assert str(caught.value) == sentence


def test_every_bad_value_is_named() -> None:
    with pytest.raises(InputError, match=r"^minutes = 'x' .*; rack = 0 .*\.$"):
        Bake.from_user({"minutes": "x", "rack": 0})


def test_a_parameter_that_is_missing_is_named() -> None:
    class Strict(Params):
        where: Path = Field(title="Folder")

    with pytest.raises(InputError, match=r"^where is missing: Folder must be a path\.$"):
        Strict.from_user({})


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (600.0, "600"), (86400, "86,400"), (2**31, "2,147,483,648"), (0.002, "0.002"), (1e-6, "0.000001")],
)
def test_numbers_are_written_without_an_exponent(value: float, text: str) -> None:
    assert number_text(value) == text
    assert number_text(value, grouped=False) == text.replace(",", "")


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(None, None, ""), (1, None, "at least 1"), (None, 9, "at most 9"), (1e-6, 1, "from 0.000001 to 1")],
)
def test_limits_in_words(low: float | None, high: float | None, text: str) -> None:
    assert limits_text(low, high) == text


def test_parameters_of_a_base_come_after_the_own_ones() -> None:
    class Cake(Bake):
        icing: bool = param(True, title="Icing", help="On top.")

    assert [spec.name for spec in specs(Cake)] == ["icing", "minutes", "shelf", "fan", "rack", "names"]


def test_params_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Bake().minutes = 3
