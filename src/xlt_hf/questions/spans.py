# SPDX-License-Identifier: Apache-2.0
"""Where an answer stands in a passage, letter by letter."""

import re

import regex

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.scripts import writes_spaces

RULE = "xl"


def span_of(answer: str, context: str, language: str) -> str | None:
    """The piece of a context that is an answer, or reads like it once both are brought to the form that is scored.

    Where the language writes spaces a piece begins and ends with a word, and signs that cling to it, such as a
    danda, are left out.
    """
    wanted = normalize(answer, RULE, language).split()
    if not wanted:
        return None
    if writes_spaces(language):
        word = r"[\p{L}\p{M}\p{N}]"
        literal = regex.search(rf"(?<!{word}){regex.escape(answer)}(?!{word})", context) is not None
    else:
        literal = answer in context
    if literal:
        return answer
    pieces = []
    for match in re.finditer(r"\S+", context):
        pieces += [(form, match) for form in normalize(match.group(), RULE, language).split()]
    forms = [form for form, _ in pieces]
    for start in range(len(forms) - len(wanted) + 1):
        if forms[start : start + len(wanted)] == wanted:
            span = context[pieces[start][1].start() : pieces[start + len(wanted) - 1][1].end()]
            return _trimmed(span, " ".join(wanted), language)
    return None


def _trimmed(span: str, form: str, language: str) -> str:
    """A span without the signs at its ends that its scored form does not have."""
    while normalize(span[1:], RULE, language) == form:
        span = span[1:]
    while normalize(span[:-1], RULE, language) == form:
        span = span[:-1]
    return span
