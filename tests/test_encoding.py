# SPDX-License-Identifier: Apache-2.0
"""The fast encoder is used only where it gives the ids of `tokenizers`."""

import logging
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import TEXTS
from xlt_hf import encoding
from xlt_hf.encoding import TokenizersEncoder, WordsEncoder, choose_encoder, difference, probes, token_bytes


class Wrong:
    """Gives the reference's ids, but for texts with a question mark."""

    name = "wrong"

    def __init__(self, reference):
        self.reference = reference

    def encode(self, texts):
        return self.reference.encode([text.replace("?", "!") for text in texts])


def test_reference_gives_the_ids_of_each_text(bpe):
    texts = ["", *TEXTS["hi"], "<|endoftext|>", ""]
    ids, offsets = TokenizersEncoder(bpe).encode(texts)
    assert ids.dtype == np.uint32
    for i, text in enumerate(texts[:4]):
        assert ids[offsets[i] : offsets[i + 1]].tolist() == bpe.encode(text).ids
    assert 0 not in ids
    assert bpe.encode("<|endoftext|>").ids == [0], "the tokenizer is left as it was"


def test_a_difference_is_found_and_described(bpe):
    reference = TokenizersEncoder(bpe)
    assert difference(reference, Wrong(reference), ["Nepal.", ""]) is None
    assert "wrong differs from tokenizers on 'Who?'" in difference(reference, Wrong(reference), ["a", "Who?"])


def test_fastokens_passes_its_check_and_is_chosen(bpe, caplog):
    pytest.importorskip("fastokens")
    with caplog.at_level(logging.INFO):
        chosen = choose_encoder(bpe, TEXTS["hi"])
    assert chosen.name == "fastokens by words", caplog.text
    assert difference(TokenizersEncoder(bpe), chosen, ["मुद्रा <|pad|>\u200d", "", "x" * 999]) is None


def test_a_difference_on_the_texts_at_hand_falls_back_with_the_reason(bpe, caplog, monkeypatch):
    reference = TokenizersEncoder(bpe)
    monkeypatch.setattr(encoding, "_proven", lambda _: (Wrong(reference), None))
    with caplog.at_level(logging.INFO):
        assert choose_encoder(bpe, ["Who?"]).name == "tokenizers by words"
    assert "differs from tokenizers on 'Who?'" in caplog.text
    assert choose_encoder(bpe, ["Nepal."]).name == "wrong by words"


@pytest.fixture
def few_probes(monkeypatch):
    monkeypatch.setattr(encoding, "probes", lambda: ["", "a b", "a a a", "क  ख", *TEXTS["hi"]])


def test_without_fastokens_tokenizers_is_used_and_the_reason_logged(bpe, caplog, monkeypatch, few_probes):
    monkeypatch.setitem(sys.modules, "fastokens", None)
    monkeypatch.setattr(encoding, "_proven", encoding._proven.__wrapped__)
    with caplog.at_level(logging.INFO):
        assert choose_encoder(bpe).name == "tokenizers by words"
    assert "fastokens is not installed" in caplog.text


def test_a_tokenizer_that_fastokens_does_not_take_falls_back(caplog, few_probes):
    pytest.importorskip("fastokens")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with caplog.at_level(logging.INFO):
        assert choose_encoder(words, ["a"]).name.startswith("tokenizers")
    assert "fastokens does not take this tokenizer" in caplog.text


def test_a_tokenizer_whose_tokens_cross_spaces_is_not_cut_at_them(caplog, few_probes):
    from tokenizers import Tokenizer, models

    crossing = Tokenizer(
        models.BPE(vocab={"a": 0, " ": 1, "a ": 2, "a a": 3}, merges=[("a", " "), ("a ", "a")])
    )
    assert crossing.encode("a a").ids == [3]
    with caplog.at_level(logging.INFO):
        chosen = choose_encoder(crossing)
    assert "by words" not in chosen.name
    assert f"Encoding with {chosen.name}: {chosen.name} by words differs" in caplog.text


TEXT = st.lists(
    st.text("aab.é\u0301कि\u200d1१,  \n\u00a0\u2003", max_size=40)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
    | st.sampled_from(TEXTS["hi"] + ["", "<|endoftext|> <|pad|>", "a  b", " a", "b "]),
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(TEXT, max_size=4), most=st.integers(0, 6))
def test_words_give_the_ids_of_whole_texts_whatever_was_encoded_before(bpe, batches, most):
    reference = TokenizersEncoder(bpe)
    by_words = WordsEncoder(reference, token_bytes(bpe), most)
    for texts in batches:
        assert difference(reference, by_words, texts) is None
        ids, offsets = by_words.encode(texts)
        assert ids.dtype == np.uint32
        assert len(offsets) == len(texts) + 1


def test_a_word_is_encoded_once(bpe):
    seen = []

    class Counting(TokenizersEncoder):
        def encode(self, texts):
            seen.extend(texts)
            return super().encode(texts)

    by_words = WordsEncoder(Counting(bpe), token_bytes(bpe))
    for _ in range(3):
        by_words.encode(["a b a b", "b a b", "a  b"])
    assert by_words._known == 4, "the whole text is forgotten"
    assert sorted(text for text in seen if text) == sorted([" a b", "a", "b", *["a  b"] * 3])


def test_words_are_encoded_one_by_one_where_ids_do_not_tell_where_they_end(bpe):
    reference = TokenizersEncoder(bpe)
    unknown = WordsEncoder(reference, np.full(bpe.get_vocab_size(), 1000))
    assert difference(reference, unknown, [*TEXTS["hi"], *TEXTS["en"], "漢 字 á"]) is None


def test_bytes_of_tokens_add_up_to_the_text(bpe):
    sizes = token_bytes(bpe)
    for text in [*TEXTS["hi"], *TEXTS["en"], "漢字 <0x41>"]:
        assert sizes[bpe.encode(text).ids].sum() == len(text.encode())


def test_probes_hold_every_code_point_that_can_be_a_character():
    held = set("".join(probes()))
    assert held >= {chr(c) for c in range(0x40000) if not 0xD800 <= c < 0xE000}


def test_the_pattern_is_spelt_so_that_pcre2_takes_it(bpe):
    import json

    spelt = encoding._for_pcre2(json.loads(bpe.to_str()))["pre_tokenizer"]["pattern"]["Regex"]
    assert r"\x{200C}\x{200D}" in spelt
    assert r"\u" not in spelt
