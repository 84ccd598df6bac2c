# SPDX-License-Identifier: Apache-2.0
"""Every kind of malformed field has its reason, and none raises anything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.sources.question_rows import (
    BadRow,
    gather,
    id_of,
    merge,
    source_only,
    spans_in,
    text_of,
    texts_of,
)
from xlt_hf.sources.schema import DatasetRef, QuestionBatch

RAW = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.lists(st.text() | st.binary() | st.none() | st.integers())
)


@pytest.mark.parametrize(
    "value, reason",
    [
        (None, "no_title"),
        ("", "no_title"),
        (b" \n", "no_title"),
        (3, "wrong_type"),
        (["x"], "wrong_type"),
        (b"\xff", "not_utf8"),
        ("\ud800", "not_utf8"),
    ],
)
def test_reasons_of_texts(value, reason):
    with pytest.raises(BadRow) as caught:
        text_of(value, "no_title")
    assert caught.value.reason == reason


def test_good_fields():
    assert text_of("दिल्ली ".encode(), "no_title") == "दिल्ली "
    assert id_of(-2543388002166163252) == "-2543388002166163252"
    assert id_of(b" 7 ") == "7"
    assert texts_of([b"a ", None, "", b"a", "b"], "no_answer") == ["a", "b"]
    assert texts_of(b"a", "no_answer") == ["a"]


def test_spans():
    assert spans_in("Delhi is in India", [b"India"], [12]) == ["India"]
    assert spans_in("Delhi is in India", [b"India", b"Agra", b"Delhi "], [3, 0, 0]) == ["India", "Delhi"]
    assert spans_in("Delhi is in India", ["India"], None) == ["India"]
    with pytest.raises(BadRow, match="answer_not_in_context"):
        spans_in("Delhi is in India", ["Agra"], [0])
    with pytest.raises(BadRow, match="no_answer"):
        spans_in("Delhi is in India", [], [])


@given(RAW, RAW)
def test_nothing_but_bad_rows_is_raised(value, other):
    for check in (
        lambda: text_of(value, "no_title"),
        lambda: id_of(value),
        lambda: texts_of(value, "no_answer"),
        lambda: spans_in("a context", value, other),
    ):
        try:
            check()
        except BadRow:
            continue


def question(question_id: str):
    return source_only(("en", "hi"), question_id=question_id, title="T", url="", question="q", answers=["a"])


def test_gathering_counts_and_stops():
    def make(row):
        if row["id"] is None:
            raise BadRow("no_id")
        return question(row["id"])

    rows = [{"id": i} for i in ("a", None, "a", "b", None, "c")]
    refs = [DatasetRef("x/y", "0" * 40)]
    batch = gather(rows, make, refs)
    assert [q.id for q in batch.questions] == ["a", "b", "c"]
    assert batch.dropped == {"no_id": 2, "duplicate_id": 1}
    assert batch.refs == refs
    seen = iter(rows)
    assert [q.id for q in gather(seen, make, refs, max_questions=2).questions] == ["a", "b"]
    assert len(list(seen)) < 2  # no more was read than needed


def test_merging_keeps_the_first():
    ref = DatasetRef("x/y", "0" * 40)
    one = QuestionBatch([question("a")], {"no_id": 1}, [ref])
    two = QuestionBatch([question("b"), question("a")], {"no_id": 2}, [ref])
    merged = merge([one, two])
    assert merged.questions[0] is one.questions[0]
    assert [q.id for q in merged.questions] == ["a", "b"]
    assert merged.dropped == {"no_id": 3, "duplicate_id": 1}
    assert merged.refs == [ref]
