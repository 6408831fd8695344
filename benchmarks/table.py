"""Markdown tables from the rows of ``benchmarks.teach``: means of each set, paired differences, sets won."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from benchmarks import rows, sets

PEERS = ("forest", "convpaint")
"""The peers that the figures are compared with; other rows are shown beside them."""
SCORES = {"dice_same": "rest of the same image", "dice_other": "another image"}

Means = dict[str, dict[str, float]]
"""method -> set -> mean over the seeds"""


def means(found: Sequence[rows.Row], score: str) -> Means:
    """Mean of ``score`` over the seeds, by method and set."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        values[row["method"]][row["set"]].append(row[score])
    return {
        method: {name: mean(by_set[name]) for name in sets.SETS if name in by_set} for method, by_set in values.items()
    }


def table(found: Sequence[rows.Row], score: str) -> str:
    """One table: a line a set, a column a method, and the mean of the sets that all methods have."""
    by_method = means(found, score)
    methods = list(by_method)
    names = [name for name in sets.SETS if any(name in by_method[method] for method in methods)]
    shared = [name for name in names if all(name in by_method[method] for method in methods)]
    lines = ["| set | " + " | ".join(methods) + " |", "|---" * (len(methods) + 1) + "|"]
    for name in names:
        cells = (f"{by_method[method][name]:.3f}" if name in by_method[method] else "" for method in methods)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if shared:
        cells = (f"**{mean(by_method[method][name] for name in shared):.3f}**" for method in methods)
        lines.append(f"| mean of {len(shared)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdict(found: Sequence[rows.Row], score: str, label: str = "ours") -> str:
    """Paired differences of ``label`` from each peer, and the sets on which it is above the better peer."""
    present = {row["method"] for row in found}
    peers = [peer for peer in PEERS if peer in present]
    if label not in present or not peers:
        return ""
    lines = [f"- {label} - {peer}: {_difference(found, score, label, peer)}" for peer in peers]
    by_method = means(found, score)
    gaps = {
        name: value - max(by_method[peer][name] for peer in peers)
        for name, value in by_method[label].items()
        if all(name in by_method[peer] for peer in peers)
    }
    if gaps:
        worst = min(gaps, key=lambda name: gaps[name])
        won = sum(gap > 0 for gap in gaps.values())
        lines.append(f"- above the better peer on {won} of {len(gaps)} sets; worst: {worst} {gaps[worst]:+.3f}")
    return "\n".join(lines)


def _difference(found: Sequence[rows.Row], score: str, label: str, peer: str) -> str:
    """Mean over the sets of the paired differences, and how many pairs are above."""
    scores = {(row["method"], row["set"], row["seed"]): row[score] for row in found}
    paired: dict[str, list[float]] = defaultdict(list)
    for (method, name, seed), value in scores.items():
        if method == label and (peer, name, seed) in scores:
            paired[name].append(value - scores[peer, name, seed])
    everything = [value for values in paired.values() for value in values]
    if not everything:
        return "no pairs"
    above = sum(value > 0 for value in everything)
    average = mean(mean(values) for values in paired.values())
    return f"{average:+.3f} over {len(paired)} sets, above in {above} of {len(everything)} pairs"


def seconds(found: Sequence[rows.Row]) -> str:
    """Mean times of each method."""
    lines = ["| method | train (s) | predict (s) |", "|---|---|---|"]
    for method in dict.fromkeys(row["method"] for row in found):
        own = [row for row in found if row["method"] == method]
        times = (mean(row[key] for row in own) for key in ("seconds_train", "seconds_predict"))
        lines.append(f"| {method} | " + " | ".join(f"{time:.2f}" for time in times) + " |")
    return "\n".join(lines)


def render(found: Sequence[rows.Row], label: str = "ours") -> str:
    """Everything about one file of rows."""
    parts = []
    for count in sorted({row["strokes"] for row in found}):
        chosen = [row for row in found if row["strokes"] == count]
        for score, words in SCORES.items():
            parts += [f"### {count} strokes, {words}", table(chosen, score), verdict(chosen, score, label)]
        parts += [f"### {count} strokes, time", seconds(chosen)]
    return "\n\n".join(part for part in parts if part) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables of one or more files to standard output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.table", description=__doc__)
    parser.add_argument("files", type=Path, nargs="*", default=[rows.RESULTS / "teach.jsonl"])
    parser.add_argument("--label", default="ours")
    options = parser.parse_args(arguments)
    found = [row for path in options.files for row in rows.read(path)]
    sys.stdout.write(render(found, options.label))


if __name__ == "__main__":
    main()
