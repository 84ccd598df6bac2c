# SPDX-License-Identifier: Apache-2.0
"""The table holds every number with what is needed to read it, and its verdict once."""

import dataclasses

import pytest

from xlt_hf.evaluation.planted import Planted, planted_predictions
from xlt_hf.evaluation.rows import ScoreRow, score_rows
from xlt_hf.evaluation.verdict import verdicts_of
from xlt_hf.leaderboard.table import (
    HEADINGS,
    read_score_rows,
    render_markdown,
    render_text,
    table_lines,
)


@pytest.fixture(scope="module")
def study():
    """Scores and verdicts of a small study with two seeds."""
    rows = planted_predictions(Planted(transfer=0.0, n_pages=30, seeds=(0, 1)))
    scores = score_rows(rows, data_revision="d" * 40, code_version="0.1.0", n_resamples=100)
    return scores, verdicts_of(rows, source_recall_threshold=0.3, delta=0.1, n_resamples=200)


def test_a_line_per_filter_seed_language_and_group(study):
    scores, verdicts = study
    lines = table_lines(scores, verdicts)
    keys = [(x.score.filter, x.score.seed, x.score.language, x.score.group) for x in lines]
    assert keys == sorted(set(keys))
    assert len(keys) == 2 * 2 * 2 * 2
    assert [line.first_of_filter for line in lines] == ([True] + [False] * 3) * 4
    assert {(line.score.metric, line.second.metric) for line in lines} == {("em_xl", "f1_xl")}


def test_each_filter_has_its_verdict_once_on_the_hindi_held_out_line(study):
    scores, verdicts = study
    said = [line for line in table_lines(scores, verdicts) if line.verdict]
    assert [(line.score.filter, line.score.seed) for line in said] == [(0, 0), (4, 0)]
    assert {(line.score.language, line.score.group) for line in said} == {("hi", "held_out")}
    assert said[1].verdict is verdicts[1]


def test_cells_hold_interval_n_floor_chance_and_mde(study):
    scores, _ = study
    line = table_lines(scores)[0]
    cells, row = dict(zip(HEADINGS, line.cells(), strict=True)), line.score
    assert cells["score"] == f"{row.value:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}]"
    assert cells["n"] == "120"
    assert (cells["floor"], cells["chance"]) == (f"{row.floor:.1f}", f"{row.chance:.1f}")
    assert cells["MDE"] == f"{row.mde:.1f}"
    bare = table_lines([dataclasses.replace(row, floor=None, chance=None)])[0]
    assert bare.cells()[HEADINGS.index("floor")] == bare.cells()[HEADINGS.index("chance")] == "–"


def test_the_terminal_shows_every_number_and_each_verdict_in_one_line(study):
    scores, verdicts = study
    lines = table_lines(scores, verdicts)
    text = render_text(lines, verdicts)
    for line in lines:
        assert line.cells()[HEADINGS.index("score")] in text
    assert [line for line in text.splitlines() if line.startswith("facts, filter 4: ")] == [
        verdicts[1].line()
    ]
    assert "\x1b" not in text


def test_markdown_is_a_table_of_equal_rows(study):
    scores, verdicts = study
    text = render_markdown(table_lines(scores, verdicts), verdicts)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {len(HEADINGS) + 1}
    assert len(rows) == 2 + 16
    assert f"- {verdicts[1].line()}" in text


def test_epochs_totals_and_parts_are_left_out(study):
    scores, _ = study
    extra = [
        dataclasses.replace(scores[0], epoch=1, model_revision="e"),
        dataclasses.replace(scores[0], metric="em_xl_copyable"),
    ]
    assert table_lines([*scores, *extra]) == table_lines(scores)
    assert "all" in {row.group for row in scores}


def test_contexts_are_named_where_there_are_several(study):
    scores, _ = study
    contexts = ["none", "source", "native"]
    mixed = [dataclasses.replace(row, context=context) for row in scores for context in contexts]
    assert {line.task for line in table_lines(mixed)} == {
        "facts (no context)",
        "facts (source-language context)",
        "facts (native context)",
    }
    assert {line.task for line in table_lines(scores)} == {"facts"}


def test_one_model_at_two_revisions_is_refused(study):
    scores, _ = study
    with pytest.raises(ValueError, match="at revisions seed-0 and other"):
        table_lines([*scores, dataclasses.replace(scores[0], model_revision="other")])


def test_published_rows_are_read_back(study):
    scores, _ = study
    published = [dataclasses.asdict(row) | {"a_later_column": 1} for row in scores]
    assert read_score_rows(published) == scores
    assert all(isinstance(row, ScoreRow) for row in scores)
