# SPDX-License-Identifier: Apache-2.0
"""The three scoring rules and the traps that they were written against."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xlt_hf.evaluation.normalization import RULES, normalize, words

DEVANAGARI = st.text(alphabet=st.characters(min_codepoint=0x0900, max_codepoint=0x097F), max_size=20)
ANY_TEXT = st.text(max_size=40) | DEVANAGARI


@pytest.mark.parametrize(
    "text, rule, language, expected",
    [
        # the official SQuAD v1.1 rule
        ("The  Cat's, hat!", "squad", "en", "cats hat"),
        ("An apple a day", "squad", "en", "apple day"),
        ("“quoted”", "squad", "en", "“quoted”"),  # ASCII punctuation only
        ("the दिल्ली", "squad", "hi", "दिल्ली"),  # English articles in every language
        ("दिल्ली।", "squad", "hi", "दिल्ली।"),
        # the official MLQA rule
        ("“quoted”", "mlqa", "en", "quoted"),
        ("दिल्ली।", "mlqa", "hi", "दिल्ली"),
        ("the a दिल्ली", "mlqa", "hi", "the a दिल्ली"),  # Hindi has no articles
        ("The cat", "mlqa", "en", "cat"),
        ("la casa", "mlqa", "es", "casa"),
        ("das Haus", "mlqa", "de", "haus"),
        ("中国人", "mlqa", "zh", "中 国 人"),
        ("$5 + 3", "mlqa", "en", "5 3"),
        # the primary rule
        ("The cat", "xl", "en", "cat"),
        ("the cat", "xl", "hi", "the cat"),
        ("दिल्ली।", "xl", "hi", "दिल्ली"),
        ("दिल्ली |", "xl", "hi", "दिल्ली"),
        ("१९४७", "xl", "hi", "1947"),
        ("\ufeffक्\u200dष\u200c", "xl", "hi", "क्ष"),
        ("$5 + 3", "xl", "en", "$5 + 3"),  # symbols are not punctuation
        ("यूनानी", "xl", "hi", "यूनानी"),
    ],
)
def test_known_answers(text, rule, language, expected):
    assert normalize(text, rule, language) == expected


def test_nukta_written_as_one_or_two_code_points_is_one_letter_under_xl_only():
    one, two = "\u0958", "\u0915\u093c"  # qa
    assert normalize(one, "xl", "hi") == normalize(two, "xl", "hi")
    assert normalize(one, "squad", "hi") != normalize(two, "squad", "hi")


@pytest.mark.parametrize("rule", RULES)
def test_words_keep_their_vowel_signs(rule):
    assert words("यूनानी पौराणिक", rule, "hi") == ["यूनानी", "पौराणिक"]


def test_an_unknown_rule_names_the_known_ones():
    with pytest.raises(ValueError, match="squad, mlqa, xl"):
        normalize("x", "bleu", "en")


@given(ANY_TEXT, st.sampled_from(["en", "hi"]))
def test_xl_does_not_tell_canonically_equal_texts_apart(text, language):
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert normalize(composed, "xl", language) == normalize(decomposed, "xl", language)


@given(ANY_TEXT, st.sampled_from(["en", "hi"]))
def test_xl_leaves_no_punctuation_joiner_or_devanagari_digit(text, language):
    result = normalize(text, "xl", language)
    assert not any(unicodedata.category(char).startswith("P") for char in result)
    assert not set(result) & set("|\u200c\u200d\ufeff०१२३४५६७८९")


@given(ANY_TEXT, st.sampled_from(RULES), st.sampled_from(["en", "hi"]))
def test_white_space_is_collapsed_and_the_words_are_the_text(text, rule, language):
    result = normalize(text, rule, language)
    assert result == result.strip() == " ".join(words(text, rule, language))


@given(DEVANAGARI, st.sampled_from(RULES))
def test_normalising_hindi_twice_changes_nothing(text, rule):
    once = normalize(text, rule, "hi")
    assert normalize(once, rule, "hi") == once
