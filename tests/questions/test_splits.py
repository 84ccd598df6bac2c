# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from xlt_hf.corpora.levels import removal_levels
from xlt_hf.errors import UserError
from xlt_hf.questions.splits import SplitsInfeasible, draw_splits


def near(width, n_docs):
    """A neighbour function: the page itself and the rows that follow it."""
    return lambda pages: (np.asarray(pages)[:, None] + np.arange(width)) % max(n_docs, 1)


def draw(page, n_docs, *, width=2, **options):
    page = np.asarray(page)
    defaults = {
        "question_ids": [f"q{i}" for i in range(len(page))],
        "doc_ids": [f"d{i}" for i in range(n_docs)],
        "n_test": 2,
        "n_train": 2,
    }
    return draw_splits(page, near(width, n_docs), **(defaults | options))


def check(splits, page, n_docs, width):
    page = np.asarray(page)
    named = {"test": splits.test, "train": splits.train, "control": splits.control}
    pages = {"test": splits.test_pages, "train": splits.train_pages, "control": splits.control_pages}
    together = np.concatenate(list(named.values()))
    assert len(set(together.tolist())) == len(together), "a question in two splits"
    page_sets = {name: set(page[questions].tolist()) for name, questions in named.items()}
    for name, rows in pages.items():
        assert rows.tolist() == sorted(page_sets[name])
    assert not page_sets["test"] & page_sets["train"]
    assert -1 not in set().union(*page_sets.values())
    level = removal_levels(
        n_docs,
        splits.test_pages,
        splits.train_pages,
        splits.nearest_test,
        splits.nearest_train,
        splits.control_pages,
    )
    assert not level[splits.control_pages].any()
    assert splits.nearest_test.shape == (len(splits.test_pages), width)
    assert len(together) + sum(splits.dropped.values()) == len(page), (
        "every question is in a split or counted"
    )


@settings(deadline=None)
@given(
    page=st.lists(st.integers(-1, 19), max_size=40),
    sizes=st.tuples(st.integers(0, 6), st.integers(0, 6), st.none() | st.integers(0, 6)),
    unit=st.sampled_from(["questions", "pages"]),
    width=st.sampled_from([1, 3, 20]),
    stratified=st.booleans(),
    one_text=st.booleans(),
    seed=st.integers(0, 3),
)
def test_rules_hold_or_the_error_says_why(page, sizes, unit, width, stratified, one_text, seed):
    n_test, n_train, n_control = sizes
    n = len(page)
    options = {
        "stratum": [f"kind-{p % 2}" for p in page] if stratified else None,
        "relation": [i % 3 for i in range(n)],
        "answer_length": [i % 5 for i in range(n)],
        "page_length": np.arange(20) * 10,
        "question_texts": ["Same?" if one_text else f"What is {i}?" for i in range(n)],
    }
    wanted = n_test + n_train + (n_test if n_control is None else n_control)
    try:
        splits = draw(
            page,
            20,
            width=width,
            n_test=n_test,
            n_train=n_train,
            n_control=n_control,
            unit=unit,
            seed=seed,
            **options,
        )
    except SplitsInfeasible as error:
        message = str(error)
        event("infeasible")
    else:
        message = ""
    if message:
        usable = 1 if one_text and max(page, default=-1) >= 0 else sum(p >= 0 for p in page)
        assert "Lower" in message
        if width == 1 and not stratified and len(set(page) - {-1}) == usable:
            # One question a page and nothing near: only a real shortage may stop the draw.
            assert wanted > usable
        return
    event("drawn")
    check(splits, page, 20, width)
    expected_control = n_test if n_control is None else n_control
    units = (splits.test, splits.train, splits.control)
    if unit == "pages":
        units = (splits.test_pages, splits.train_pages, splits.control_pages)
    assert [len(u) for u in units] == [n_test, n_train, expected_control]
    if unit == "pages" and not one_text:  # all of a page's questions come along
        for questions, rows in ((splits.test, splits.test_pages), (splits.control, splits.control_pages)):
            assert questions.tolist() == [i for i, p in enumerate(page) if p in set(rows.tolist())]


def test_a_page_and_its_questions_are_reproducible():
    page = np.arange(100) % 50
    a, b = (draw(page, 50, seed=1, n_test=10, n_train=10) for _ in range(2))
    assert a.test.tolist() == b.test.tolist()
    assert a.control.tolist() == b.control.tolist()
    assert draw(page, 50, seed=2, n_test=10, n_train=10).test.tolist() != a.test.tolist()


@pytest.mark.parametrize("unit", ["questions", "pages"])
def test_more_documents_change_few_picks(unit):
    page = np.arange(1000)
    before = draw(page, 1000, n_test=100, n_train=100, unit=unit)
    after = draw(np.arange(1010), 1010, n_test=100, n_train=100, unit=unit)
    assert len(set(before.test) & set(after.test)) >= 95
    assert len(set(before.train) & set(after.train)) >= 90


def test_numbers_per_stratum():
    page = np.arange(60)
    kind = ["city"] * 40 + ["language"] * 20
    sizes = {"city": 6, "language": 2}
    splits = draw(page, 60, unit="pages", stratum=kind, n_test=sizes, n_train={"city": 3}, n_control=sizes)
    for rows, expected in ((splits.test, (6, 2)), (splits.train, (3, 0)), (splits.control, (6, 2))):
        assert ((rows < 40).sum(), (rows >= 40).sum()) == expected
    proportional = draw(page, 60, unit="pages", stratum=kind, n_test=9, n_train=3, width=1)
    assert ((proportional.test < 40).sum(), (proportional.test >= 40).sum()) == (6, 3)
    assert ((proportional.control < 40).sum(), (proportional.control >= 40).sum()) == (6, 3)


