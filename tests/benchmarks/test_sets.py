"""The measuring sets: what is scored, what may be learned from, which images are paired."""

import numpy as np
import pytest

from benchmarks import sets


def shared_data_is_missing() -> bool:
    try:
        sets.data_folder()
    except sets.DataMissing:
        return True
    return False


needs_data = pytest.mark.skipif(shared_data_is_missing(), reason="../shared/data is not beside this checkout")


@needs_data
@pytest.mark.parametrize("name", sets.REAL_SETS)
def test_pairs_hold_both_classes_in_two_images_of_different_groups(name):
    pairs = sets.pairs(name)
    assert len(pairs) == 5
    for painted, other in pairs:
        assert painted.group != other.group
        for case in (painted, other):
            assert case.image.dtype == np.uint8
            assert case.image.shape[:2] == case.truth.shape
            assert set(np.unique(case.truth)) == {1, 2}
            assert 0.05 < np.mean(case.truth == 2) < 0.95


@needs_data
@pytest.mark.parametrize("name", ["tumour", "nuclei", "glomeruli"])
def test_what_is_scored_is_never_pretrained_on(name):
    scored, seen = set(sets.evaluation_names(name)), set(sets.pretraining_names(name))
    assert scored and seen
    assert not scored & seen


@needs_data
def test_nothing_that_may_only_be_measured_is_offered_for_pretraining():
    assert all(sets.pretraining_names(name) == () for name in ("glands", "membranes"))


@needs_data
def test_touching_glomeruli_tiles_are_on_one_side_of_the_split():
    scored = {sets.load("glomeruli", name).group for name in sets.evaluation_names("glomeruli")}
    seen = {sets.load("glomeruli", name).group for name in sets.pretraining_names("glomeruli")}
    assert not scored & seen


def test_the_tissue_pairs_need_no_files_and_repeat():
    first = [(a.name, b.name) for a, b in sets.pairs("tissue6")]
    sets.pairs.cache_clear()
    assert first == [(a.name, b.name) for a, b in sets.pairs("tissue6")]
    assert all(a != b for a, b in first)


def test_missing_data_is_named_with_the_cure(monkeypatch, tmp_path):
    monkeypatch.setenv("MEDSEG_SHARED_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(sets.DataMissing, match=r"nowhere.*MEDSEG_SHARED_DATA"):
        sets.data_folder()


def test_an_unknown_set_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="tumour"):
        sets.cases("bones")


@needs_data
def test_the_shipped_encoder_learns_from_the_pretraining_half_only():
    from napari_medseg.train.recipes import encoder

    assert set(encoder.TUMOUR_TILES) == set(sets.pretraining_names("tumour"))
    assert set(encoder.GLOMERULI_TILES) == set(sets.pretraining_names("glomeruli"))
    names = sorted(path.name for path in (sets.data_folder() / "nuclei/DSB2018_color").iterdir())
    assert set(names[1::2]) == set(sets.pretraining_names("nuclei"))
