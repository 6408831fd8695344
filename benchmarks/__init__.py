"""Measurements: what is promised in the README is measured here, beside its peers, on the same strokes."""
