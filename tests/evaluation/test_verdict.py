# SPDX-License-Identifier: Apache-2.0
"""Verdicts on answers whose truth is planted."""

from collections import Counter

import pytest

from xlt_hf.evaluation.planted import Planted, planted_predictions
from xlt_hf.evaluation.verdict import verdicts_of

RULES = {"source_recall_threshold": 0.3, "delta": 0.1, "n_resamples": 500}


def kinds(runs=20, **planted):
    """How often each kind of verdict is given at filter 4, over several draws of the same world."""
    found = Counter()
    for run in range(runs):
        rows = planted_predictions(Planted(noise_seed=run, **planted))
        found[verdicts_of(rows, **RULES)[-1].kind] += 1
    return found


def last(rows, **options):
    return verdicts_of(rows, **(RULES | options))[-1]


def test_full_transfer_is_found():
    assert kinds(transfer=1.0) == {"transfer": 20}


def test_no_transfer_is_told_from_too_little_data():
    assert kinds(transfer=0.0, n_pages=80, runs=8)["no transfer"] >= 7
    small = kinds(transfer=0.0, n_pages=12, per_page=1)
    assert small["no transfer"] == 0
    assert small["transfer"] == 0


def test_half_transfer_is_transfer_and_a_tenth_is_never_called_that():
    assert kinds(transfer=0.5, n_pages=60, runs=8)["transfer"] >= 7
    assert kinds(transfer=0.1, runs=10)["transfer"] == 0


def test_transfer_just_above_delta_is_never_called_none():
    # 0.8 known in English x 0.3 crossing x 0.85 not guessed anyway = 20 points, twice delta
    assert kinds(transfer=0.3, runs=12)["no transfer"] == 0


def test_a_fall_of_the_control_questions_does_not_look_like_transfer():
    # Δ is then far less negative than the fall of the held-out questions.
    assert kinds(transfer=0.0, target_drift=0.4, n_pages=60, runs=8)["transfer"] == 0


def test_source_not_learnt():
    rows = planted_predictions(Planted(transfer=1.0, source_known=0.05, target_known=0.05))
    verdict = last(rows)
    assert (verdict.kind, verdict.text) == ("undefined", "undefined: source not learnt")
    assert verdict.p_value is None
    assert "threshold is 30.0" in verdict.reason


def test_a_source_that_only_guesses_is_not_learnt_even_above_the_threshold():
    rows = planted_predictions(
        Planted(transfer=1.0, source_known=0.0, target_known=0.7, n_answers=2, n_pages=60)
    )
    assert last(rows).effects.source_recall.value > RULES["source_recall_threshold"]
    assert last(rows).kind == "undefined"


def test_a_model_that_cannot_answer_in_hindi_proves_nothing():
    rows = planted_predictions(Planted(transfer=0.0, target_known=0.0, n_pages=100))
    verdict = last(rows)
    assert verdict.effects.excess_low.within(RULES["delta"])
    assert verdict.kind == "inconclusive"
    assert "nothing shows that hi could be answered" in verdict.reason
    without_control = [row for row in rows if row["group"] == "held_out"]
    assert "there are no control questions" in last(without_control).reason


def test_hindi_success_that_does_not_go_with_english_is_not_transfer():
    # Hindi knows the held-out facts whatever English knows: a leak.
    rows = planted_predictions(Planted(transfer=0.0, source_known=0.6, n_pages=80, filters=(0, 4)))
    at_0 = {
        (row["id"], row["language"]): row
        for row in rows
        if row["filter"] == 0 and row["group"] == "held_out" and row["language"] == "hi"
    }
    leaked = [
        at_0[row["id"], row["language"]] | {key: row[key] for key in ("filter", "model", "model_revision")}
        if row["filter"] == 4 and (row["id"], row["language"]) in at_0 and row["group"] == "held_out"
        else row
        for row in rows
    ]
    verdict = last(leaked)
    assert verdict.effects.excess_high.ci_low > 0
    assert verdict.kind == "inconclusive"
    assert "does not go with knowing the fact in en" in verdict.reason


