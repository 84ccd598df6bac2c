# SPDX-License-Identifier: Apache-2.0
"""Three published ways to bring an answer to the form in which answers are compared.

``squad``
    The official SQuAD v1.1 rule (https://rajpurkar.github.io/SQuAD-explorer/, ``evaluate-v1.1.py``): lower
    case, ASCII punctuation out, the English articles out *in every language*, white space collapsed. A Hindi
    answer that ends in a danda (``।``, U+0964) never matches under it.
``mlqa``
    The official MLQA rule (facebookresearch/MLQA, ``mlqa_evaluation_v1.py``): as above, but all of Unicode
    ``P*`` and ASCII punctuation out, and the articles of the answer's own language only; Hindi has none.
``xl``
    The project's primary rule. NFC, so that a nukta written as one code point or as two is the same letter;
    ZWJ, ZWNJ and BOM out; Devanagari digits to ASCII; lower case; Unicode ``P*`` and ``|`` (typed for a
    danda) out; English articles out in English only; split on white space.

This module needs the standard library only: the published metric carries a copy of it.
"""

import re
import string
import sys
import unicodedata
from functools import lru_cache

RULES = ("squad", "mlqa", "xl")

_ASCII_PUNCTUATION = {ord(char): None for char in string.punctuation}
_UNICODE_PUNCTUATION: dict[int, str | None] = {
    code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)).startswith("P")
}
_MLQA_PUNCTUATION = _UNICODE_PUNCTUATION | _ASCII_PUNCTUATION
_XL_DROPPED = _UNICODE_PUNCTUATION | {ord("|"): None}
_XL_INVISIBLE: dict[int, str | None] = {0x200C: None, 0x200D: None, 0xFEFF: None}
_DEVANAGARI_DIGITS: dict[int, str | None] = {0x0966 + digit: str(digit) for digit in range(10)}

_ENGLISH_ARTICLES = re.compile(r"\b(a|an|the)\b")
# The articles that the MLQA script removes, by language; a language it does not list loses none here.
_MLQA_ARTICLES = {
    "en": _ENGLISH_ARTICLES,
    "es": re.compile(r"\b(un|una|unos|unas|el|la|los|las)\b"),
    "vi": re.compile(r"\b(của|là|cái|chiếc|những)\b"),
    "de": re.compile(r"\b(ein|eine|einen|einem|eines|einer|der|die|das|den|dem|des)\b"),
    "ar": re.compile(r"\sال^|ال"),
}
_HAN = re.compile(r"([\u4e00-\u9fa5])")


def _squad(text: str) -> str:
    return _ENGLISH_ARTICLES.sub(" ", text.lower().translate(_ASCII_PUNCTUATION))


def _mlqa(text: str, language: str) -> str:
    text = text.lower().translate(_MLQA_PUNCTUATION)
    if language in _MLQA_ARTICLES:
        text = _MLQA_ARTICLES[language].sub(" ", text)
    if language == "zh":  # MLQA compares Chinese character by character
        text = _HAN.sub(r" \1 ", text)
    return text


def _xl(text: str, language: str) -> str:
    text = unicodedata.normalize("NFC", text).translate(_XL_INVISIBLE).translate(_DEVANAGARI_DIGITS)
    text = text.lower().translate(_XL_DROPPED)
    return _ENGLISH_ARTICLES.sub(" ", text) if language == "en" else text


@lru_cache(maxsize=65536)
def normalize(text: str, rule: str, language: str) -> str:
    """Bring an answer to the form in which it is compared.

    Args:
        text (`str`): An answer, generated or gold.
        rule (`str`): `"squad"`, `"mlqa"` or `"xl"` (see the module's docstring).
        language (`str`): Language code of the answer, such as `"en"` or `"hi"`. It decides the articles;
            `squad` takes out the English ones whatever it is.

    Returns:
        `str`: The words that are left, with single spaces between them; empty where nothing is left.

    Raises:
        ValueError: The rule is not one of `RULES`.
    """
    if rule == "squad":
        text = _squad(text)
    elif rule == "mlqa":
        text = _mlqa(text, language)
    elif rule == "xl":
        text = _xl(text, language)
    else:
        raise ValueError(f"no scoring rule {rule!r}: use one of {', '.join(RULES)}")
    return " ".join(text.split())


def words(text: str, rule: str, language: str) -> list[str]:
    """The words of a normalised answer: the units of F1.

    Words are split on white space and never by a regular expression: ``\\w`` drops the vowel signs of
    Devanagari (``यूनानी`` becomes ``य न न``).
    """
    return normalize(text, rule, language).split()
