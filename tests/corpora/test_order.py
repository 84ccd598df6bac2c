# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.corpora import order
from xlt_hf.corpora.order import hash_keys, paired_order

ids_strategy = st.lists(st.text(max_size=8), unique=True, max_size=40)


@given(ids=ids_strategy, seed=st.integers(0, 5), data=st.data())
def test_common_documents_keep_their_order_in_every_subset(ids, seed, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
    subset = [doc for doc, keep in zip(ids, kept) if keep]
    whole = [ids[i] for i in paired_order(ids, seed)]
    assert sorted(whole) == sorted(ids)
    assert [subset[i] for i in paired_order(subset, seed)] == [doc for doc in whole if doc in set(subset)]


@given(ids=ids_strategy, seed=st.integers(0, 5))
def test_input_order_does_not_matter(ids, seed):
    backwards = ids[::-1]
    assert [ids[i] for i in paired_order(ids, seed)] == [backwards[i] for i in paired_order(backwards, seed)]


def test_known_keys():
    # Published corpora depend on these bytes: a change here changes every corpus.
    assert hash_keys(["a", "दिल्ली"], 0).tolist() == KNOWN
    assert hash_keys(["a"], 1)[0] != KNOWN[0]
    assert hash_keys(["a"], 0, "reserve")[0] != KNOWN[0]


KNOWN = [11411701437507204828, 10217067961010299222]


def test_seed_changes_the_order():
    ids = [str(i) for i in range(50)]
    assert paired_order(ids, 0).tolist() != paired_order(ids, 1).tolist()


def test_arrow_column_gives_the_same_keys(monkeypatch):
    monkeypatch.setattr(order, "_CHUNK", 3)
    ids = [f"d{i}" for i in range(10)]
    column = pa.chunked_array([ids[:4], ids[4:]])
    np.testing.assert_array_equal(hash_keys(column, 0), hash_keys(ids, 0))
    np.testing.assert_array_equal(hash_keys(iter(ids), 0), hash_keys(ids, 0))


def test_equal_hashes_are_ordered_by_id(monkeypatch):
    monkeypatch.setattr(order, "hash_keys", lambda ids, seed: np.array([7, 1, 7, 7, 1], np.uint64))
    ids = ["z", "b", "m", "a", "c"]
    assert [ids[i] for i in paired_order(ids, 0)] == ["b", "c", "a", "m", "z"]


def test_duplicate_id_is_refused():
    with pytest.raises(ValueError, match="'d1' occurs more than once"):
        paired_order(["d1", "d2", "d1"], 0)


def test_empty():
    assert paired_order([], 0).tolist() == []