def test_controls_are_matched():
    rng = np.random.default_rng(0)
    n = 4000
    relation = rng.integers(0, 4, n)
    answer = rng.integers(1, 20, n) * (1 + relation)
    length = rng.lognormal(5, 1, n)
    # Pages near the test pages are all long: random controls would be short.
    long_first = np.argsort(np.argsort(-length))

    def neighbours(pages):
        return np.stack([pages, (pages + 1) % n, long_first[pages]], axis=1)

    splits = draw_splits(
        np.arange(n),
        neighbours,
        question_ids=[f"q{i}" for i in range(n)],
        doc_ids=[f"d{i}" for i in range(n)],
        n_test=200,
        n_train=100,
        relation=relation,
        answer_length=answer,
        page_length=length,
    )
    assert np.bincount(relation[splits.test]).tolist() == np.bincount(relation[splits.control]).tolist()
    assert {k for k in splits.balance if "length" in k} == {"log_answer_length", "log_page_length"}
    assert max(abs(b["smd"]) for b in splits.balance.values()) < 0.05
    # The figure itself, by hand:
    a, b = np.log1p(length[splits.test]), np.log1p(length[splits.control])
    smd = (a.mean() - b.mean()) / np.sqrt((a.var() + b.var()) / 2)
    assert splits.balance["log_page_length"]["smd"] == pytest.approx(smd)


def test_pages_are_matched_on_length():
    length = np.where(np.arange(200) % 10 == 0, 1000, 10)
    splits = draw(np.arange(200), 200, width=1, unit="pages", n_test=60, n_train=10, page_length=length)
    assert sorted(length[splits.test_pages]) == sorted(length[splits.control_pages])


def test_a_relation_that_runs_out_is_filled_and_shown():
    relation = ["rare"] * 3 + ["common"] * 60
    for seed in range(20):
        splits = draw(np.arange(63), 63, width=1, n_test=20, n_train=0, relation=relation, seed=seed)
        rare = (splits.test < 3).sum()
        if rare == 2:
            break
    assert rare == 2
    assert len(splits.control) == 20
    assert (splits.control < 3).sum() == 1
    assert splits.balance["relation=rare"]["test"] == pytest.approx(0.1)
    assert splits.balance["relation=rare"]["control"] == pytest.approx(0.05)


def test_duplicates_and_absent_pages_are_counted():
    texts = ["Who was Zeus?", "who was  zeus", "Who was Hera?", "Where?", "When?", "Why?"]
    splits = draw([0, 1, 2, -1, 3, 4], 5, width=1, n_test=1, n_train=1, question_texts=texts)
    assert splits.dropped == {
        "page_not_in_documents": 1,
        "duplicate_question": 1,
        "removed_page": 0,
        "not_drawn": 1,
    }


@pytest.mark.parametrize(
    "options, message",
    [
        ({"n_test": 100}, "n_test = 100 questions, but only 30 of 30 are free for this split. Lower n_test"),
        ({"n_test": 15, "n_train": 16}, "n_train = 16 questions, but only 15 of 30"),
        (
            {"n_test": 10, "n_train": 10, "n_control": 11},
            "n_control.*11 wanted, 10 there.*Lower n_test, n_train",
        ),
        (
            {"width": 30, "n_control": 3},
            r"outside F_4, which takes 30 of 30 documents \(.*3 wanted, 0 there\).*top_k",
        ),
        ({"n_test": {"isle": 1}, "stratum": ["city"] * 30}, "belong to 'isle'; the strata are 'city'"),
        (
            {"n_test": {"city": 31}, "stratum": ["city"] * 30, "unit": "pages"},
            "n_test: too few pages.*city: 31 wanted, 30 there",
        ),
    ],
)
def test_shortage_is_explained(options, message):
    with pytest.raises(SplitsInfeasible, match=message) as error:
        draw(np.arange(30), 30, **options)
    assert isinstance(error.value, UserError)


def test_shortage_is_found_before_the_neighbours_are():
    def neighbours(pages):
        raise AssertionError("looked up")

    with pytest.raises(SplitsInfeasible, match="n_control"):
        draw_splits(
            np.arange(10),
            neighbours,
            question_ids=[str(i) for i in range(10)],
            doc_ids=[str(i) for i in range(10)],
            n_test=4,
            n_train=4,
        )


def test_bad_arguments():
    with pytest.raises(ValueError, match="question_ids must be unique: 1 repeat"):
        draw([0, 1], 2, question_ids=["a", "a"])
    with pytest.raises(ValueError, match="pages from 0 to 5; D has 2"):
        draw([0, 5], 2)
    with pytest.raises(ValueError, match="'questions' or 'pages'"):
        draw([0, 1], 2, unit="rows")
    with pytest.raises(ValueError, match="relation has 1 entries for 2"):
        draw([0, 1], 2, relation=["x"])
    with pytest.raises(ValueError, match="page_length has shape"):
        draw([0, 1], 2, page_length=[1.0])
    with pytest.raises(ValueError, match="finite"):
        draw([0, 1], 2, answer_length=[1.0, np.nan])
    with pytest.raises(ValueError, match="negative"):
        draw([0, 1], 2, n_test=-1)
    with pytest.raises(ValueError, match="different strata"):
        draw([0, 0], 2, unit="pages", stratum=["a", "b"], n_test=1, n_train=0)
