# SPDX-License-Identifier: Apache-2.0
"""Three wrong answers per question, parallel across the languages, and what they give away by themselves.

Offline, the wrong answers are other questions' right ones: of the same type, excluding whatever may be true, in blocks
in which each answer is right as often as any other (`blocks`). A chat model makes them up (paper §4.1: GPT-4o), and
they are checked here. `question_blind_baseline` measures what options alone tell, under either.
"""

import dataclasses
import json
import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import regex
from pydantic import BaseModel, ConfigDict

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.blocks import BLOCK, Candidate, draw_negatives
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.chat import ChatClient, ChatRequest
from xlt_hf.questions.config import ChatConfig, NegativesConfig
from xlt_hf.questions.scripts import (
    has_letters,
    in_script,
    language_name,
    locale_of,
    script_name,
    writes_spaces,
)
from xlt_hf.sources.schema import Question

WANTED = BLOCK - 1


Never = Mapping[str, Mapping[str, Collection[str]]]
"""Question id -> language -> texts that must not be offered as wrong, beside the accepted answers."""


_RULE = "xl"


@dataclasses.dataclass(frozen=True)
class WithNegatives:
    """Questions with three wrong answers in each language, and what became of the rest.

    Attributes:
        questions: in the order that they came in.
        dropped: how many others, by reason: ``no_answer`` (in one of the languages), ``too_few_negatives``
            (offline) and ``no_valid_negatives`` (the chat model, after all repairs).
        types: offline only: type of answer -> how many questions drew from it.
    """

    questions: list[Question]
    dropped: dict[str, int]
    types: dict[str, int] = dataclasses.field(default_factory=dict)


def add_negatives(
    questions: Sequence[Question],
    languages: Sequence[str],
    config: NegativesConfig,
    seed: int,
    cache: ReplyCache | None = None,
    never: Never = MappingProxyType({}),
) -> WithNegatives:
    """Wrong answers for the questions that have none, as a study's settings say.

    Args:
        questions: of one split. Splits are drawn apart: in a block that spans two of them, what is right in one
            tells what is wrong in the other.
        languages: (source, target) codes, or the source alone.
        config: which generator.
        seed: of the offline generator.
        cache: of the chat model's replies.
        never: what the source knows to be neither an accepted answer nor wrong.

    Raises:
        ChatError: the chat model cannot be asked, or the budget is used up; replies that have come are kept.
    """
    if config.kind == "chat":
        assert config.chat is not None
        assert cache is not None
        return generate_chat_negatives(questions, languages, config.chat, cache, never)
    return draw_offline_negatives(questions, languages, seed, never)


def _sorted_out(
    questions: Sequence[Question], languages: Sequence[str]
) -> tuple[list[int], set[int], Counter[str]]:
    """Positions that need wrong answers, positions that have them, and drops."""
    need, have, dropped = [], set(), Counter[str]()
    for i, question in enumerate(questions):
        if all(len(question.negatives.get(language, ())) == WANTED for language in languages):
            have.add(i)
        elif not all(question.answer.get(language) for language in languages):
            dropped["no_answer"] += 1
        else:
            need.append(i)
    return need, have, dropped


def _co_true(
    questions: Sequence[Question], languages: Sequence[str], never: Never
) -> list[tuple[frozenset[str], ...]]:
    """Per question and language, normalised: all that may be true of it.

    Its own answers, those of questions of the same wording, those to the same relation of the same page, and what
    its source says must never be offered.
    """
    shared: dict[tuple[str, ...], list[set[str]]] = defaultdict(lambda: [set() for _ in languages])
    forms = [
        [
            {normalize(answer, _RULE, language) for answer in question.answer.get(language, ())}
            for language in languages
        ]
        for question in questions
    ]

    def families(question: Question) -> Iterator[tuple[str, ...]]:
        if question.title:
            yield "page", question.title, question.relation
        for language in languages:
            if text := question.question.get(language):
                yield "text", language, normalize(text, _RULE, language)

    for question, answers in zip(questions, forms, strict=True):
        for family in families(question):
            for known, more in zip(shared[family], answers, strict=True):
                known |= more
    result = []
    for question, answers in zip(questions, forms, strict=True):
        barred = never.get(question.id, {})
        result.append(
            tuple(
                frozenset(
                    answers[i].union(
                        (normalize(text, _RULE, language) for text in barred.get(language, ())),
                        *(shared[family][i] for family in families(question)),
                    )
                )
                for i, language in enumerate(languages)
            )
        )
    return result


def holds(text: str, part: str, language: str) -> bool:
    """Whether one normalised text is a run of the words of another: `1972` of `december 1972`, not `1` of `10`.

    In a language that writes no spaces, a run of its characters.
    """
    if writes_spaces(language):
        return f" {part} " in f" {text} "
    return part in text


