# SPDX-License-Identifier: Apache-2.0
"""Effects against arithmetic by hand and against planted truth."""

import pytest

from xlt_hf.evaluation.effects import compute_effects
from xlt_hf.evaluation.planted import Planted, planted_predictions
from xlt_hf.evaluation.rows import effect_items


def cell(scores, *, filter, language, group, seed=0, chance=0.1, floor=0.2):
    """Items of one filter, language and group; every question is a page of its own."""
    return [
        {
            "id": f"{group}{number}",
            "title": f"{group}{number}",
            "relation": "r",
            "filter": filter,
            "seed": seed,
            "language": language,
            "group": group,
            "score": float(score),
            "chance": chance,
            "floor": floor,
        }
        for number, score in enumerate(scores)
    ]


def study(hindi_held, english_held=(1,) * 8 + (0,) * 8, kept_now=(1,) * 12 + (0,) * 4):
    """Filters 0 and 4 with 16 questions in each group."""
    rows = cell(hindi_held, filter=4, language="hi", group="held_out")
    rows += cell(english_held, filter=4, language="en", group="held_out")
    rows += cell(kept_now, filter=4, language="hi", group="retained")
    rows += cell((1,) * 12 + (0,) * 4, filter=4, language="en", group="retained")
    for group in ("held_out", "retained"):
        rows += cell((1,) * 14 + (0,) * 2, filter=0, language="hi", group=group)
        rows += cell((1,) * 10 + (0,) * 6, filter=0, language="en", group=group)
    return rows


def at(rows, level, **options):
    (found,) = [
        effects
        for effects in compute_effects(rows, metric="em_xl", **({"n_resamples": 500} | options))
        if effects.filter == level
    ]
    return found


def test_every_effect_by_hand():
    found = at(study(hindi_held=(1,) * 6 + (0,) * 8 + (1,) * 2), 4)
    assert found.source_recall.value == 8 / 16
    assert found.target_held_out.value == 8 / 16
    assert found.target_retained.value == 12 / 16
    # [8/16 - 12/16] - [14/16 - 14/16]
    assert found.difference_in_differences.value == pytest.approx(-4 / 16)
    # English: [8/16 - 12/16] - [10/16 - 10/16] = -4/16
    assert found.triple_difference.value == pytest.approx(0.0)
    assert found.eclektic_overall.value == 6 / 16
    assert found.eclektic_transfer.value == 6 / 8
    assert found.conditional_transfer.value == pytest.approx(6 / 8 - 2 / 8)
    assert (found.guess_low, found.guess_high) == (pytest.approx(0.1), pytest.approx(0.2))
    assert found.excess_high.value == pytest.approx(8 / 16 - 0.2)
    assert found.excess_low.value == pytest.approx(8 / 16 - 0.1)
    assert found.seen_excess.value == pytest.approx(12 / 16 - 0.1)
    assert found.transfer_coefficient is None
    assert (found.n_held_out, found.n_retained, found.n_pages, found.seeds) == (16, 16, 16, (0,))


def test_the_transfer_coefficient_needs_the_target_only_arm():
    guess = {f"held_out{number}": 0.25 for number in range(16)}
    found = at(study(hindi_held=(1,) * 9 + (0,) * 7), 4, guess=guess)
    assert found.transfer_coefficient.value == pytest.approx((9 / 16 - 0.25) / (14 / 16 - 0.25))
    assert found.guess_low == found.guess_high == 0.25
    assert found.guess_source == "target-only arm"
    with pytest.raises(ValueError, match="lacks 1 of 16"):
        at(study((1,) * 16), 4, guess=dict(list(guess.items())[1:]))


def test_no_coefficient_where_filter_0_knew_nothing():
    guess = {f"held_out{number}": 0.875 for number in range(16)}
    assert at(study((1,) * 16), 4, guess=guess).transfer_coefficient is None


def test_filter_0_has_no_difference_and_none_is_made_up_without_it():
    rows = study((0,) * 16)
    assert at(rows, 0).difference_in_differences is None
    alone = at([row for row in rows if row["filter"] == 4], 4)
    assert alone.difference_in_differences is None
    assert alone.excess_high.value == pytest.approx(-0.2)


