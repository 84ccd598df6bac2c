# SPDX-License-Identifier: Apache-2.0
"""Counting and merging give what `tokenizers`' own trainer gives on the same texts."""

import json
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import models, trainers

from tests.conftest import TEXTS
from xlt_hf.bpe_training import count_pieces, learn
from xlt_hf.tokenization import GPT2_WORDS, LLAMA3_WORDS, WORDS_WITH_MARKS, _pipeline

SPLITTINGS = {"ours": WORDS_WITH_MARKS, "gpt2": GPT2_WORDS, "llama3": LLAMA3_WORDS}
FEW = st.lists(st.text("ab ", max_size=40), max_size=12)
MIXED = st.lists(
    st.text("aabbcé\u0301\u0308कखा\u093f\u094d\u200d'S12१.,!?  \n\r\t\u00a0\u2003\u0085\u001c", max_size=40),
    max_size=12,
)


def with_tokenizers(texts, words, size, limit=1000):
    learner = _pipeline(models.BPE(), words)
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, limit_alphabet=limit)
    learner.train_from_iterator(texts, trainer)
    model = json.loads(learner.to_str())["model"]
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(merge) for merge in model["merges"]]


def pieces_one_by_one(texts, words):
    pipeline = _pipeline(models.BPE(), words)
    split = (pipeline.pre_tokenizer.pre_tokenize_str(pipeline.normalizer.normalize_str(t)) for t in texts)
    return Counter(piece for text in split for piece, _ in text)


@settings(max_examples=150, deadline=None)
@given(texts=FEW | MIXED, words=st.sampled_from(list(SPLITTINGS.values())))
@example(texts=["a  b", " a", "a ", "a \n b", "a\n\nb c"], words=WORDS_WITH_MARKS)
@example(texts=[" 1\x85", " "], words=WORDS_WITH_MARKS)
@example(texts=[" \u0301a b\u0301 e\u0301", "\u2000 a", "", " "], words=WORDS_WITH_MARKS)
def test_counted_pieces_are_those_of_splitting_every_text(texts, words):
    assert count_pieces(_pipeline(models.BPE(), words), texts) == pieces_one_by_one(texts, words)


@settings(max_examples=150, deadline=None)
@given(texts=FEW | MIXED, size=st.integers(4, 120))
@example(texts=["aaaaaaa aaaa", "abababab", "aabbaabb"], size=60)
def test_vocabulary_and_merges_are_those_of_the_tokenizers_trainer(texts, size):
    learnt = learn(pieces_one_by_one(texts, WORDS_WITH_MARKS), size, 1000)
    assert (learnt.tokens, learnt.merges) == with_tokenizers(texts, WORDS_WITH_MARKS, size)


@pytest.mark.parametrize("splitting", SPLITTINGS)
def test_so_they_are_for_text(splitting):
    texts = [*TEXTS["en"], *TEXTS["hi"]] * 7
    learnt = learn(count_pieces(_pipeline(models.BPE(), SPLITTINGS[splitting]), texts), 400, 1000)
    assert (learnt.tokens, learnt.merges) == with_tokenizers(texts, SPLITTINGS[splitting], 400)
    assert learnt.merges[0] in learnt.commonest


def test_counts_beyond_32_bits_do_not_run_over():
    many = 3 << 31
    learnt = learn({"ab": many, "cd": 5, "ef": 4}, 8, 100)
    assert learnt.merges == [("a", "b"), ("c", "d")]
    assert learnt.commonest == [("a", "b")]


def test_the_alphabet_keeps_the_commonest_characters_and_ties_by_code_point():
    learnt = learn({"ab": 5, "c": 3, "d": 3, "e": 1}, 100, 3)
    assert learnt.tokens == ["a", "b", "c", "ab"]


def test_a_character_outside_the_alphabet_is_passed_over():
    texts = [*["axyb"] * 5, "ab", "bx", "bb"]
    learnt = learn(pieces_one_by_one(texts, WORDS_WITH_MARKS), 100, 3)
    assert learnt.tokens[:3] == ["a", "b", "x"]
    assert ("ax", "b") in learnt.merges, "y is gone from between them"
    assert (learnt.tokens, learnt.merges) == with_tokenizers(texts, WORDS_WITH_MARKS, 100, 3)


def test_counts_are_merged_on_the_way(monkeypatch):
    from xlt_hf import bpe_training

    monkeypatch.setattr(bpe_training, "_BATCH_CHARS", 50)
    monkeypatch.setattr(bpe_training, "_MERGE_COUNTS_AT", 10)
    texts = [*TEXTS["en"], *TEXTS["hi"], "a  b"] * 5
    assert count_pieces(_pipeline(models.BPE(), WORDS_WITH_MARKS), texts) == pieces_one_by_one(
        texts, WORDS_WITH_MARKS
    )
