# SPDX-License-Identifier: Apache-2.0
"""The fast encoder is used only where it gives the ids of `tokenizers`."""

import logging
import sys

import numpy as np
import pytest

from tests.conftest import TEXTS
from xlt_hf import encoding
from xlt_hf.encoding import TokenizersEncoder, choose_encoder, difference, probes


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
    assert chosen.name == "fastokens", caplog.text
    assert difference(TokenizersEncoder(bpe), chosen, ["मुद्रा <|pad|>\u200d", "", "x" * 999]) is None


def test_a_difference_on_the_texts_at_hand_falls_back_with_the_reason(bpe, caplog, monkeypatch):
    reference = TokenizersEncoder(bpe)
    monkeypatch.setattr(encoding, "_proven", lambda _: Wrong(reference))
    with caplog.at_level(logging.INFO):
        assert choose_encoder(bpe, ["Who?"]).name == "tokenizers"
    assert "differs from tokenizers on 'Who?'" in caplog.text
    assert choose_encoder(bpe, ["Nepal."]).name == "wrong"


def test_without_fastokens_tokenizers_is_used_and_the_reason_logged(bpe, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastokens", None)
    monkeypatch.setattr(encoding, "_proven", encoding._proven.__wrapped__)
    with caplog.at_level(logging.INFO):
        assert choose_encoder(bpe).name == "tokenizers"
    assert "fastokens is not installed" in caplog.text


def test_a_tokenizer_that_fastokens_does_not_take_falls_back(caplog):
    pytest.importorskip("fastokens")
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    with caplog.at_level(logging.INFO):
        assert choose_encoder(words, ["a"]).name == "tokenizers"
    assert "fastokens does not take this tokenizer" in caplog.text


def test_probes_hold_every_code_point_that_can_be_a_character():
    held = set("".join(probes()))
    assert held >= {chr(c) for c in range(0x40000) if not 0xD800 <= c < 0xE000}


def test_the_pattern_is_spelt_so_that_pcre2_takes_it(bpe):
    import json

    spelt = encoding._for_pcre2(json.loads(bpe.to_str()))["pre_tokenizer"]["pattern"]["Regex"]
    assert r"\x{200C}\x{200D}" in spelt
    assert r"\u" not in spelt
