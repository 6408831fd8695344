from __future__ import annotations

from typing import Literal

import pytest
from pydantic import ValidationError

from napari_medseg.core.errors import InputError
from napari_medseg.core.params import Params, param, specs


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
        ({"minutes": -1}, "minutes = -1: input should be greater than or equal to 0."),
        ({"minutes": 601.0}, "minutes = 601.0: input should be less than or equal to 600."),
        ({"shelf": "top"}, "shelf = 'top': input should be 'low' or 'middle'."),
        ({"sugar": 1}, "sugar is not a parameter here; known are: minutes, shelf, fan, rack, names."),
    ],
)
def test_from_user_says_what_is_wrong_in_a_sentence(values: dict, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Bake.from_user(values)
    assert str(caught.value) == sentence


def test_every_bad_value_is_named() -> None:
    with pytest.raises(InputError, match=r"^minutes = 'x': .*; rack = 0: .*\.$"):
        Bake.from_user({"minutes": "x", "rack": 0})


def test_params_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Bake().minutes = 3
