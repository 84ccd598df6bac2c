# SPDX-License-Identifier: Apache-2.0
"""Parts of a published corpus become token stores; the order of published models must not move."""

from types import SimpleNamespace

import pytest
from datasets import Dataset

from tests.conftest import TEXTS
from xlt_hf.hub import load

ROWS = [
    {"doc_id": f"d{i}", "text": f"{TEXTS['hi'][i % 3]}\n\n{TEXTS['en'][i % 3]}", "part": part, "title": "t"}
    for i, part in enumerate(["hi/base", "hi/base", "hi/level-2", "hi/base", "hi/level-1", "hi/level-1"])
]


@pytest.fixture
def stores(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(load, "load_tokenizer", lambda hub, found: tokenizer)
    corpora = {"en": ROWS[:1], "hi": ROWS}
    corpora["en"] = [{**row, "part": "en"} for row in ROWS]
    monkeypatch.setattr(
        load, "load_corpus", lambda hub, found, config, lang: Dataset.from_list(corpora[lang])
    )
    found = SimpleNamespace(ref=SimpleNamespace(revision="0" * 40))

    def make(unit="document"):
        return load.load_token_stores(None, found, found, "filter-0", ["en", "hi"], tmp_path / "tokens", unit)

    return make


@pytest.mark.parametrize("unit", ["document", "paragraph"])
def test_stores_are_the_parts_as_they_first_appear_with_their_rows_in_order(stores, bpe, unit):
    parts = [("en", None), ("hi", "hi/base"), ("hi", "hi/level-2"), ("hi", "hi/level-1")]
    for made in (stores(unit), stores(unit)):
        assert [store.language for store in made] == [language for language, _ in parts]
        for store, (_, part) in zip(made, parts, strict=True):
            rows = [row for row in ROWS if part in (None, row["part"])]
            ids, texts = [r["doc_id"] for r in rows], [r["text"] for r in rows]
            if unit == "paragraph":
                lines = [
                    (f"{i}#{n}", line)
                    for i, text in zip(ids, texts, strict=True)
                    for n, line in enumerate(text.split("\n"))
                    if line
                ]
                ids, texts = [i for i, _ in lines], [line for _, line in lines]
            (shard,) = store.shards
            assert shard.doc_ids.to_pylist() == ids
            assert [shard.document(n).tolist() for n in range(len(ids))] == [bpe.encode(t).ids for t in texts]


def test_both_units_have_tokens_of_their_own(stores):
    assert len(stores("document")[0]) == 6
    assert len(stores("paragraph")[0]) == 12
