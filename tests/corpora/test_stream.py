# SPDX-License-Identifier: Apache-2.0
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlt_hf.corpora.order import hash_keys
from xlt_hf.corpora.stream import PackedRows
from xlt_hf.corpora.tokens import TokenShard, TokenStore
from xlt_hf.errors import UserError

END = 999


def store(documents: dict[str, list[int]], language: str = "en", shards: int = 1) -> TokenStore:
    """Documents cut into shards, their ids as a list or, in every second shard, as an Arrow column."""
    cuts = np.linspace(0, len(documents), shards + 1).astype(int)
    made = []
    for number, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        texts, names = list(documents.values())[start:stop], list(documents)[start:stop]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in texts])]).astype(np.int64)
        values = np.array([i for ids in texts for i in ids], dtype=np.uint16)
        made.append(TokenShard(values, offsets, pa.array(names, pa.string()) if number % 2 else names))
    return TokenStore(made, language)


DOCUMENTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.lists(st.integers(0, 500), max_size=9),
    min_size=1,
    max_size=12,
)


def flat(rows: PackedRows) -> list[int]:
    return np.concatenate([rows.tokens(i) for i in range(len(rows))]).tolist()


@settings(max_examples=200, deadline=None)
@given(
    en=DOCUMENTS,
    hi=DOCUMENTS,
    seq_len=st.integers(1, 7),
    epochs=st.integers(1, 3),
    seed=st.integers(0, 3),
    shards=st.integers(1, 4),
)
def test_the_stream_is_the_ordered_documents_with_end_tokens_cut_every_seq_len(
    en, hi, seq_len, epochs, seed, shards
):
    stores = [store(en, shards=shards), store(hi, "hi")]
    total = epochs * sum(len(ids) + 1 for docs in (en, hi) for ids in docs.values())
    if total < seq_len:
        with pytest.raises(UserError, match="do not fill one row"):
            PackedRows(stores, seq_len=seq_len, end_token=END, epochs=epochs, seed=seed)
        return
    rows = PackedRows(stores, seq_len=seq_len, end_token=END, epochs=epochs, seed=seed)
    texts = [*en.values(), *hi.values()]
    # The order of all models published so far: by the hash of language and id, ties as they stand.
    names = [f"en:{d}" for d in en] + [f"hi:{d}" for d in hi]
    expected = [
        token
        for e in range(epochs)
        for d in np.argsort(hash_keys(names, seed, purpose=f"epoch-{e}"), kind="stable")
        for token in (*texts[d], END)
    ]
    assert flat(rows) == expected[: len(rows) * seq_len]
    assert total - len(rows) * seq_len < seq_len


def test_rows_of_the_models_published_before_are_the_same():
    en = {f"d{i}": list(range(i * 10, i * 10 + i % 4)) for i in range(8)}
    hi = {f"d{i}": list(range(500 + i * 10, 500 + i * 10 + i % 3)) for i in range(0, 8, 2)}
    rows = PackedRows([store(en, shards=3), store(hi, "hi", 2)], seq_len=7, end_token=END, epochs=3, seed=5)
    assert [rows.tokens(i).tolist() for i in range(len(rows))] == GOLDEN


# Printed by commit 4ad5a00, before parts had shards.
GOLDEN = [
    [540, 999, 70, 71, 72, 999, 520],
    [521, 999, 20, 21, 999, 999, 999],
    [50, 999, 999, 60, 61, 999, 10],
    [999, 30, 31, 32, 999, 999, 30],
    [31, 32, 999, 540, 999, 70, 71],
    [72, 999, 520, 521, 999, 999, 10],
    [999, 60, 61, 999, 50, 999, 999],
    [999, 20, 21, 999, 999, 50, 999],
    [540, 999, 60, 61, 999, 999, 10],
    [999, 20, 21, 999, 999, 30, 31],
    [32, 999, 999, 999, 520, 521, 999],
]


def test_rows_read_in_any_order_are_the_same():
    rows = PackedRows([store({"a": [1, 2, 3], "b": [4], "c": [5, 6]})], seq_len=2, end_token=END, epochs=4)
    forward = [rows.tokens(i).tolist() for i in range(len(rows))]
    backward = [rows.tokens(i).tolist() for i in reversed(range(len(rows)))][::-1]
    assert forward == backward


def test_filters_see_their_common_documents_in_the_same_order_in_every_epoch():
    common = {f"d{i}": [i] for i in range(30)}
    first = PackedRows([store({**common, "x": [100]})], seq_len=1, end_token=END, epochs=2)
    second = PackedRows([store({"y": [101], **common})], seq_len=1, end_token=END, epochs=2)
    orders = [[t for t in flat(rows) if t < 100] for rows in (first, second)]
    assert orders[0] == orders[1]
    assert orders[0][:30] != orders[0][30:], "each epoch has its own order"
    other_seed = PackedRows([store(common)], seq_len=1, end_token=END, epochs=2, seed=1)
    assert [t for t in flat(other_seed) if t < 100] != orders[0]


def test_a_document_s_two_languages_do_not_stand_side_by_side():
    docs = {f"d{i}": [i] for i in range(200)}
    rows = PackedRows([store(docs), store(docs, "hi")], seq_len=1, end_token=END)
    tokens = [t for t in flat(rows) if t != END]
    assert sum(a == b for a, b in zip(tokens, tokens[1:], strict=False)) < 10


def test_max_rows_and_bounds():
    rows = PackedRows([store({"a": [1, 2, 3]})], seq_len=2, end_token=END, max_rows=1)
    assert len(rows) == 1
    with pytest.raises(IndexError):
        rows[1]


def test_twelve_million_documents_fit_in_two_gibibytes():
    documents, full, budget = 100_000, 12_000_000, 2 << 30
    ids = pa.array([f"{i:020d}" for i in range(documents)])
    lengths = np.full(documents, 3, dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    shard = TokenShard(np.zeros(int(offsets[-1]), np.uint16), offsets, ids)
    tracemalloc.start()
    try:
        rows = PackedRows([TokenStore([shard], "en")], seq_len=2048, end_token=END, epochs=2)
        rows.order(0)
        rows.order(1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # One slice of names stands as Python objects at a time, whatever the corpus' size.
    names = 65_536 * 300
    assert (peak - names) / documents * full < budget, f"{peak / documents:.0f} bytes a document"
