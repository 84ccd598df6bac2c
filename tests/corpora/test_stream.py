# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import TEXTS
from xlt_hf.corpora.stream import PackedRows
from xlt_hf.corpora.tokens import TokenStore, TokenStoreError, open_part, tokenise_part
from xlt_hf.errors import UserError

END = 999


def store(documents: dict[str, list[int]], language: str = "en") -> TokenStore:
    offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in documents.values()])]).astype(np.int64)
    values = np.array([i for ids in documents.values() for i in ids], dtype=np.uint16)
    return TokenStore(values, offsets, list(documents), language)


DOCUMENTS = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=4),
    st.lists(st.integers(0, 500), max_size=9),
    min_size=1,
    max_size=12,
)


def flat(rows: PackedRows) -> list[int]:
    return np.concatenate([rows.tokens(i) for i in range(len(rows))]).tolist()


@settings(max_examples=200)
@given(
    en=DOCUMENTS, hi=DOCUMENTS, seq_len=st.integers(1, 7), epochs=st.integers(1, 3), seed=st.integers(0, 3)
)
def test_the_stream_is_the_ordered_documents_with_end_tokens_cut_every_seq_len(en, hi, seq_len, epochs, seed):
    stores = [store(en), store(hi, "hi")]
    total = epochs * sum(len(ids) + 1 for docs in (en, hi) for ids in docs.values())
    if total < seq_len:
        with pytest.raises(UserError, match="do not fill one row"):
            PackedRows(stores, seq_len=seq_len, end_token=END, epochs=epochs, seed=seed)
        return
    rows = PackedRows(stores, seq_len=seq_len, end_token=END, epochs=epochs, seed=seed)
    texts = [*en.values(), *hi.values()]
    expected = [token for e in range(epochs) for d in rows.order(e)[0] for token in (*texts[d], END)]
    assert flat(rows) == expected[: len(rows) * seq_len]
    assert total - len(rows) * seq_len < seq_len


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


def test_tokenised_part_holds_each_document_s_ids(bpe, tmp_path):
    texts = [*TEXTS["hi"], "", "<|endoftext|>"]
    ids = [f"d{i}" for i in range(len(texts))]
    made = tokenise_part(bpe, ids, texts, "hi", tmp_path / "part")
    again = tokenise_part(bpe, ids, ["not read"] * len(ids), "hi", tmp_path / "part")
    for s in (made, again):
        assert list(s.doc_ids) == ids
        assert s.values.dtype == np.uint16
        for i, text in enumerate(TEXTS["hi"]):
            assert s.values[s.offsets[i] : s.offsets[i + 1]].tolist() == bpe.encode(text).ids
        assert s.offsets[3] == s.offsets[4], "the empty document is empty"
        assert 0 not in s.values[s.offsets[4] :], "text cannot forge an end of document"


def test_a_damaged_part_is_refused(bpe, tmp_path):
    tokenise_part(bpe, ["a"], ["Nepal is a country."], "en", tmp_path / "part")
    with open(tmp_path / "part" / "values.bin", "ab") as file:
        file.write(b"x")
    with pytest.raises(TokenStoreError, match="is damaged"):
        open_part(tmp_path / "part", "en")
