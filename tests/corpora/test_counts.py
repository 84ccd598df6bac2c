# SPDX-License-Identifier: Apache-2.0
import numpy as np

from tests.corpora.builder import documents
from xlt_hf.corpora import counts
from xlt_hf.corpora.counts import count_document_tokens
from xlt_hf.tokenization import count_tokens


def test_counts_are_those_of_the_tokenizer_and_stretches_are_kept(bpe, tmp_path, monkeypatch):
    table = documents(50)
    expected = np.array(count_tokens(bpe, list(table.texts("hi"))))
    monkeypatch.setattr(counts, "STRETCH", 20)
    assert count_document_tokens(bpe, table, "hi", tmp_path).tolist() == expected.tolist()
    middle = tmp_path / "hi-000000020.npy"
    changed = np.load(middle) + 1000
    np.save(middle, changed)
    (tmp_path / "hi-000000040.npy").unlink()
    again = count_document_tokens(bpe, table, "hi", tmp_path)
    assert again[20:40].tolist() == changed.tolist(), "what is there is not counted again"
    assert again[40:].tolist() == expected[40:].tolist()


def test_the_fast_encoder_counts_the_same(bpe, tmp_path, monkeypatch):
    table = documents(50)
    monkeypatch.setattr(counts, "WORTH_CHECKING", 10)
    fast = count_document_tokens(bpe, table, "hi", tmp_path)
    assert fast.tolist() == count_tokens(bpe, list(table.texts("hi"))).tolist()
