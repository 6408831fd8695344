"""Tables, verdicts and the resuming of results files."""

from dataclasses import dataclass

import pytest

from benchmarks import balancing, pool, rows, starts, table, teach
from benchmarks.__main__ import BEGIN, END, write


def row(method: str, name: str, seed: int, same: float, strokes: int = 20) -> rows.Row:
    return {
        "set": name, "seed": seed, "strokes": strokes, "method": method,
        "dice_same": same, "dice_other": same / 2, "seconds_train": 1.0, "seconds_predict": 0.5,
    }  # fmt: skip


FOUND = [
    row("ours", "tumour", 0, 0.9),
    row("ours", "tumour", 1, 0.7),
    row("ours", "nuclei", 0, 0.5),
    row("forest", "tumour", 0, 0.8),
    row("forest", "tumour", 1, 0.4),
    row("forest", "nuclei", 0, 0.6),
    row("convpaint", "tumour", 0, 0.7),
    row("convpaint", "nuclei", 0, 0.2),
]


def test_the_mean_of_a_set_is_over_its_seeds_and_the_last_line_over_sets():
    text = table.table(FOUND[:6], "dice_same")
    assert "| tumour | 0.800 | 0.600 |" in text
    assert "| mean of 2 | **0.650** | **0.600** |" in text


def test_differences_are_paired_by_seed_and_averaged_by_set():
    text = table.verdict(FOUND, "dice_same")
    assert "ours - forest: +0.050 over 2 sets, above in 2 of 3 pairs" in text
    assert "ours - convpaint: +0.250 over 2 sets, above in 2 of 2 pairs" in text
    assert "1 of 2 sets; worst: nuclei -0.100" in text


def test_rows_survive_the_file_and_known_ones_are_found(tmp_path):
    path = tmp_path / "new" / "rows.jsonl"
    assert rows.read(path) == []
    for item in FOUND:
        rows.append(path, item)
    assert rows.read(path) == FOUND
    assert rows.done(FOUND, set="nuclei", method="forest")
    assert not rows.done(FOUND, set="nuclei", method="forest", seed=3)
    assert rows.done([{"rows": 5}], rows=5)


@dataclass(frozen=True)
class Doubling:
    number: int

    @property
    def key(self) -> rows.Row:
        return {"number": self.number}


def double(task: Doubling) -> rows.Row:
    return task.key | {"double": 2 * task.number}


def test_the_pool_measures_only_what_is_missing(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows.append(path, {"number": 1, "double": "kept"})
    pool.run(double, [Doubling(1)], path)
    assert rows.read(path) == [{"number": 1, "double": "kept"}]


def test_teach_has_one_task_for_each_case_and_method_and_gives_parameters_to_ours_only():
    options = teach.parse(["--strokes", "5", "20", "--seeds", "2", "--sets", "tumour", "--param", "start=scratch"])
    found = list(teach.tasks(options))
    assert len(found) == 2 * 2 * 3
    assert {task.method for task in found if task.params} == {"ours"}
    assert found[0].params == {"start": "scratch"}


def test_starts_compare_networks_alone_after_the_same_steps_and_are_named_by_their_file():
    options = starts.parse(["--starts", "scratch", "folder/self.safetensors", "--seeds", "1", "--steps", "7"])
    found = list(starts.tasks(options))
    assert {task.label for task in found} == {"scratch", "self"}
    assert {task.params["start"] for task in found} == {"scratch", "folder/self.safetensors"}
    assert {(task.params["steps"], task.params["blend_linear"]) for task in found} == {(7, False)}


@pytest.mark.parametrize(("text", "value"), [("a=2", 2), ("a=0.5", 0.5), ("a=true", True), ("a=none", "none")])
def test_parameters_are_read_as_what_they_look_like(text, value):
    options = teach.parse(["--param", text])
    assert options.params == {"a": value}
    assert type(options.params["a"]) is type(value)


def test_a_cell_of_the_balancing_table_has_mean_deviation_and_the_published_figure():
    found = [
        {"source": "sparse", "balancing": "minibatch", "dice_same": 0.5, "dice_other": score} for score in (0.6, 0.8)
    ]
    assert "0.700 ± 0.141 (0.65)" in balancing.render(found)


def test_tables_replace_what_is_between_the_marks_and_nothing_else(tmp_path):
    document = tmp_path / "benchmarks.md"
    document.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(document, "new\n")
    text = document.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "new" in text and "old" not in text
