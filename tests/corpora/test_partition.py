# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.corpora.partition import FILTERS, InvariantBroken, Partition, check_invariants

LEVEL = np.array([0, 1, 2, 3, 4, 0, 0, 0, 0, 0], np.int8)
RESERVE = np.array([0, 0, 0, 0, 0, 1, 2, 3, 4, 0], np.int8)
CONTROL = np.arange(10) == 9
TOK = np.full(10, 5)


def test_filters_are_unions_of_parts():
    partition = Partition(LEVEL, RESERVE)
    assert partition.parts_of_filter(0) == ["en", "hi/base", *(f"hi/level-{k}" for k in (1, 2, 3, 4))]
    assert partition.parts_of_filter(2) == [
        *("en", "hi/base", "hi/level-3", "hi/level-4", "hi/reserve-1", "hi/reserve-2"),
    ]
    assert partition.parts_of_filter(4) == ["en", "hi/base", *(f"hi/reserve-{k}" for k in (1, 2, 3, 4))]
    assert Partition(LEVEL, RESERVE, "bn", "ta").parts[:3] == ("bn", "ta/base", "ta/level-1")


codes = st.sampled_from([(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (0, 1), (0, 2), (0, 3), (0, 4)])


@given(st.lists(codes, max_size=30))
def test_parts_make_the_corpora_of_the_design(docs):
    level = np.array([d[0] for d in docs], np.int8)
    reserve = np.array([d[1] for d in docs], np.int8)
    partition = Partition(level, reserve)
    everything = np.concatenate([partition.part_rows(p) for p in partition.target_parts])
    assert sorted(everything.tolist()) == list(range(len(docs)))
    for k in FILTERS:
        rows = np.concatenate([partition.part_rows(p) for p in partition.parts_of_filter(k)[1:]])
        # C_hi - F_k, with R_k: DESIGN.md's definition, document by document
        expected = [i for i, (f, r) in enumerate(docs) if (r == 0 and not 1 <= f <= k) or 1 <= r <= k]
        assert sorted(rows.tolist()) == expected
        assert np.flatnonzero(partition.target_mask(k)).tolist() == expected
    assert partition.part_rows("en").tolist() == [i for i, (_, r) in enumerate(docs) if r == 0]


def test_summary_adds_up():
    summary = Partition(LEVEL, RESERVE).summary(TOK, np.arange(10))
    assert summary["parts"]["en"] == {"documents": 6, "tokens": 30}
    assert summary["parts"]["hi/reserve-3"] == {"documents": 1, "tokens": 7}
    assert summary["filters"]["filter-0"]["hi"] == {"documents": 6, "tokens": 0 + 1 + 2 + 3 + 4 + 9}
    assert summary["filters"]["filter-4"]["hi"] == {"documents": 6, "tokens": 0 + 5 + 6 + 7 + 8 + 9}
    assert summary["filters"]["filter-4"]["en"] == {"documents": 6, "tokens": 30}


def test_a_good_partition_passes():
    check_invariants(Partition(LEVEL, RESERVE), TOK, CONTROL)


def change(values, at, to):
    values = values.copy()
    values[at] = to
    return values


@pytest.mark.parametrize(
    "level, reserve, control, message",
    [
        (change(LEVEL, 5, 2), RESERVE, CONTROL, "both removed and in the reserve: 1 documents"),
        (change(LEVEL, 0, 5), RESERVE, CONTROL, r"level out of 0\.\.4"),
        (LEVEL, change(RESERVE, 0, -1), CONTROL, r"reserve part out of 0\.\.4"),
        (LEVEL, RESERVE, change(CONTROL, 2, True), "control page with a removal level"),
        (LEVEL, RESERVE, change(CONTROL, 6, True), "control page in the reserve"),
        (
            change(LEVEL, [0, 9], 3),
            RESERVE,
            CONTROL & False,
            "filter 3 has 20 target-language tokens, filter 0 has 30",
        ),
    ],
)
def test_each_broken_invariant_is_named(level, reserve, control, message):
    with pytest.raises(InvariantBroken, match=message):
        check_invariants(Partition(level, reserve), TOK, control)


def test_broken_invariant_names_the_document():
    with pytest.raises(InvariantBroken, match="doc-6"):
        check_invariants(
            Partition(LEVEL, RESERVE), TOK, change(CONTROL, 6, True), [f"doc-{i}" for i in range(10)]
        )


@pytest.mark.parametrize("wrong", ["parts_of_filter", "target_codes_of_filter", "source_mask", "target_mask"])
def test_a_wrong_union_is_caught(monkeypatch, wrong):
    """The check must not trust the code that it checks."""
    broken = {
        "parts_of_filter": lambda self, k: ["hi/base"],
        "target_codes_of_filter": lambda self, k: (0, 1),
        "source_mask": lambda self: np.ones(len(self.level), bool),
        "target_mask": lambda self, k: np.ones(len(self.level), bool),
    }
    monkeypatch.setattr(Partition, wrong, broken[wrong])
    with pytest.raises(InvariantBroken):
        check_invariants(Partition(LEVEL, RESERVE), TOK, CONTROL)


def test_bad_arguments():
    with pytest.raises(ValueError, match="no filter 5"):
        Partition(LEVEL, RESERVE).parts_of_filter(5)
    with pytest.raises(ValueError, match="no part 'hi/level-9'; the parts are en, hi/base"):
        Partition(LEVEL, RESERVE).part_rows("hi/level-9")
    with pytest.raises(ValueError, match="both 'hi'"):
        Partition(LEVEL, RESERVE, "hi", "hi")
    with pytest.raises(ValueError, match="must have 10 documents"):
        check_invariants(Partition(LEVEL, RESERVE), TOK[:3], CONTROL)
