# SPDX-License-Identifier: Apache-2.0
"""From answers to published numbers."""

import pytest

from xlt_hf.evaluation.planted import Planted, planted_predictions
from xlt_hf.evaluation.rows import PredictionRow, effect_items, guess_levels, score_rows
from xlt_hf.evaluation.scoring import item_scores

PROVENANCE = {"data_revision": "d" * 40, "code_version": "0.1.0"}


def answer(number, prediction, gold, **changes):
    """A published row of a closed-book question."""
    fields = {
        "study": "s",
        "size": "tiny",
        "task": "facts",
        "context": "none",
        "filter": 4,
        "seed": 0,
        "language": "en",
        "group": "held_out",
        "id": f"q{number}",
        "title": f"page {number // 2}",
        "relation": "capital",
        "prompt": "?",
        "prediction": prediction,
        "golds": [gold],
        "majority_answer": "a1",
        "model": "ns/m",
        "model_revision": "c" * 40,
        "scores": item_scores(prediction, [gold], language="en"),
    }
    return PredictionRow(**(fields | changes)).to_dict()


def only(rows, **wanted):
    (row,) = [row for row in rows if all(getattr(row, key) == value for key, value in wanted.items())]
    return row


def test_values_floor_and_chance_are_per_cent():
    golds = ["a1", "a1", "b2", "c3"]
    rows = [answer(number, gold, gold) for number, gold in enumerate(golds[:3])] + [answer(3, "x", "c3")]
    row = only(score_rows(rows, n_resamples=200, **PROVENANCE), metric="em_xl")
    assert (row.value, row.n, row.chance) == (75.0, 4, 50.0)
    assert 0 <= row.floor <= 50  # an "a1" may land on the other "a1" only
    assert 0 <= row.ci_low < row.value < row.ci_high <= 100
    assert row.above_floor == pytest.approx(100 * (75 - row.floor) / (100 - row.floor))
    assert (row.group, row.model_revision, row.data_revision) == ("held_out", "c" * 40, "d" * 40)


def test_groups_are_scored_apart_and_together():
    rows = [answer(n, "a1", "a1") for n in range(3)]
    rows += [answer(n, "b2", "a1", group="retained") for n in range(10, 16)]
    scores = score_rows(rows, n_resamples=100, **PROVENANCE)
    found = {row.group: (row.value, row.n) for row in scores if row.metric == "em_xl"}
    assert found == {"held_out": (100.0, 3), "retained": (0.0, 6), "all": (pytest.approx(100 / 3), 9)}


def test_copyable_answers_are_scored_apart():
    rows = [answer(n, "a1", "a1", copyable=True) for n in range(2)] + [answer(2, "x", "a1", copyable=False)]
    scores = score_rows(rows, n_resamples=100, **PROVENANCE)
    assert only(scores, metric="em_xl_copyable").value == 100.0
    assert only(scores, metric="em_xl_uncopyable").value == 0.0
    assert only(scores, metric="em_xl").n == 3


def test_choice_has_its_options_for_chance_and_the_blind_score_for_a_floor():
    rows = [
        answer(n, "B", "B", majority_answer=None, n_options=4,
               scores={"accuracy_letter": 0.75, "accuracy_question_blind": float(n == 0)})
        for n in range(4)
    ]  # fmt: skip
    scores = score_rows(rows, n_resamples=100, **PROVENANCE)
    letter, blind = only(scores, metric="accuracy_letter"), only(scores, metric="accuracy_question_blind")
    assert (letter.value, letter.chance, letter.floor) == (75.0, 25.0, 25.0)
    assert blind.floor is None


def test_epochs_and_models_are_not_mixed():
    rows = [answer(0, "a1", "a1"), answer(1, "a1", "a1")]
    rows += [answer(n, "x", "a1", epoch=1, model_revision="e" * 40) for n in range(2)]
    scores = score_rows(rows, n_resamples=100, **PROVENANCE)
    assert only(scores, metric="em_xl", epoch=None).value == 100.0
    assert only(scores, metric="em_xl", epoch=1).value == 0.0


def test_the_same_rows_in_any_order_give_the_same_numbers():
    rows = planted_predictions(Planted(transfer=0.5, n_pages=6, filters=(4,)))
    assert score_rows(rows, n_resamples=50, **PROVENANCE) == score_rows(
        rows[::-1], n_resamples=50, **PROVENANCE
    )


def test_a_question_answered_twice_is_refused():
    with pytest.raises(ValueError, match="q0 stands twice"):
        score_rows([answer(0, "a1", "a1")] * 2, n_resamples=50, **PROVENANCE)


def test_rows_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="use one of held_out, retained"):
        answer(0, "a", "a", group="test")
    with pytest.raises(ValueError, match="no metric"):
        answer(0, "a", "a", scores={"bleu": 0.5})
    with pytest.raises(ValueError, match=r"item scores are in \[0, 1\]"):
        answer(0, "a", "a", scores={"em_xl": 100.0})


def test_effect_items_carry_the_guess_levels_of_each_question():
    rows = [answer(n, "a1", gold) for n, gold in enumerate(["a1", "b2"])]
    items = {item["id"]: item for item in effect_items(rows, "em_xl")}
    assert [items[q]["chance"] for q in ("q0", "q1")] == [1.0, 0.0]
    assert [items[q]["score"] for q in ("q0", "q1")] == [1.0, 0.0]
    with pytest.raises(ValueError, match="have no accuracy_letter"):
        effect_items(rows, "accuracy_letter")


def test_a_task_without_a_majority_answer_has_no_chance_level():
    rows = [answer(n, "a1", "a1", majority_answer=None) for n in range(2)]
    assert guess_levels(rows, "em_xl").chance is None
    assert guess_levels(rows, "em_xl").floor == [1.0, 1.0]
