# SPDX-License-Identifier: Apache-2.0
"""From raw rows to questions: every field checked, every row that gives no question counted by reason."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from xlt_hf.sources.schema import DatasetRef, Question, QuestionBatch

DROP_REASONS = (
    "wrong_type",
    "not_utf8",
    "no_id",
    "no_title",
    "no_question",
    "no_answer",
    "no_context",
    "yes_no_answer",
    "answer_not_in_context",
    "other_language_missing",
    "duplicate_id",
)
"""Why a row gives no question; of several reasons the first that is found counts."""

Progress = Callable[[str, int, int | None], None]
"""Called as (what, done, total)."""

_PROGRESS_ROWS = 1000


class BadRow(Exception):
    """A row gives no question. Caught by `gather`, never shown to a user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        assert reason in DROP_REASONS, reason
        self.reason = reason


def text_of(value: Any, missing: str) -> str:
    """A raw value as text, exactly as it stands.

    Args:
        value: `str`, UTF-8 `bytes`, None, or anything that stood in the source.
        missing: reason for one that is None or blank.

    Raises:
        BadRow: not text, not UTF-8, or missing.
    """
    if value is None:
        raise BadRow(missing)
    try:
        if isinstance(value, bytes):
            value = value.decode("utf-8")
        elif isinstance(value, str):
            value.encode("utf-8")  # a lone surrogate cannot be published
        else:
            raise BadRow("wrong_type")
    except UnicodeError:
        raise BadRow("not_utf8") from None
    if not value.strip():
        raise BadRow(missing)
    return value


def id_of(value: Any) -> str:
    """An id, given as text or as an integer.

    Raises:
        BadRow: as `text_of`.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text_of(value, "no_id").strip()


def list_of(value: Any, missing: str) -> list[Any]:
    """A raw list that holds something; a single text is a list of one.

    Raises:
        BadRow: not a list, or nothing in it.
    """
    if isinstance(value, (str, bytes)):
        return [value]
    if value is not None and not isinstance(value, list):
        raise BadRow("wrong_type")
    if not value:
        raise BadRow(missing)
    return value


def texts_of(value: Any, missing: str) -> list[str]:
    """Texts of a raw list, stripped, each once, blank ones left out.

    Raises:
        BadRow: as `text_of` and `list_of`.
    """
    values = list_of(value, missing)
    texts = [text_of(v, missing).strip() for v in values if v is not None and v not in ("", b"")]
    if not texts:
        raise BadRow(missing)
    return list(dict.fromkeys(texts))


def spans_in(context: str, texts: Any, starts: Any) -> list[str]:
    """Answers that are spans of their context, each once, in the order given.

    Args:
        context: passage.
        texts, starts: raw lists of the answers and of the characters that they start at. Where the text does not
            stand at its start, any occurrence will do: of some releases the starts count other units.

    Raises:
        BadRow: `answer_not_in_context` for none that is; `no_answer` for no answer at all.
    """
    starts = starts if isinstance(starts, list) else []
    found: list[str] = []
    values = list_of(texts, "no_answer")
    for i, raw in enumerate(values):
        text = text_of(raw, "no_answer")
        start = starts[i] if i < len(starts) else None
        at_start = isinstance(start, int) and start >= 0 and context.startswith(text, start)
        stripped = text.strip()
        if (at_start or stripped in context) and stripped not in found:
            found.append(stripped)
    if not found:
        raise BadRow("answer_not_in_context")
    return found


def gather(
    rows: Iterable[Mapping[str, Any]],
    make: Callable[[Mapping[str, Any]], Question],
    refs: Sequence[DatasetRef],
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """Questions made of rows.

    Args:
        rows: raw rows.
        make: gives the question of a row, or raises `BadRow`.
        refs: Hub datasets that the rows come from.
        max_questions: stop after so many.
        progress: told the rows read, now and then.
    """
    questions: list[Question] = []
    dropped: Counter[str] = Counter()
    seen: set[str] = set()
    for number, row in enumerate(rows):
        if max_questions is not None and len(questions) >= max_questions:
            break
        if number % _PROGRESS_ROWS == 0:
            progress("question rows", number, None)
        try:
            question = make(row)
            if question.id in seen:
                raise BadRow("duplicate_id")
        except BadRow as bad:
            dropped[bad.reason] += 1
            continue
        seen.add(question.id)
        questions.append(question)
    return QuestionBatch(questions, {r: dropped[r] for r in DROP_REASONS if dropped[r]}, list(refs))


def merge(batches: Sequence[QuestionBatch]) -> QuestionBatch:
    """Several batches as one: an id that stands in two of them is kept from the first, and counted."""
    questions: dict[str, Question] = {}
    dropped: Counter[str] = Counter()
    refs: list[DatasetRef] = []
    for batch in batches:
        dropped.update(batch.dropped)
        refs.extend(ref for ref in batch.refs if ref not in refs)
        for question in batch.questions:
            if question.id in questions:
                dropped["duplicate_id"] += 1
            else:
                questions[question.id] = question
    return QuestionBatch(list(questions.values()), {r: dropped[r] for r in DROP_REASONS if dropped[r]}, refs)


def source_only(
    languages: Sequence[str],
    *,
    question_id: str,
    title: str,
    url: str,
    question: str,
    answers: list[str],
    context: str | None = None,
    split: str = "",
) -> Question:
    """A question in the source language only: its target side is empty until it is translated."""
    source, target = languages
    return Question(
        id=question_id,
        title=title,
        url=url,
        relation="",
        context={source: context, target: None},
        question={source: question, target: None},
        answer={source: answers, target: []},
        negatives={source: [], target: []},
        nearest_pages=[],
        hi_source="",
        split=split,
    )
