from __future__ import annotations

import pytest

from napari_medseg.core.classes import SegmentationClass, default_class, from_json, to_json

TWO = (SegmentationClass(2, "stroma", "#00ff00"), SegmentationClass(11, "Gefäß", "#123456"))


def test_round_trip():
    assert from_json(to_json(TWO)) == TWO


def test_classes_come_in_the_order_of_their_labels_and_not_of_their_digits():
    assert from_json(to_json(reversed(TWO))) == TWO


def test_what_is_not_said_is_as_by_default_and_what_a_newer_version_says_is_passed_over():
    found = from_json({"3": {"name": "fat"}, "4": {"colour": "#000000", "hatching": "dots"}})
    assert found == (
        SegmentationClass(3, "fat", default_class(3).colour),
        SegmentationClass(4, "class 4", "#000000"),
    )


@pytest.mark.parametrize("stored", [{"a": {}}, {"1": 5}])
def test_what_is_no_class_is_refused(stored):
    with pytest.raises((TypeError, ValueError)):
        from_json(stored)
