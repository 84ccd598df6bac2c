# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xlt_hf.corpora.audit import AuditQuestion, LeakAudit, audit_table, leak_audit, normalise
from xlt_hf.corpora.partition import FILTERS, Partition


def base(n):
    return Partition(np.zeros(n, np.int8), np.zeros(n, np.int8))


def count(answer, text, title="—"):
    rows, _ = leak_audit([AuditQuestion("q", [answer], [title])], [text], base(1))
    return rows[0]["answer_docs"]


@pytest.mark.parametrize(
    "text, answer, expected",
    [
        ("भारत की राजधानी दिल्ली है।", "दिल्ली", 1),
        ("भारतीय संविधान", "भारत", 0),  # a vowel sign goes on with the word
        ("भारत, पाकिस्तान", "भारत", 1),
        ("दिल्ली", "दिल", 0),
        ("सन् १९४७ में", "1947", 1),
        ("सन् 1947 में", "१९४७", 1),
        ("सन् 19471 में", "1947", 0),
        ("क़लम", "क\u093cलम", 1),  # composed and decomposed nukta
        ("श्री\u200dलंका", "श्रीलंका", 1),
        ("नई\n  दिल्ली", "नई दिल्ली", 1),
        ("The EURO zone", "euro", 1),
        ("Euros", "euro", 0),
        ("मूल्य (₹) में", "(₹)", 0),  # no letter or number: not searched for
        ("C++ भाषा", "C++", 1),
        ("", "दिल्ली", 0),
        ("अ ब", "ब", 1),
        ("अब", "ब", 0),
    ],
)
def test_mentions(text, answer, expected):
    assert count(answer, text) == expected


def test_counts_follow_the_parts():
    level = np.array([1, 0, 2, 0, 0], np.int8)
    reserve = np.array([0, 3, 0, 0, 0], np.int8)
    texts = ["दिल्ली भारत", "दिल्ली 5", "दिल्ली", "भारत", "दिल्ली; भारत"]
    question = AuditQuestion("q1", ["दिल्ली", "नई दिल्ली"], ["भारत"])
    rows, _ = leak_audit([question], texts, Partition(level, reserve))
    assert [tuple(r.values()) for r in rows] == [
        ("q1", 0, 3, 3, 2),
        ("q1", 1, 2, 2, 1),
        ("q1", 2, 1, 2, 1),
        ("q1", 3, 2, 2, 1),
        ("q1", 4, 2, 2, 1),
    ]
    assert list(rows[0]) == ["question_id", "filter", "answer_docs", "title_docs", "both_docs"]


words = st.sampled_from(["भारत", "भारतीय", "दिल्ली", "दिल", "new delhi", "delhi", "5", "५", "क्ष", "x"])
texts = st.lists(words, max_size=6).map(" ".join)
membership = st.sampled_from([(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (0, 2), (0, 4)])


def naive(question, docs, k):
    """Word by word, filter by filter, without an automaton."""

    def mentions(text, phrases):
        text = normalise(text)
        return any(
            re.search(rf"(?:^|\s){re.escape(normalise(p))}(?:$|\s)", text) for p in phrases if normalise(p)
        )

    kept = [t for t, (f, r) in docs if (r == 0 and not 1 <= f <= k) or 1 <= r <= k]
    answer = [mentions(t, question.answers) for t in kept]
    title = [mentions(t, question.titles) for t in kept]
    return sum(answer), sum(title), sum(a and b for a, b in zip(answer, title))


@given(
    docs=st.lists(st.tuples(texts, membership), max_size=8),
    asked=st.lists(st.tuples(st.lists(words, max_size=3), st.lists(words, max_size=2)), max_size=4),
    cut=st.integers(0, 8),
)
def test_one_pass_agrees_with_counting_by_hand_and_shards_add_up(docs, asked, cut):
    questions = [AuditQuestion(f"q{i}", a, t) for i, (a, t) in enumerate(asked)]
    partition = Partition(*(np.array([m[i] for _, m in docs], np.int8) for i in (0, 1)))
    rows, audit = leak_audit(questions, [t for t, _ in docs], partition)
    by_key = {(r["question_id"], r["filter"]): tuple(list(r.values())[2:]) for r in rows}
    for question in questions:
        for k in FILTERS:
            assert by_key[question.id, k] == naive(question, docs, k)
    first, second = LeakAudit(questions), pickle.loads(pickle.dumps(LeakAudit(questions)))
    for index, ((text, _), code) in enumerate(zip(docs, partition.target_codes().tolist())):
        (first if index < cut else second).update(text, code)
    first.merge(second)
    np.testing.assert_array_equal(first.counts, audit.counts)


def test_odd_phrases_are_reported():
    questions = [
        AuditQuestion("short", ["५"], ["भारत"]),
        AuditQuestion("empty", ["", "।"], ["भारत"]),
        AuditQuestion("untitled", ["दिल्ली"], []),
    ]
    rows, audit = leak_audit(questions, ["भारत ५ ।"], base(1))
    assert audit.short_answers == ["short"]
    assert audit.unsearchable_answers == ["empty"]
    assert audit.unsearchable_titles == ["untitled"]
    assert [r["answer_docs"] for r in rows if r["filter"] == 0] == [1, 0, 0]


def test_table():
    rows = [
        {"question_id": str(i), "filter": 1, "answer_docs": n, "title_docs": 0, "both_docs": min(n, 1)}
        for i, n in enumerate([0, 1, 9, 10, 200])
    ]
    assert audit_table(rows) == [
        {"filter": 1, "mention": "answer", "0": 1, "1-9": 2, "10+": 2, "questions": 5},
        {"filter": 1, "mention": "title", "0": 5, "1-9": 0, "10+": 0, "questions": 5},
        {"filter": 1, "mention": "both", "0": 1, "1-9": 4, "10+": 0, "questions": 5},
    ]


@given(st.text(st.sampled_from("e\u0301\u200d\u200cक\u093cİß५ \nA") | st.characters()))
@example("e\u200d\u0301")
def test_normalising_twice_changes_nothing(text):
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)


def test_wrong_number_of_texts():
    question = [AuditQuestion("q", ["a"], ["b"])]
    with pytest.raises(ValueError, match="1 texts for the 2 documents"):
        leak_audit(question, ["a"], base(2))
    with pytest.raises(ValueError, match="more texts than the 1 documents"):
        leak_audit(question, ["a", "b"], base(1))
    with pytest.raises(ValueError, match="different questions"):
        LeakAudit(question).merge(LeakAudit([]))