def _too_close(text: str, golds: frozenset[str], language: str) -> bool:
    """Whether a text is one of the golds, a part of one, or contains one; all are normalised."""
    return any(holds(text, gold, language) or holds(gold, text, language) for gold in golds)


def draw_offline_negatives(
    questions: Sequence[Question],
    languages: Sequence[str],
    seed: int,
    never: Never = MappingProxyType({}),
) -> WithNegatives:
    """Wrong answers from the other questions of the list: same type, like length, like frequency.

    Args:
        questions: those that have wrong answers in each language are handed on as they are, and lend none.
        languages: codes; the first one decides the types.
        seed: decides what is left open. The order of the questions does too.
        never: see `add_negatives`.
    """
    need, have, dropped = _sorted_out(questions, languages)
    co_true = _co_true(questions, languages, never)
    by_type: dict[str, list[int]] = defaultdict(list)
    for i in need:
        by_type[answer_type(questions[i], languages[0])].append(i)
    drawn: dict[int, list[tuple[str, ...]]] = {}
    for kind in sorted(by_type):
        draw = random.Random(f"{seed}|negatives|{kind}")
        members = list(by_type[kind])
        draw.shuffle(members)
        # Near each other in this order is near in length: that is who shares a block.
        members.sort(key=lambda i: len(questions[i].answer[languages[0]][0]))
        candidates = [
            Candidate(tuple(questions[i].answer[language][0] for language in languages), co_true[i])
            for i in members
        ]

        def normalise(answer: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(normalize(text, _RULE, lang) for text, lang in zip(answer, languages, strict=True))

        def rules_out(key: tuple[str, ...], candidate: Candidate) -> bool:
            return any(
                _too_close(text, golds, language)
                for text, golds, language in zip(key, candidate.excluded, languages, strict=True)
            )

        for i, negatives in zip(members, draw_negatives(candidates, normalise, draw, rules_out), strict=True):
            drawn[i] = negatives
    kept, types = [], Counter[str]()
    for i, question in enumerate(questions):
        if i in have:
            kept.append(question)
        elif i in drawn and len(drawn[i]) < WANTED:
            dropped["too_few_negatives"] += 1
        elif i in drawn:
            kept.append(_with(question, languages, drawn[i]))
            types[answer_type(question, languages[0])] += 1
    return WithNegatives(kept, dict(sorted(dropped.items())), dict(sorted(types.items())))


def _with(question: Question, languages: Sequence[str], negatives: Sequence[tuple[str, ...]]) -> Question:
    columns = {language: [negative[i] for negative in negatives] for i, language in enumerate(languages)}
    return dataclasses.replace(question, negatives={**question.negatives, **columns})


# What a question asks for, by the words that it is asked with; other languages go by the answer's shape alone.
_ASKS = {
    "en": (
        ("number", r"\bhow (?:many|much|long|old|far|tall|high|big|large|deep|often|fast)\b"),
        ("time", r"\bwhen\b|\b(?:what|which) (?:year|date|day|month|century|decade)\b"),
        ("place", r"\bwhere\b|\b(?:what|which) (?:country|city|state|county|continent)\b"),
        ("person", r"\b(?:who|whom|whose)\b"),
    ),
    "hi": (
        ("number", r"(?:^|\s)(?:कितने|कितना|कितनी)(?:\s|$)"),
        ("time", r"(?:^|\s)कब(?:\s|$)|किस (?:वर्ष|साल|दिन|महीने|तारीख)"),
        ("place", r"(?:^|\s)(?:कहाँ|कहां)(?:\s|$)|किस (?:देश|शहर|राज्य|जगह)"),
        ("person", r"(?:^|\s)(?:कौन|किसने|किसका|किसकी|किसके)(?:\s|$)"),
    ),
}


_YEAR = regex.compile(r"(?:1\d|20)\d\d")


_AMOUNT = regex.compile(r"(?:about |around |over |nearly |[~≈+−-])?\p{Sc}?\d.*", regex.DOTALL)


def answer_type(question: Question, language: str) -> str:
    """What kind of thing the answer is: the relation where there is one, else by its shape and the question's words.

    Returns:
        ``relation:<name>``, or a shape: ``year``, ``date``, ``number:`` with what kind of number, or ``entity:`` or
        ``short:`` with what is asked for, such as ``entity:person``.
    """
    if question.relation:
        return f"relation:{question.relation}"
    answer = question.answer[language][0].strip()
    asked = _asked_for(normalize(question.question.get(language) or "", _RULE, language), language)
    if _YEAR.fullmatch("".join(str(unicodedata.decimal(char, char)) for char in answer)):
        return "year"
    dated = bool(_months(language) & set(normalize(answer, _RULE, language).split()))
    digits = any(char.isdecimal() for char in answer)
    if (dated and digits) or (asked == "time" and (dated or digits)):
        return "date"
    if _AMOUNT.fullmatch(answer) or asked == "number":
        if regex.search(r"\p{Sc}", answer):
            return "number:money"
        if "%" in answer:
            return "number:share"
        if not digits:
            return "number:words"
        return "number:with_unit" if has_letters(answer) else "number:digits"
    # A script without capitals has no names that show by their looks.
    shape = "short" if answer[:1].islower() else "entity"
    return f"{shape}:{asked or 'other'}"


def _asked_for(text: str, language: str) -> str:
    for kind, pattern in _ASKS.get(language, ()):
        if regex.search(pattern, text):
            return kind
    return ""


@lru_cache
def _months(language: str) -> frozenset[str]:
    locale = locale_of(language)
    if locale is None:
        return frozenset()
    return frozenset(
        normalize(name, _RULE, language)
        for width in ("wide", "abbreviated")
        for name in locale.months["format"][width].values()
    )


class _Pair(BaseModel):
    """One wrong answer in both languages."""

    model_config = ConfigDict(extra="forbid")
    source: str
    target: str


class _Pairs(BaseModel):
    """The reply of a chat model."""

    model_config = ConfigDict(extra="forbid", title="negatives")
    negatives: list[_Pair]


class _Single(BaseModel):
    """One wrong answer where there is one language only."""

    model_config = ConfigDict(extra="forbid")
    source: str


class _Singles(BaseModel):
    """The reply of a chat model where there is one language only."""

    model_config = ConfigDict(extra="forbid", title="negatives")
    negatives: list[_Single]


def generate_chat_negatives(
    questions: Sequence[Question],
    languages: Sequence[str],
    config: ChatConfig,
    cache: ReplyCache,
    never: Never = MappingProxyType({}),
) -> WithNegatives:
    """Wrong answers that a chat model makes up, one request per question, checked here.

    Raises:
        ChatError: the model cannot be asked, or the budget is used up; replies that have come are kept.
    """
    need, have, dropped = _sorted_out(questions, languages)
    co_true = _co_true(questions, languages, never)
    client = ChatClient(config, cache)
    requests = [_request(questions[i], languages, co_true[i]) for i in need]
    replies = dict(zip(need, client.ask_all(requests, "Negatives"), strict=True))
    kept = []
    for i, question in enumerate(questions):
        if i in have:
            kept.append(question)
        elif i in replies and replies[i].value is None:
            dropped["no_valid_negatives"] += 1
        elif i in replies:
            kept.append(_with(question, languages, list(_options(replies[i].value, languages))))
    return WithNegatives(kept, dict(sorted(dropped.items())))


def _options(reply: Any, languages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for pair in reply.negatives:
        yield tuple(getattr(pair, side).strip() for side in ("source", "target")[: len(languages)])


def _request(
    question: Question, languages: Sequence[str], co_true: tuple[frozenset[str], ...]
) -> ChatRequest:
    sides = dict(zip(("source", "target"), languages, strict=False))
    named = " and ".join(f"`{side}` in {language_name(language)}" for side, language in sides.items())
    keys = ", ".join(f'"{side}": …' for side in sides)
    system = (
        "You write multiple-choice questions. For a question and its right answer give three wrong answers that someone "
        "who does not know could take for right: of the same kind as the right answer, written in the same form, of "
        "about its length, and as well known. They are wrong beyond doubt: not true, not another name of the right "
        "answer, not a part of it and not containing it. All three differ from each other. Give each one as "
        f'{named}, the same thing in each. Reply with JSON: {{"negatives": [{{{keys}}}, three times]}}.'
    )
    case = {
        side: {"question": question.question.get(language), "answers": question.answer[language]}
        for side, language in sides.items()
    }

    def check(reply: _Pairs | _Singles) -> list[str]:
        options = list(_options(reply, languages))
        if len(options) != WANTED:
            return [f"there are {len(options)} wrong answers, not {WANTED}"]
        problems: list[str] = []
        for i, language in enumerate(languages):
            problems += _problems([option[i] for option in options], question, language, co_true[i])
        return problems

    return ChatRequest(
        system, json.dumps(case, ensure_ascii=False), _Pairs if len(languages) > 1 else _Singles, check
    )


def _problems(
    options: Sequence[str], question: Question, language: str, co_true: frozenset[str]
) -> Iterator[str]:
    """What is wrong with the wrong answers in one language, in words that the model is told."""
    forms = [normalize(option, _RULE, language) for option in options]
    own = frozenset(normalize(answer, _RULE, language) for answer in question.answer[language])
    native = in_script(question.answer[language][0], language)
    name = language_name(language)
    for option, form in zip(options, forms, strict=True):
        if not form:
            yield f"one in {name} is empty"
        elif form in co_true:
            yield f"{option!r} is right, or may be"
        elif _too_close(form, own, language):
            yield f"{option!r} is a part of a right answer, or contains one"
        elif native and not in_script(option, language):
            yield f"{option!r} is not in the {script_name(language)} script"
    if len(set(forms)) < len(forms):
        yield f"those in {name} are not distinct: {', '.join(map(repr, options))}"
