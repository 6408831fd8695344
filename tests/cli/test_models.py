"""`medseg models`: list, show, remove."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_medseg.cli import main
from napari_medseg.cli.models import describe, table
from napari_medseg.nn import store


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["name", "task", "classes", "size", "licence", "origin"]
    assert all(card.name in out for card in store.models())


def test_an_unknown_model_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "show", "nobody"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("medseg: There is no model 'nobody'")
    assert captured.err.count("\n") == 1


def test_columns_are_aligned():
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"linear_head": False}, "the network alone"),
        (
            {"linear_head": True, "head_share": 0.25},
            "the network (75 %) and the linear model of the instant answer (25 %), averaged",
        ),
    ],
)
def test_show_says_who_answers(facts: dict, sentence: str):
    card = store.find("encoder").model_copy(update={"task": "segmentation", **facts})
    assert [line for line in describe(card).splitlines() if line.split("  ")[0] == "answers with"][0].endswith(sentence)
    assert "head" not in "".join(line.split("  ")[0] for line in describe(card).splitlines())


def test_remove_takes_a_model_out_of_the_list_and_says_where_it_lies(
    model: str, own_models: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["models", "remove", model]) == 0
    assert f"Removed: m. Its files are in {own_models / 'removed'}" in capsys.readouterr().out
    assert {path.name for path in (own_models / "removed").iterdir()} == {"m.json", "m.safetensors"}
    assert main(["models"]) == 0
    assert "\nm " not in capsys.readouterr().out
    assert main(["models", "remove", model]) == 2
    assert "You have no model 'm' to remove. Your own models: none." in capsys.readouterr().err


def test_a_shipped_model_stays(capsys: pytest.CaptureFixture[str]):
    assert main(["models", "remove", "encoder"]) == 2
    assert "came with the package and cannot be removed" in capsys.readouterr().err
    assert store.find("encoder").weights.exists()
