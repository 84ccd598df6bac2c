# SPDX-License-Identifier: Apache-2.0
"""Token shards: what they hold, that they are read in slices, and that a kill at any moment loses at most one."""

import os
import signal

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import TEXTS
from xlt_hf.corpora import tokens
from xlt_hf.corpora.tokens import TokenStoreError, open_part, tokenise_part
from xlt_hf.encoding import TokenizersEncoder

IDS = [f"d{i:04d}" for i in range(900)]
LONG = [(TEXTS["hi"] + TEXTS["en"])[i % 6] * (i % 5) for i in range(900)]
"""Every fifth is empty."""


class Sliced:
    """A column that can only be sliced, and remembers the longest slice and what was read."""

    def __init__(self, rows):
        self.rows, self.longest, self.read = rows, 0, set()

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        if isinstance(key, int):
            return self.rows[key]
        taken = self.rows[key]
        self.longest = max(self.longest, len(taken))
        self.read |= set(range(*key.indices(len(self.rows))))
        return taken


class Dying:
    """An encoder that ends the process without a word after so many batches."""

    name = "dying"

    def __init__(self, tokenizer, batches):
        self.inner, self.left = TokenizersEncoder(tokenizer), batches

    def encode(self, texts):
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        return self.inner.encode(texts)


@pytest.fixture
def small_batches(monkeypatch):
    """Batches of 256 documents, if of no more than so many characters."""
    monkeypatch.setattr(tokens, "_SLICE", 256)
    monkeypatch.setattr(tokens, "_BATCH_CHARS", 100)


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.arrow"))}


def documents(store):
    return [shard.document(row).tolist() for shard in store.shards for row in range(len(shard))]


def test_tokenised_part_holds_each_document_s_ids(bpe, tmp_path):
    texts = [*TEXTS["hi"], "", "<|endoftext|>"]
    ids = [f"d{i}" for i in range(len(texts))]
    made = tokenise_part(bpe, ids, texts, "hi", tmp_path / "part")
    again = tokenise_part(bpe, ids, ["not read"] * len(ids), "hi", tmp_path / "part")
    for store in (made, again):
        (shard,) = store.shards
        assert shard.doc_ids.to_pylist() == ids
        assert shard.values.dtype == np.uint16
        assert not shard.values.flags.writeable, "it is the file's map"
        found = documents(store)
        assert found[:3] == [bpe.encode(text).ids for text in TEXTS["hi"]]
        assert found[3] == [], "the empty document is empty"
        assert found[4]
        assert 0 not in found[4], "text cannot forge an end of document"
    assert not bpe.encode_special_tokens, "the tokenizer is left as it was"


def test_shards_are_the_documents_in_order_and_read_in_slices(bpe, tmp_path, small_batches):
    names, texts = Sliced(IDS), Sliced(LONG)
    store = tokenise_part(bpe, names, texts, "hi", tmp_path / "part", shard_tokens=5_000)
    whole = tokenise_part(bpe, IDS, LONG, "hi", tmp_path / "whole")
    assert len(store.shards) > 2
    assert len(whole.shards) == 1
    assert documents(store) == documents(whole) == [bpe.encode(text).ids for text in LONG]
    assert [i for shard in store.shards for i in shard.doc_ids.to_pylist()] == IDS
    assert store.tokens == whole.tokens == sum(len(bpe.encode(text).ids) for text in LONG)
    assert texts.longest == names.longest == 256


def test_paragraphs_are_documents_of_their_own(bpe, tmp_path):
    texts = ["Nepal is a country.\n\nIts capital is Kathmandu.", "", "\nJapan"]
    store = tokenise_part(bpe, ["a", "b", "c"], texts, "en", tmp_path / "part", unit="paragraph")
    assert store.shards[0].doc_ids.to_pylist() == ["a#0", "a#2", "c#1"]
    lines = ["Nepal is a country.", "Its capital is Kathmandu.", "Japan"]
    assert documents(store) == [bpe.encode(line).ids for line in lines]


