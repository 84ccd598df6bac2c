# SPDX-License-Identifier: Apache-2.0
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.conftest import TEXTS
from xlt_hf.tokenization import (
    END_OF_TEXT,
    GPT2_WORDS,
    balanced_sample,
    count_tokens,
    fertility,
    train_bpe,
)

# Surrogates are not text; everything else must come back.
ANY_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
HINDI = st.text(st.characters(min_codepoint=0x0900, max_codepoint=0x097F), max_size=40)


def roundtrip(bpe: Tokenizer, text: str) -> str:
    bpe.encode_special_tokens = True
    ids = bpe.encode(text, add_special_tokens=False).ids
    bpe.encode_special_tokens = False
    return bpe.decode(ids, skip_special_tokens=False)


@settings(max_examples=300)
@given(text=ANY_TEXT | HINDI | ANY_TEXT.map(lambda t: f"<0x41>{t}{END_OF_TEXT}"))
def test_any_text_round_trips_up_to_nfc(bpe, text):
    assert roundtrip(bpe, text) == unicodedata.normalize("NFC", text)


def test_no_token_begins_with_a_mark_of_a_longer_word(bpe):
    pieces = [piece for piece, _ in bpe.pre_tokenizer.pre_tokenize_str("यूनानी कथाओं में क्या है")]
    assert pieces == ["यूनानी", " कथाओं", " में", " क्या", " है"]


def test_characters_never_seen_become_bytes_not_unknown(bpe):
    tokens = bpe.encode("漢").tokens
    assert tokens == ["<0xE6>", "<0xBC>", "<0xA2>"]


def test_a_vocabulary_too_small_is_refused_with_the_numbers():
    with pytest.raises(ValueError, match="vocab_size 300 leaves 42"):
        train_bpe(["a"], 300)


def test_vocabulary_has_the_size_asked_for(bpe):
    assert bpe.get_vocab_size() <= 700


def test_splitting_with_marks_needs_fewer_tokens_for_hindi_than_gpt2(bpe):
    text = TEXTS["hi"] * 20
    ours = fertility(bpe, TEXTS["hi"], "hi")
    gpt2 = fertility(train_bpe([*text, *TEXTS["en"] * 20], 700, words=GPT2_WORDS), TEXTS["hi"], "hi")
    assert ours.tokens_per_word < 0.8 * gpt2.tokens_per_word
    assert ours.words == sum(len(t.replace("।", " ").split()) for t in TEXTS["hi"])


def test_text_that_spells_a_special_token_is_counted_as_text(bpe):
    assert count_tokens(bpe, [END_OF_TEXT])[0] > 1
    assert bpe.encode(END_OF_TEXT).ids == [0]


def test_chat_template_puts_question_and_answer_between_end_tokens(tokenizer):
    row = [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A"}]
    assert tokenizer.apply_chat_template(row, tokenize=False) == f"{END_OF_TEXT}Q? A{END_OF_TEXT}"
    prompt = tokenizer.apply_chat_template(row[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == f"{END_OF_TEXT}Q?"


def test_chat_template_refuses_a_role_it_does_not_know(tokenizer):
    with pytest.raises(Exception, match="only user and assistant"):
        tokenizer.apply_chat_template([{"role": "system", "content": "x"}], tokenize=False)


def test_sample_stops_at_each_language_s_share():
    texts = {"en": ["a" * 10] * 100, "hi": ["क" * 10] * 100}
    sample = list(balanced_sample(texts, 600))
    assert sum(len(t) for t in sample if t[0] == "a") == 300
    assert sum(len(t.encode()) for t in sample if t[0] == "क") == 300


def test_saved_tokenizer_loads_as_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "नेपाल की राजधानी काठमांडू है।"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token, loaded.pad_token) == (END_OF_TEXT, "<|pad|>")
