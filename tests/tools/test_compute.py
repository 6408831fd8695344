from __future__ import annotations

import pytest

from napari_medseg.core.params import Params, specs
from napari_medseg.tools import apply, scribbles
from napari_medseg.tools.compute import Compute


@pytest.mark.parametrize("params", [apply.Params, scribbles.Params])
def test_a_tool_with_a_network_takes_the_shared_parameters_as_they_are(params: type[Params]) -> None:
    shared = {spec.name: spec for spec in specs(Compute)}
    assert {spec.name: spec for spec in specs(params)}.items() >= shared.items()
    assert list(shared) == ["device", "precision"]
    assert [spec.name for spec in specs(params)][-2:] == list(shared)


@pytest.mark.parametrize("params", [apply.Params, scribbles.Params])
def test_the_shared_parameters_are_in_the_provenance(params: type[Params]) -> None:
    given = params.from_user({"device": "cpu", "precision": "fp32"}).model_dump(mode="json")
    assert (given["device"], given["precision"]) == ("cpu", "fp32")
