# SPDX-License-Identifier: Apache-2.0
import unicodedata
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.conftest import TEXTS
from xlt_hf import tokenization
from xlt_hf.bpe_training import Learnt
from xlt_hf.encoding import TokenizersEncoder
from xlt_hf.study import Languages, TokenizerConfig
from xlt_hf.tokenization import (
    END_OF_TEXT,
    GPT2_WORDS,
    MAX_SAMPLE_BYTES,
    Sample,
    TokenizerError,
    check_commonest_merge,
    count_tokens,
    fertility,
    train_bpe,
    train_with_fertility,
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


class Documents:
    """Ten-character texts, told apart by their number."""

    def __init__(self, n, hindi="क"):
        self.rows = {"en": [f"{i:010d}" for i in range(n)], "hi": [f"{i:04d}" + hindi * 6 for i in range(n)]}

    def texts(self, language):
        return iter(self.rows[language])


def test_a_sample_with_room_for_all_documents_is_all_documents():
    documents = Documents(100)
    sample = Sample.of(documents, ["en", "hi"], 2 * 2200)
    assert sample.sizes == {"en": 1000, "hi": 2200}
    assert sample.holds_all
    assert list(sample.texts()) == documents.rows["en"] + documents.rows["hi"]
    assert list(sample.measured("hi")) == documents.rows["hi"][::10]


def test_a_smaller_sample_is_balanced_spread_and_without_the_held_out_tenth():
    documents = Documents(1000)
    sample = Sample.of(documents, ["en", "hi"], 6600)
    assert not sample.holds_all
    texts = list(sample.texts())
    english, hindi = [t for t in texts if "क" not in t], [t for t in texts if "क" in t]
    for chosen, size in ((english, 10), (hindi, 22)):
        assert 3300 - 2 * size < len(chosen) * size <= 3300
        numbers = [int(t[:4] if size == 22 else t) for t in chosen]
        assert numbers == sorted(numbers)
        assert numbers[0] < 30
        assert numbers[-1] > 970, "to the end of the documents"
    held_out = {t for language in ("en", "hi") for t in sample.measured(language)}
    assert held_out == {*documents.rows["en"][::10], *documents.rows["hi"][::10]}
    assert not held_out & set(texts)
    part = list(sample.texts(2200))
    assert len(part) < len(texts) / 2
    assert {len(t.encode()) for t in part} == {10, 22}


def test_text_that_fertility_is_measured_on_is_bounded(monkeypatch):
    monkeypatch.setattr(tokenization, "_MEASURED_BYTES", 300)
    measured = list(Sample.of(Documents(1000), ["en", "hi"], 6600).measured("en"))
    assert 250 <= sum(map(len, measured)) <= 300
    assert int(measured[-1]) > 900


def test_a_sample_over_two_gibibytes_is_refused():
    assert Sample.of(Documents(1), ["en", "hi"], MAX_SAMPLE_BYTES).holds_all
    with pytest.raises(TokenizerError, match="2,049 MiB is too much, 2,048 MiB is the most"):
        Sample.of(Documents(1), ["en", "hi"], MAX_SAMPLE_BYTES + (1 << 20))


def test_merges_without_the_commonest_pair_are_refused():
    with pytest.raises(TokenizerError, match=r"\('a', 'b'\), is none of the 1 merges"):
        check_commonest_merge(Learnt(["a", "b", "c", "bc"], [("b", "c")], [("a", "b")]))
    check_commonest_merge(Learnt(["a", "b", "c", "bc"], [("b", "c")], [("a", "b"), ("b", "c")]))
    check_commonest_merge(Learnt(["a"], [], []))


@pytest.mark.parametrize(("times", "seen"), [(50, True), (5000, False)])
def test_fertility_table_compares_splittings_and_says_whether_the_text_was_seen(times, seen):
    documents = SimpleNamespace(texts=lambda language: iter(TEXTS[language] * times))
    trained, rows = train_with_fertility(documents, Languages("en", "hi"), TokenizerConfig(500, 1))
    assert [(row["language"], row["splitting"]) for row in rows] == [
        (language, splitting) for splitting in ("ours", "gpt2", "llama3") for language in ("en", "hi")
    ]
    assert {row["seen"] for row in rows} == {seen}
    ours, gpt2 = rows[1], rows[3]
    assert ours["tokens_per_word"] < gpt2["tokens_per_word"]
    assert ours["sample_bytes"] > 0
    assert trained.get_vocab_size() <= 500


def test_a_comparison_s_sample_is_bounded_and_the_published_one_s_is_not(monkeypatch):
    monkeypatch.setattr(tokenization, "_COMPARED_BYTES", 20_000)
    documents = SimpleNamespace(texts=lambda language: iter(TEXTS[language] * 300))
    trained, rows = train_with_fertility(documents, Languages("en", "hi"), TokenizerConfig(500, 64))
    size = sum(len(t.encode()) for texts in TEXTS.values() for t in texts * 300)
    assert [row["sample_bytes"] for row in rows] == [size, size, 20_000, 20_000, 20_000, 20_000]
    whole = train_bpe([t for texts in TEXTS.values() for t in texts * 300], 500)
    assert trained.to_str() == whole.to_str()


def test_counting_a_stream_uses_the_fast_encoder_where_there_is_much_text(bpe, monkeypatch):
    texts = [*TEXTS["hi"], "", *TEXTS["en"]] * 100
    expected = [len(bpe.encode(text).ids) for text in texts]
    assert count_tokens(bpe, iter(texts)).tolist() == expected
    chosen = []

    def choose(tokenizer, sample):
        chosen.append(list(sample))
        return TokenizersEncoder(tokenizer)

    monkeypatch.setattr(tokenization, "choose_encoder", choose)
    assert count_tokens(bpe, iter(texts)).tolist() == expected
    assert not chosen
    monkeypatch.setattr(tokenization, "WORTH_CHECKING", 1000)
    assert count_tokens(bpe, iter(texts)).tolist() == expected
    assert len(chosen) == 1
    assert set(chosen[0]) <= set(texts)
    assert count_tokens(bpe, []).tolist() == []


def test_saved_tokenizer_loads_as_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "नेपाल की राजधानी काठमांडू है।"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.decode(loaded(text)["input_ids"]) == text
    assert (loaded.eos_token, loaded.pad_token) == (END_OF_TEXT, "<|pad|>")