def test_a_part_of_no_documents_is_a_finished_part(bpe, tmp_path):
    assert len(tokenise_part(bpe, [], [], "en", tmp_path / "part")) == 0
    assert open_part(tmp_path / "part", "en").tokens == 0


@pytest.mark.parametrize("batches", [0, 1, 2, 3])
def test_killed_at_any_batch_and_started_again_gives_the_same_bytes(bpe, tmp_path, small_batches, batches):
    tokenise_part(bpe, IDS, LONG, "hi", tmp_path / "whole", shard_tokens=5_000)
    folder = tmp_path / "part"
    child = os.fork()
    if child == 0:
        tokenise_part(bpe, IDS, LONG, "hi", folder, shard_tokens=5_000, encoder=Dying(bpe, batches))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(TokenStoreError, match="not finished"):
        open_part(folder, "hi")
    kept = contents(folder)
    assert len(kept) == batches, "at most one shard is lost"
    texts = Sliced(LONG)
    tokenise_part(bpe, IDS, texts, "hi", folder, shard_tokens=5_000)
    assert min(texts.read - set(range(tokens._SAMPLED))) >= batches * 256 if batches else True
    assert contents(folder) == contents(tmp_path / "whole")
    assert contents(folder).items() >= kept.items()


def test_a_write_that_was_cut_off_is_not_a_shard(bpe, tmp_path):
    tokenise_part(bpe, IDS, LONG, "hi", tmp_path / "whole")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "00000.arrow.building-1").write_bytes(b"ARROW1")
    tokenise_part(bpe, IDS, LONG, "hi", tmp_path / "part")
    assert contents(tmp_path / "part") == contents(tmp_path / "whole")


@pytest.mark.parametrize("damage", [lambda b: b + b"x", lambda b: b[:-9], lambda b: b"", lambda b: b[:40]])
def test_a_damaged_shard_is_refused(bpe, tmp_path, damage):
    tokenise_part(bpe, ["a"], ["Nepal is a country."], "en", tmp_path / "part")
    path = tmp_path / "part" / "00000.arrow"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TokenStoreError, match="is damaged"):
        open_part(tmp_path / "part", "en")


def test_a_missing_shard_is_noticed(bpe, tmp_path, small_batches):
    tokenise_part(bpe, IDS, LONG, "hi", tmp_path / "part", shard_tokens=5_000)
    (tmp_path / "part" / "00001.arrow").unlink()
    with pytest.raises(TokenStoreError, match="begins with document 512, not 256"):
        open_part(tmp_path / "part", "hi")


def test_tokens_of_other_rows_or_another_tokenizer_are_refused(bpe, tmp_path):
    from xlt_hf.tokenization import train_bpe

    tokenise_part(bpe, ["a"], ["Nepal"], "en", tmp_path / "part")
    with pytest.raises(TokenStoreError, match="1 documents made of .* but 2 documents"):
        tokenise_part(bpe, ["a", "b"], ["Nepal", "Japan"], "en", tmp_path / "part")
    other = train_bpe(["some other text entirely"], 400)
    with pytest.raises(TokenStoreError, match="another|made of"):
        tokenise_part(other, ["a"], ["Nepal"], "en", tmp_path / "part")


def test_a_large_vocabulary_needs_32_bits(bpe, tmp_path, monkeypatch):
    class Large:
        name = "large"

        def encode(self, texts):
            return np.full(len(texts), 70_000, np.uint32), np.arange(len(texts) + 1)

    from tokenizers import Tokenizer, models

    large = Tokenizer(models.BPE(vocab={f"t{i}": i for i in range(70_001)}, merges=[]))
    store = tokenise_part(large, ["a"], ["x"], "en", tmp_path / "part", encoder=Large())
    assert store.shards[0].values.tolist() == [70_000]
    assert pa.types.is_uint32(pa.array(store.shards[0].values).type)
