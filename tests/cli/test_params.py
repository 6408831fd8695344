"""Options made from parameters."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from napari_medseg.cli import OneLineParser, _params
from napari_medseg.core.errors import InputError
from napari_medseg.core.params import specs
from napari_medseg.tools.encoder import Params as EncoderParams
from napari_medseg.tools.scribbles import Params


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = OneLineParser()
    _params.add_options(parser, Params)
    return parser


def test_every_parameter_is_an_option_with_its_help(parser: argparse.ArgumentParser):
    text = " ".join(parser.format_help().split())
    for spec in specs(Params):
        assert f"--{spec.name.replace('_', '-')}" in text
        assert spec.help.split(".")[0].split(";")[0][:30] in text


def test_options_make_the_same_parameters_as_python_does(parser: argparse.ArgumentParser):
    words = ["--seconds", "7", "--no-blend-linear", "--classes", "1=tumour,2=all the rest", "--balancing", "none"]
    expected = Params(seconds=7, blend_linear=False, classes={1: "tumour", 2: "all the rest"}, balancing="none")
    assert _params.from_options(Params, parser.parse_args(words)) == expected
    assert _params.from_options(Params, parser.parse_args([])) == Params()


def test_a_file_of_parameters_gives_way_to_options(parser: argparse.ArgumentParser, tmp_path: Path):
    file = tmp_path / "params.json"
    file.write_text(Params(seconds=3, seed=4, classes={1: "a", 2: "b"}).model_dump_json())
    made = _params.from_options(Params, parser.parse_args(["--params", str(file), "--seed", "9"]))
    assert made == Params(seconds=3, seed=9, classes={1: "a", 2: "b"})


@pytest.mark.parametrize("content", ["[1, 2]", "not json", "[" * 100_000, '{"colour": 1}'])
def test_a_bad_file_of_parameters_is_named(parser: argparse.ArgumentParser, tmp_path: Path, content: str):
    file = tmp_path / "params.json"
    file.write_text(content)
    with pytest.raises(InputError, match="params.json|colour is not a parameter"):
        _params.from_options(Params, parser.parse_args(["--params", str(file)]))


@pytest.mark.parametrize(
    ("words", "classes"),
    [
        (["--classes", "tumour,all the rest"], {1: "tumour", 2: "all the rest"}),
        (["--classes", "2=rest, 1=tumour"], {1: "tumour", 2: "rest"}),
        (["--classes", "tumour", "--classes", "rest"], {1: "tumour", 2: "rest"}),
        (["--classes", "3=a=b"], {3: "a=b"}),
    ],
)
def test_names_by_label_or_in_order(parser: argparse.ArgumentParser, words: list[str], classes: dict[int, str]):
    assert _params.from_options(Params, parser.parse_args(words)).classes == classes


def test_names_do_not_swallow_the_image_after_them(parser: argparse.ArgumentParser):
    parser.add_argument("image")
    assert parser.parse_args(["--classes", "tumour,rest", "slide.tif"]).image == "slide.tif"


def test_a_space_after_the_comma_is_explained(parser: argparse.ArgumentParser):
    parser.add_argument("image", nargs="*")
    with pytest.raises(InputError) as error:
        parser.parse_args(["a.tif", "--classes", "tumour,", "stroma"])
    assert 'Write no space after a comma, or put all of it in quotes: --classes "A, B".' in str(error.value)
    assert parser.parse_args(["--classes", "tumour, stroma"]).classes == {"1": "tumour", "2": "stroma"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tumour,2=rest", "number all of them, as in 1=A,2=B, or none, as in A,B"),
        ("tumour,,rest", "something is missing"),
        ("", "something is missing"),
        ("1=", "something is missing"),
        ("1=a,1=b", "1 is given twice"),
    ],
)
def test_names_that_are_none_are_refused(parser: argparse.ArgumentParser, text: str, sentence: str):
    with pytest.raises(InputError, match=sentence):
        parser.parse_args(["--classes", text])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--colours", "red"], r"'red' is no colour; write it as #rrggbb"),
        (["--colours", "1=#12345"], r"'#12345' is no colour"),
        (["--classes", "0=ground"], r"a whole number from 1 to 255"),
        (["--classes", "300=high"], r"a whole number from 1 to 255"),
        (["--seconds", "nan"], r"seconds = 'nan' does not fit: Training time must be a number from 1 to 86,400 s"),
    ],
)
def test_values_that_do_not_fit_are_refused_in_words(parser: argparse.ArgumentParser, words: list[str], sentence: str):
    with pytest.raises(InputError, match=sentence):
        _params.from_options(Params, parser.parse_args(words))


def test_what_is_needed_is_said_in_the_help_and_when_it_is_missing(tmp_path: Path):
    parser = OneLineParser()
    _params.add_options(parser, EncoderParams)
    assert parser.format_help().count("(required)") == 2
    with pytest.raises(InputError, match=r"^--out is missing. Folder that NAME"):
        _params.from_options(EncoderParams, parser.parse_args(["--data", "."]))
    file = tmp_path / "params.json"
    file.write_text('{"data": "a", "out": "b"}')
    made = _params.from_options(EncoderParams, parser.parse_args(["--params", str(file), "--data", "c"]))
    assert (made.data, made.out) == (Path("c"), Path("b"))


def test_help_writes_numbers_without_exponents(parser: argparse.ArgumentParser):
    assert "from 0.000001 to 1" in " ".join(parser.format_help().split())