def test_filter_0_is_the_baseline():
    first = verdicts_of(planted_predictions(Planted(transfer=1.0)), **RULES)[0]
    assert (first.filter, first.kind, first.text) == (0, "baseline", "—")
    assert "Source recall (en)" in first.reason


def test_the_text_says_delta_the_mde_and_whose_checkpoints():
    none = last(planted_predictions(Planted(transfer=0.0, n_pages=100)))
    assert none.text == "no transfer (equivalent within δ = 10.0 points)"
    assert none.scope == "these checkpoints (1 seed)"
    small = last(planted_predictions(Planted(transfer=0.0, n_pages=12, per_page=1, source_known=0.95)))
    assert small.text == f"inconclusive (MDE {100 * small.effects.excess_high.mde:.1f} points)"
    many = last(planted_predictions(Planted(transfer=1.0, seeds=(0, 1, 2))))
    assert many.scope == "3 seeds"
    assert "\n" not in many.line()
    assert many.line().startswith("facts, filter 4: transfer. Held-out hi ")


def test_nine_pages_are_too_few():
    found = last(planted_predictions(Planted(transfer=1.0, n_pages=9, per_page=6)))
    assert found.kind == "inconclusive"
    assert "9 held-out pages are too few" in found.reason


def test_holm_adjusts_over_the_filters_of_a_task():
    one = planted_predictions(Planted(transfer=0.5, filters=(0, 4)))
    four = planted_predictions(Planted(transfer=0.5, filters=(0, 1, 2, 3, 4)))
    raw = {v.filter: max(v.effects.excess_high.p_value, v.effects.stratified_conditional_transfer.p_value)
           for v in verdicts_of(four, **RULES) if v.filter}  # fmt: skip
    adjusted = {v.filter: v.p_value for v in verdicts_of(four, **RULES) if v.filter}
    least = min(raw, key=raw.get)
    assert adjusted[least] == pytest.approx(4 * raw[least])
    assert last(one).p_value == max(
        last(one).effects.excess_high.p_value, last(one).effects.stratified_conditional_transfer.p_value
    )


def test_removal_that_cost_nothing_is_said_but_does_not_decide():
    found = last(planted_predictions(Planted(transfer=1.0, source_known=0.7, target_known=0.7, n_pages=300)))
    assert found.effects.difference_in_differences.within(0.1)
    assert "removal cost nothing" in found.reason
    assert found.kind == "transfer"


def test_a_target_only_arm_replaces_both_guess_levels():
    rows = planted_predictions(Planted(transfer=0.0, n_pages=100))
    guess = {row["id"]: 0.15 for row in rows if row["group"] == "held_out"}
    found = last(rows, guess=guess)
    assert "guess level 15.0 (target-only arm)" in found.reason
    assert found.kind == "no transfer"


def test_contexts_that_hold_the_fact_in_hindi_have_no_verdict():
    rows = planted_predictions(Planted(transfer=0.0))
    native = [row | {"context": "native", "task": "facts-context"} for row in rows]
    crossed = [row | {"context": "source", "task": "facts-context"} for row in rows]
    ablation = [row | {"context": "none", "task": "facts-context"} for row in rows]
    found = verdicts_of(native + crossed + ablation + rows, **RULES)
    assert {(v.task, v.context, v.filter) for v in found} == {
        ("facts", "none", 0), ("facts", "none", 4),
        ("facts-context", "source", 0), ("facts-context", "source", 4),
    }  # fmt: skip


def test_earlier_epochs_do_not_count():
    rows = planted_predictions(Planted(transfer=0.0, n_pages=100))
    earlier = [row | {"epoch": 1} for row in planted_predictions(Planted(transfer=1.0, n_pages=100))]
    assert last(rows + earlier).effects == last(rows).effects


def test_thresholds_are_checked():
    with pytest.raises(ValueError, match="delta is above 0"):
        last(planted_predictions(Planted(transfer=0.0, n_pages=10)), delta=0.0)
