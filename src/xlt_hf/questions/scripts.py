# SPDX-License-Identifier: Apache-2.0
"""Which script a language is written in, by CLDR, and whether a text is."""

from functools import lru_cache

import regex
from babel import Locale, UnknownLocaleError
from babel.core import get_global

from xlt_hf.errors import UserError

# Names that stand for a mixture: Unicode has no script property of them.
_PARTS = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
}
_WITHOUT_SPACES = frozenset({"Hans", "Hant", "Jpan", "Thai", "Laoo", "Khmr", "Mymr"})


class UnknownScript(UserError):
    """CLDR does not say how a language is written."""


@lru_cache
def script_of(language: str) -> str:
    """ISO 15924 code of the script that a language is most likely written in, such as `Deva` for `hi`.

    Raises:
        UnknownScript: CLDR's likely subtags lack the language.
    """
    likely = get_global("likely_subtags").get(language)
    if likely is None:
        raise UnknownScript(
            f"CLDR does not say in which script the language '{language}' is written. Use its two-letter code "
            "where it has one (`hi`, not `hin`)."
        )
    return likely.split("_")[1]


def language_name(language: str) -> str:
    """English name of a language, for prompts; its code where CLDR has none."""
    return Locale("en").languages.get(language, language)


def script_name(language: str) -> str:
    """English name of a language's script, for prompts."""
    script = script_of(language)
    return Locale("en").scripts.get(script, script)


def writes_spaces(language: str) -> bool:
    """Whether words stand apart in the language's script."""
    return script_of(language) not in _WITHOUT_SPACES


@lru_cache
def _patterns(language: str) -> tuple[regex.Pattern, regex.Pattern]:
    script = script_of(language)
    inside = "".join(rf"\p{{Script={part}}}" for part in _PARTS.get(script, (script,)))
    # A vowel sign is as much of a Devanagari word as its letters are.
    return regex.compile(rf"(?=[\p{{L}}\p{{M}}])[{inside}]"), regex.compile(r"[\p{L}\p{M}]")


def script_share(text: str, language: str) -> float | None:
    """Share of a text's letters that are of the language's script; None for a text without letters."""
    own, letter = _patterns(language)
    letters = len(letter.findall(text))
    return len(own.findall(text)) / letters if letters else None


def in_script(text: str, language: str) -> bool:
    """Whether at least half of the letters are of the language's script; true of a text without letters.

    Half, because names such as `विटामिन B12` or `COVID-19 महामारी` keep letters of another script.
    """
    share = script_share(text, language)
    return share is None or share >= 0.5


def has_letters(text: str) -> bool:
    """Whether there is anything to translate: digits and signs are the same in every language."""
    return regex.search(r"\p{L}", text) is not None


def locale_of(language: str) -> Locale | None:
    """CLDR's data on a language, or None."""
    try:
        return Locale.parse(language)
    except (UnknownLocaleError, ValueError):
        return None