def test_the_same_seed_gives_the_same_draws_at_every_filter():
    rows = study((1,) * 14 + (0,) * 2)  # Hindi at filter 4 is what it was at filter 0
    first, last = at(rows, 0, seed=7), at(rows, 4, seed=7)
    assert first.target_held_out == last.target_held_out
    # Paired draws: a difference that is zero for each held-out question has no variance on that side.
    unchanged = at(study((1,) * 14 + (0,) * 2, kept_now=(1,) * 14 + (0,) * 2), 4)
    assert unchanged.difference_in_differences.value == 0.0
    assert unchanged.difference_in_differences.ci_high == pytest.approx(3 / 16)  # the rule of three, no more


def test_the_interval_of_the_difference_lies_around_it():
    # The control questions lose 14/16, the held-out ones 7/16, in Hindi: Δ is +7/16.
    found = at(study((1, 0) * 7 + (0, 0), kept_now=(0,) * 16), 4).difference_in_differences
    assert found.value == pytest.approx(7 / 16)
    assert 0 < found.ci_low < found.value < found.ci_high < 1
    assert found.p_value < 0.05


def test_seeds_are_averaged_and_only_shared_ones_compared():
    rows = study((1,) * 16)
    for row in cell((0,) * 16, filter=4, language="hi", group="held_out", seed=1) + cell(
        (1,) * 16, filter=4, language="en", group="held_out", seed=1
    ):
        rows.append(row)
    for language in ("en", "hi"):
        rows += cell((1,) * 16, filter=4, language=language, group="retained", seed=1)
    found = at(rows, 4)
    assert found.seeds == (0, 1)
    assert found.target_held_out.value == 0.5
    # Filter 0 has seed 0 only: [16/16 - 12/16] - [14/16 - 14/16]
    assert found.difference_in_differences.value == pytest.approx(4 / 16)


def test_guessing_the_same_in_both_languages_is_not_transfer_within_strata():
    # Two relations: all easy questions are right in both languages, of the hard ones half in each, unrelated.
    rows = []
    for language, hard in (("en", (1, 1, 1, 1, 1, 0, 0, 0, 0, 0)), ("hi", (1, 0, 1, 0, 0, 1, 0, 1, 0, 0))):
        items = cell((1,) * 9 + (0,) + hard, filter=4, language=language, group="held_out")
        for row in items[:10]:
            row["relation"] = "easy"
        rows += items
    found = at(rows, 4)
    assert found.conditional_transfer.value > 0.3
    # easy: 1 - 0 with weight 9*1/10; hard: 2/5 - 2/5 with weight 5*5/10
    assert found.stratified_conditional_transfer.value == pytest.approx(0.9 / (0.9 + 2.5))


def test_too_few_on_a_side_to_condition_on():
    found = at(study((1,) * 16, english_held=(1,) * 13 + (0,) * 3), 4)
    assert found.conditional_transfer is None
    assert at(study((1,) * 16, english_held=(0,) * 13 + (1,) * 3), 4).eclektic_transfer is None


@pytest.mark.parametrize("transfer", [0.0, 0.4, 1.0])
def test_planted_transfer_is_recovered(transfer):
    planted = Planted(transfer=transfer, n_pages=150, source_known=0.8, target_known=0.7)
    items = effect_items(planted_predictions(planted), "em_xl")
    found = at(items, 4)
    # A fact that crosses makes right what guessing would not have made right already.
    room = 1 - found.guess_low
    assert found.stratified_conditional_transfer.value == pytest.approx(transfer * room, abs=0.1)
    assert found.excess_low.value == pytest.approx(0.8 * transfer * room, abs=0.08)


def test_runs_on_different_questions_are_not_compared():
    rows = study((1,) * 16)
    with pytest.raises(ValueError, match="16 of them are the same"):
        at(rows + cell((1,) * 17, filter=4, language="hi", group="held_out", seed=1), 4)
    with pytest.raises(ValueError, match="stands twice"):
        at(rows + rows[:1], 4)
    with pytest.raises(ValueError, match="no held-out questions"):
        compute_effects([row for row in rows if row["group"] == "retained"], metric="em_xl")


def test_without_any_guess_level_nothing_is_claimed():
    rows = [row | {"chance": None, "floor": None} for row in study((1,) * 16)]
    with pytest.raises(ValueError, match="no guess level"):
        at(rows, 4)
