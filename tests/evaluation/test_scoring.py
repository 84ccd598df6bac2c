# SPDX-License-Identifier: Apache-2.0
"""EM, F1, copying across scripts, and the levels that need no knowledge."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.evaluation.scoring import (
    copyable,
    exact_match,
    f1,
    f1_star,
    item_scores,
    majority_answers,
    majority_baseline,
    script_free,
    shuffled_floor,
    shuffled_item_scores,
)

XQUAD = Path(__file__).parents[3] / "shared" / "data" / "xquad"
ANSWERS = st.lists(st.text(alphabet="कखग ab12।", min_size=1, max_size=6), min_size=2, max_size=12)
EN, HI = {"rule": "xl", "language": "en"}, {"rule": "xl", "language": "hi"}


def test_a_danda_costs_the_point_under_squad_only():
    scores = item_scores("नई दिल्ली।", ["नई दिल्ली"], language="hi")
    assert scores["em_squad"] == 0.0
    assert scores["f1_squad"] == 0.5
    assert scores["em_mlqa"] == scores["em_xl"] == scores["f1_xl"] == 1.0


def test_the_best_gold_answer_counts():
    assert exact_match("Bharat", ["India", "the Bharat"], **EN) == 1.0
    assert f1("the Republic of India", ["Bharat", "Republic India"], **EN) == pytest.approx(0.8)


def test_f1_counts_repeated_words_once_each():
    # 1 shared of 3 and 1: 2 * 1 / (3 + 1)
    assert f1("la la la", ["la"], **EN) == pytest.approx(0.5)


def test_two_empty_answers_share_no_word():
    assert f1("।", ["।"], **HI) == 0.0
    assert exact_match("।", ["।"], **HI) == 1.0


def test_golds_must_be_a_list_with_something_in_it():
    with pytest.raises(ValueError, match="no gold answer"):
        exact_match("x", [], **EN)
    with pytest.raises(TypeError, match="single text"):
        f1("x", "x", **EN)


@given(st.text(max_size=20), st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_f1_is_a_share_and_exact_matches_have_it_all(prediction, golds):
    score = f1(prediction, golds, **HI)
    assert 0.0 <= score <= 1.0
    if exact_match(prediction, golds, **HI) and score:
        assert score == 1.0


@given(st.text(max_size=20), st.text(max_size=20))
def test_f1_is_symmetric(first, second):
    assert f1(first, [second], **HI) == f1(second, [first], **HI)


@pytest.mark.parametrize(
    "gold, expected",
    [
        ("1947", True),
        ("१९४७", True),
        ("NASA", True),
        ("Café 9", True),
        ("भारत", False),
        ("5 जून", False),
        ("।", False),
    ],
)
def test_script_free(gold, expected):
    assert script_free([gold]) is expected


def test_copyable_wants_the_whole_answer_verbatim():
    assert copyable(["308", "तीन सौ"], "allowed 308 points")
    assert not copyable(["309"], "allowed 308 points")
    assert not copyable([" "], "a b")


@pytest.fixture(scope="module")
def xquad():
    if not XQUAD.is_dir():
        pytest.skip(f"the real XQuAD files are not at {XQUAD}")
    passages, golds = {}, {}
    for language in ("en", "hi"):
        data = json.loads((XQUAD / f"xquad.{language}.json").read_text(encoding="utf-8"))["data"]
        for paragraph in (paragraph for article in data for paragraph in article["paragraphs"]):
            for question in paragraph["qas"]:
                passages[language, question["id"]] = paragraph["context"]
                golds[language, question["id"]] = [answer["text"] for answer in question["answers"]]
    return passages, golds


def test_a_seventh_of_xquads_hindi_answers_stand_in_the_english_passage(xquad):
    passages, golds = xquad
    ids = [item for language, item in golds if language == "hi"]
    assert len(ids) == 1190
    assert sum(copyable(golds["hi", item], passages["en", item]) for item in ids) == 167


def test_31_of_xquads_hindi_answers_change_under_nfc_and_score_all_the_same(xquad):
    _, golds = xquad
    texts = [texts[0] for (language, _), texts in golds.items() if language == "hi"]
    changed = [text for text in texts if unicodedata.normalize("NFC", text) != text]
    assert len(changed) == 31
    for text in changed:
        composed = unicodedata.normalize("NFC", text)
        assert exact_match(composed, [text], **HI) == 1.0
        assert exact_match(composed, [text], rule="squad", language="hi") == 0.0


@given(ANSWERS, st.integers(0, 5))
def test_shuffled_answers_never_stay_with_their_question(answers, seed):
    # Every answer is right for its own question only.
    unique = [f"{answer} {index}x" for index, answer in enumerate(answers)]
    scores = shuffled_item_scores(
        unique, [[answer] for answer in unique], metric="em", seed=seed, repeats=3, **HI
    )
    assert scores == [0.0] * len(unique)


def test_the_floor_is_what_unrelated_answers_score():
    # Three of four answers are "a": a shuffled answer to an "a" is right 2 times in 3, to the "b" never.
    answers = ["a1", "a1", "a1", "b2"]
    floor = shuffled_floor(answers, [[a] for a in answers], metric="em", repeats=2000, **EN)
    assert floor == pytest.approx((3 * 2 / 3 + 0) / 4, abs=0.02)


def test_a_floor_within_groups_keeps_what_the_kind_of_question_gives_away():
    answers = ["x1"] * 5 + ["y2"] * 5
    golds, groups = [[answer] for answer in answers], ["r"] * 5 + ["s"] * 5
    assert shuffled_floor(answers, golds, metric="em", groups=groups, **EN) == 1.0
    assert shuffled_floor(answers, golds, metric="em", **EN) < 0.7


def test_questions_alone_in_their_group_are_shuffled_together():
    answers = ["x1", "x1"]
    scores = shuffled_item_scores(answers, [["x1"], ["x1"]], metric="em", groups=["r", "s"], **EN)
    assert scores == [1.0, 1.0]


def test_the_seed_decides_the_floor():
    answers = ["a1", "a1", "b2", "c3", "c3", "c3"]
    floors = [
        shuffled_floor(answers, [[a] for a in answers], metric="em", repeats=1, seed=seed, **EN)
        for seed in (0, 0, 1, 2, 3)
    ]
    assert floors[0] == floors[1]
    assert len(set(floors)) > 1


def test_floor_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="2 predictions for 1"):
        shuffled_floor(["a", "b"], [["a"]], metric="em", **EN)
    with pytest.raises(ValueError, match="no text metric 'bleu'"):
        shuffled_floor(["a", "b"], [["a"], ["b"]], metric="bleu", **EN)
    with pytest.raises(ValueError, match="no questions"):
        shuffled_floor([], [], metric="em", **EN)


def test_f1_star_is_zero_at_the_floor_and_one_at_the_top():
    assert f1_star(0.2, 0.2) == 0.0
    assert f1_star(1.0, 0.2) == 1.0
    assert f1_star(0.6, 0.2) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="floor is 20"):
        f1_star(60, 20)


def test_the_majority_baseline_gives_each_relation_its_commonest_answer():
    train = [("currency", ["euro"]), ("currency", ["Euro"]), ("currency", ["yen"]), ("script", ["Latin"])]
    assert majority_answers(train, language="en") == {"currency": "euro", "script": "Latin"}
    items = [("currency", ["euro"]), ("currency", ["rupee"]), ("script", ["Latin"]), ("capital", ["Delhi"])]
    assert majority_baseline(train, items, metric="em", **EN) == pytest.approx(2 / 4)


def test_a_tie_between_answers_is_broken_the_same_way_in_any_order():
    train = [("r", ["b"]), ("r", ["c"])]
    assert (
        majority_answers(train, language="en") == majority_answers(train[::-1], language="en") == {"r": "b"}
    )
