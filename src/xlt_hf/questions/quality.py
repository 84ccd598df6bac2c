# SPDX-License-Identifier: Apache-2.0
"""What can be said about questions without reading them: the quality report of the manifest and the card.

Nothing is dropped here. Texts are compared after the `xl` rule (`evaluation/normalization.py`), the one that
scores answers, so that what the report calls equal is what the scores call equal.
"""

import heapq
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import combinations
from typing import Any

import numpy as np
import regex

from xlt_hf.errors import UserError
from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.scripts import has_letters, in_script, script_of, script_share
from xlt_hf.sources.schema import Question
from xlt_hf.study import Languages

SAMPLED_ROWS = 20
_RULE = "xl"
_LETTER = regex.compile(r"\p{L}")
_LATIN = regex.compile(r"(?=\p{L})\p{Script=Latn}")

Encode = Callable[[str], list[int]]
"""A user's message -> token ids of the whole prompt that the model sees, chat template included."""


class NoRoom(UserError):
    """The window of the model is taken up by the answer."""


def quality_report(
    splits: Mapping[str, Sequence[Question]],
    languages: Languages,
    seed: int,
    blind: Mapping[str, Any] | None = None,
    cut: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that the card says about the quality of one dataset, as plain JSON data.

    Args:
        splits: split -> its questions.
        languages: the study's.
        seed: decides the sampled rows, together with their ids: neither the order nor other rows do.
        blind: accuracy of the question-blind baseline by language, handed through.
        cut: what `cut_contexts` counted, handed through.

    Returns:
        `splits`: split -> language -> counts (see `_one_language`); `duplicates`: language -> `within` a split
        and `across` two of them; `hi_source`: split -> value -> rows; `sample`: `SAMPLED_ROWS` rows; `blind` and
        `cut_contexts` where they were given.

    Raises:
        UnknownScript: CLDR does not say how one of the languages is written.
    """
    report: dict[str, Any] = {
        "splits": {
            split: {language: _one_language(rows, language, languages) for language in languages.both()}
            for split, rows in splits.items()
        },
        "duplicates": {language: duplicates(splits, language) for language in languages.both()},
        "hi_source": {
            split: dict(sorted(Counter(q.hi_source for q in rows).items())) for split, rows in splits.items()
        },
        "sample": sample_rows(splits, languages, seed),
    }
    if blind is not None:
        report["blind"] = {key: dict(row) if isinstance(row, Mapping) else row for key, row in blind.items()}
    if cut is not None:
        report["cut_contexts"] = dict(cut)
    return report


def copyable(question: Question, languages: Languages) -> bool:
    """Whether a target answer can be had without the target language: by copying from the source side.

    With a source context: an accepted target answer stands in it verbatim (up to NFC), as digits and names in
    Latin script do. Without one: an accepted target answer equals an accepted source answer, as scored.
    """
    golds = [gold for gold in question.answer.get(languages.target, ()) if gold.strip()]
    context = question.context.get(languages.source)
    if context:
        passage = unicodedata.normalize("NFC", context)
        return any(unicodedata.normalize("NFC", gold) in passage for gold in golds)
    # Both by the target's rule: it is the one that will score the copy.
    source = _normalized(question.answer.get(languages.source, ()), languages.target)
    return bool(source & _normalized(golds, languages.target))


def untranslated(question: Question, languages: Languages) -> bool:
    """Whether the target's canonical answer is a source answer although it has letters."""
    golds = question.answer.get(languages.target, ())
    if not golds or not has_letters(golds[0]):
        return False
    # Both by the source's rule: a name left as it was keeps the source language's article.
    source = _normalized(question.answer.get(languages.source, ()), languages.source)
    return normalize(golds[0], _RULE, languages.source) in source


def answer_script(answer: str, language: str) -> str:
    """How an answer is written.

    Returns:
        `own`: at least half of its letters are of the language's script. `no_letters`: digits and signs, right in
        any language. `latin`: most letters are not of the language's script, and most of all are Latin, which a
        name or a unit may rightly be. `other`: anything else.
    """
    if not has_letters(answer):
        return "no_letters"
    if in_script(answer, language):
        return "own"
    return "latin" if 2 * len(_LATIN.findall(answer)) >= len(_LETTER.findall(answer)) else "other"


def duplicates(splits: Mapping[str, Sequence[Question]], language: str) -> dict[str, Any]:
    """Questions that are asked more than once, by normalised text.

    Returns:
        `within`: split -> rows that repeat an earlier one of it. `across`: list of `{splits: [a, b], questions: n}`,
        n different questions that stand in both.
    """
    texts = {
        split: [normalize(text, _RULE, language) for q in rows if (text := q.question.get(language))]
        for split, rows in splits.items()
    }
    distinct = {split: set(rows) for split, rows in texts.items()}
    return {
        "within": {split: len(rows) - len(distinct[split]) for split, rows in texts.items()},
        "across": [
            {"splits": [one, other], "questions": len(distinct[one] & distinct[other])}
            for one, other in combinations(texts, 2)
        ],
    }


def sample_rows(
    splits: Mapping[str, Sequence[Question]], languages: Languages, seed: int, n: int = SAMPLED_ROWS
) -> list[dict[str, Any]]:
    """`n` rows, in the order of a keyed hash of their ids: a row that stays in the dataset stays in the sample."""

    def rank(row: tuple[str, Question]) -> bytes:
        return blake2b(f"{seed}:{row[1].id}".encode(), digest_size=16).digest()

    rows = [(split, question) for split, questions in splits.items() for question in questions]
    return [
        {
            "id": q.id,
            "split": split,
            "title": q.title,
            "question": {language: q.question.get(language) for language in languages.both()},
            "answer": {language: list(q.answer.get(language, ())) for language in languages.both()},
            "negatives": {language: list(q.negatives.get(language, ())) for language in languages.both()},
            "hi_source": q.hi_source,
        }
        for split, q in heapq.nsmallest(n, rows, key=rank)
    ]


def prompt_encoder(tokenizer: Any) -> Encode:
    """`Encode` of a transformers tokenizer, as `evaluation/generation.py` makes its inputs."""
    from xlt_hf.evaluation.prompts import render

    return lambda message: list(tokenizer(render(tokenizer, message), add_special_tokens=False)["input_ids"])


def count_cut_contexts(
    questions: Sequence[Question],
    language: str,
    tokenizer_encode: Encode,
    window: int,
    room: int,
    passage_language: str | None = None,
) -> int:
    """Questions whose prompt loses every accepted answer when it is cut to the model's window.

    Prompts are those of `prompts.in_context`, cut on the left as `generation.Inputs` cuts them, so it is the
    beginning of the passage that goes. An answer counts as lost when no occurrence of any accepted spelling is
    left whole. Questions without a passage, and those whose passage never held an answer, are not counted.

    Args:
        language: of the question.
        tokenizer_encode: see `Encode` and `prompt_encoder`.
        window: most tokens of prompt and answer together.
        room: tokens kept free for the answer.
        passage_language: of the passage and of the answer that is looked for in it; `language` by default.

    Raises:
        NoRoom: `room` leaves nothing of `window`.
    """
    # Here, because the prompts bring all of transformers along, which a report without a tokenizer never needs.
    from xlt_hf.evaluation.prompts import in_context

    limit = window - room
    if limit <= 0:
        raise NoRoom(
            f"A window of {window} tokens with {room} kept for the answer has no room for a prompt. Use a longer "
            "pretraining.seq_len, or a lower evaluation.max_new_tokens."
        )
    place = passage_language or language
    pair = Languages(source=place, target=language)
    cut = 0
    for question in questions:
        passage = question.context.get(place)
        text = question.question.get(language)
        if not passage or not text or not question.answer.get(language):
            continue
        starts = [passage.rfind(gold) for gold in question.answer.get(place, ()) if gold.strip()]
        last = max(starts, default=-1)
        if last < 0:
            continue
        row = {
            key: getattr(question, key)
            for key in ("id", "title", "relation", "context", "question", "answer")
        }
        prompt = in_context(row, language, "source", pair).prompt
        ids = tokenizer_encode(prompt)
        if len(ids) <= limit:
            continue
        # The ids that both begin with lie wholly in front of the answer; the next one may hold its first letter.
        before = _common_start(ids, tokenizer_encode(prompt[: prompt.index(passage) + last]))
        cut += before < len(ids) - limit
    return cut


def cut_contexts(
    splits: Mapping[str, Sequence[Question]],
    languages: Languages,
    tokenizer_encode: Encode,
    window: int,
    room: int,
) -> dict[str, Any]:
    """`count_cut_contexts` of every split, for each question language and passage language that is evaluated.

    Returns:
        `window`, `room`, and `views`: list of `{question, passage, cut: split -> questions}`.
    """
    source, target = languages.both()
    views = [(source, source), (target, source), (target, target)]
    return {
        "window": window,
        "room": room,
        "views": [
            {
                "question": language,
                "passage": passage,
                "cut": {
                    split: count_cut_contexts(rows, language, tokenizer_encode, window, room, passage)
                    for split, rows in splits.items()
                },
            }
            for language, passage in views
        ],
    }


def _one_language(rows: Sequence[Question], language: str, languages: Languages) -> dict[str, Any]:
    """Counts of one split's questions in one language.

    Returns:
        `questions`: rows; `without_question`, `without_answer`: rows that lack one;
        `scripts`: ISO 15924 code that is expected; `question_wrong_script`: questions with under half of their
        letters in it; `letters_outside`: share of letters outside it, mean over the questions (0 to 1);
        `answers`: accepted answers in all, `answer_script`: of them by `answer_script`;
        `accepted`: number of accepted answers -> rows;
        `contexts`: rows with a passage, `not_in_context`: of them those whose passage holds no accepted answer;
        `lengths`: `question`, `answer` (all accepted), `context` -> quartiles of `characters` and UTF-8 `bytes`;
        for the target language also `untranslated` and `copyable` rows.
    """
    questions = [text for q in rows if (text := q.question.get(language))]
    golds = [[gold for gold in q.answer.get(language, ()) if gold.strip()] for q in rows]
    answers = [gold for row in golds for gold in row]
    contexts = [(text, row) for q, row in zip(rows, golds, strict=True) if (text := q.context.get(language))]
    shares = [share for text in questions if (share := script_share(text, language)) is not None]
    scripts = Counter(answer_script(answer, language) for answer in answers)
    report: dict[str, Any] = {
        "questions": len(rows),
        "without_question": len(rows) - len(questions),
        "without_answer": sum(not row for row in golds),
        "script": script_of(language),
        "question_wrong_script": sum(not in_script(text, language) for text in questions),
        "letters_outside": round(1 - float(np.mean(shares)), 4) if shares else 0.0,
        "answers": len(answers),
        "answer_script": {kind: scripts[kind] for kind in ("own", "no_letters", "latin", "other")},
        "accepted": {str(n): rows_of for n, rows_of in sorted(Counter(map(len, golds)).items()) if n},
        "contexts": len(contexts),
        "not_in_context": sum(not _stands_in(row, text) for text, row in contexts),
        "lengths": {
            "question": _lengths(questions),
            "answer": _lengths(answers),
            "context": _lengths([text for text, _ in contexts]),
        },
    }
    if language == languages.target:
        report["untranslated"] = sum(untranslated(q, languages) for q in rows)
        report["copyable"] = sum(copyable(q, languages) for q in rows)
    return report


def _stands_in(golds: Iterable[str], context: str) -> bool:
    passage = unicodedata.normalize("NFC", context)
    return any(unicodedata.normalize("NFC", gold) in passage for gold in golds)


def _normalized(answers: Iterable[str], language: str) -> set[str]:
    """Normalised answers, without those of which nothing is left."""
    return {normalize(answer, _RULE, language) for answer in answers} - {""}


def _lengths(texts: Sequence[str]) -> dict[str, list[int]] | None:
    """First quartile, median, third quartile, each a length that occurs; None without texts."""
    if not texts:
        return None
    return {
        "characters": _quartiles([len(text) for text in texts]),
        "bytes": _quartiles([len(text.encode()) for text in texts]),
    }


def _quartiles(lengths: Sequence[int]) -> list[int]:
    return [int(value) for value in np.percentile(lengths, (25, 50, 75), method="inverted_cdf")]


def _common_start(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of ids that both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
