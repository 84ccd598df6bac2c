# SPDX-License-Identifier: Apache-2.0
"""Leak audit: how often the held-out facts are still mentioned in each corpus (DESIGN.md, "Leak audit").

Removing a page does not remove the fact. For each test question the audit counts the target-language
documents left at filter k that contain an answer, the page's title, and both: results can then be read on
the questions that are truly unexposed.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import ahocorasick
import numpy as np

from xlt_hf.corpora.partition import FILTERS, N_TARGET_PARTS, Partition

# Zero-width joiners change how Devanagari is drawn, not what it says.
_JOINERS = re.compile("[\u200c\u200d]")
_FOREIGN_DIGITS = "".join(
    c for c in map(chr, range(128, sys.maxunicode + 1)) if unicodedata.category(c) == "Nd"
)
# All decimal digits: a class of the foreign ones alone takes the engine twenty times as long.
_DIGIT = re.compile(r"\d")
_ASCII_OF_DIGIT = {c: str(unicodedata.digit(c)) for c in _FOREIGN_DIGITS}

ANSWER, TITLE, BOTH = 0, 1, 2
KINDS = ("answer_docs", "title_docs", "both_docs")
BUCKETS = ("0", "1-9", "10+")


def normalise(text: str) -> str:
    """NFC, lower case, joiners stripped, decimal digits of every script to ASCII, single blanks."""
    if text.isascii():
        return " ".join(text.lower().split())
    # Joiners first: without one between them, a letter and a mark may compose.
    text = unicodedata.normalize("NFC", _JOINERS.sub("", text.lower()))
    text = _DIGIT.sub(lambda m: _ASCII_OF_DIGIT.get(m.group(), m.group()), text)
    return " ".join(text.split())


@lru_cache(maxsize=65_536)
def _in_word(char: str) -> bool:
    """Letter, mark or number: a vowel sign continues a Devanagari word, which `\\b` does not know."""
    return unicodedata.category(char)[0] in "LMN"


class _Blanks(dict[int, int]):
    """For `str.translate`: a blank for each character that is in no word; filled as characters come."""

    def __missing__(self, code: int) -> int:
        self[code] = code if _in_word(chr(code)) else ord(" ")
        return self[code]


_BLANKS = _Blanks()


def _bounded(text: str, start: int, stop: int) -> bool:
    """Whether ``text[start:stop]`` neither begins nor ends inside a word."""
    if start > 0 and _in_word(text[start - 1]) and _in_word(text[start]):
        return False
    return not (stop < len(text) and _in_word(text[stop - 1]) and _in_word(text[stop]))


@dataclass(frozen=True)
class AuditQuestion:
    """A held-out question: its accepted answers and its page's titles, in the target language."""

    id: str
    answers: Sequence[str]
    titles: Sequence[str]


@dataclass
class LeakAudit:
    """Counts mentions in one pass over the target-language documents, whatever the number of filters.

    Counts are kept per part, and a filter is a union of parts; two audits over different shards of the same
    questions add up (`merge`).

    Attributes:
        questions: The questions.
        counts: ``int64[Q, 9, 3]``: documents per question, part code and kind (answer, title, both).
        short_answers: Ids of questions with an answer of one character (`normalise`d). They are searched like
            the others, on word boundaries, but their counts say little.
        unsearchable_answers: Ids of questions none of whose answers has a letter or number: counted as 0.
        unsearchable_titles: The same for titles.
    """

    questions: Sequence[AuditQuestion]
    counts: np.ndarray = field(init=False)
    short_answers: list[str] = field(init=False, default_factory=list)
    unsearchable_answers: list[str] = field(init=False, default_factory=list)
    unsearchable_titles: list[str] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.counts = np.zeros((len(self.questions), N_TARGET_PARTS, len(KINDS)), np.int64)
        users: dict[str, tuple[set[int], set[int]]] = {}
        for index, question in enumerate(self.questions):
            for kind, phrases in ((ANSWER, question.answers), (TITLE, question.titles)):
                found = {p for p in map(normalise, phrases) if any(map(_in_word, p))}
                for phrase in found:
                    users.setdefault(phrase, (set(), set()))[kind].add(index)
                if kind == ANSWER and any(len(p) == 1 for p in found):
                    self.short_answers.append(question.id)
                if not found:
                    (self.unsearchable_titles if kind == TITLE else self.unsearchable_answers).append(
                        question.id
                    )
        # A phrase of one word stands between bounds where it is one of the text's words: short answers, which stand
        # inside other words all over, are looked up, and only the others are searched for.
        self._words: dict[str, int] = {}
        self._automaton = ahocorasick.Automaton()
        self._askers: list[tuple[np.ndarray, np.ndarray]] = []
        for phrase, (answers, titles) in sorted(users.items()):
            if all(map(_in_word, phrase)):
                self._words[phrase] = len(self._askers)
            else:
                self._automaton.add_word(phrase, (len(self._askers), len(phrase)))
            self._askers.append(
                (np.fromiter(sorted(answers), np.int64), np.fromiter(sorted(titles), np.int64))
            )
        if len(self._automaton):
            self._automaton.make_automaton()

    def update(self, text: str, part_code: int) -> None:
        """Count one document: its target-language text, and its code in `Partition.target_codes`."""
        if not self._askers:
            return
        text = normalise(text)
        words = set(text.translate(_BLANKS).split())
        found = {self._words[word] for word in words & self._words.keys()}
        if len(self._automaton):
            for last, (phrase, length) in self._automaton.iter(text):
                if phrase not in found and _bounded(text, last + 1 - length, last + 1):
                    found.add(phrase)
        if not found:
            return
        answered = np.unique(np.concatenate([self._askers[p][ANSWER] for p in found]))
        titled = np.unique(np.concatenate([self._askers[p][TITLE] for p in found]))
        self.counts[answered, part_code, ANSWER] += 1
        self.counts[titled, part_code, TITLE] += 1
        self.counts[np.intersect1d(answered, titled, assume_unique=True), part_code, BOTH] += 1

    def merge(self, other: LeakAudit) -> None:
        """Add the counts of another shard's audit of the same questions."""
        if [q.id for q in self.questions] != [q.id for q in other.questions]:
            raise ValueError("the two audits are of different questions")
        self.counts += other.counts

    def rows(self, partition: Partition) -> list[dict[str, str | int]]:
        """Rows of the `audit` config: ``question_id, filter, answer_docs, title_docs, both_docs``."""
        rows: list[dict[str, str | int]] = []
        per_filter = [
            self.counts[:, list(partition.target_codes_of_filter(k)), :].sum(axis=1) for k in FILTERS
        ]
        for index, question in enumerate(self.questions):
            for k in FILTERS:
                numbers = {kind: int(per_filter[k][index, i]) for i, kind in enumerate(KINDS)}
                rows.append({"question_id": question.id, "filter": k, **numbers})
        return rows


def leak_audit(
    questions: Sequence[AuditQuestion], texts: Iterable[str], partition: Partition
) -> tuple[list[dict[str, str | int]], LeakAudit]:
    """Audit D in one pass.

    Args:
        questions: The held-out (test) questions.
        texts: Target-language text of every document of D, in D's order; an empty text counts nothing.
        partition: Parts of D.

    Returns:
        The rows for filters 0..4, and the audit with its remarks on short and unsearchable phrases.

    Raises:
        ValueError: `texts` has another number of documents than the partition.
    """
    audit = LeakAudit(questions)
    codes = partition.target_codes()
    row = -1
    for row, text in enumerate(texts):
        if row >= len(codes):
            raise ValueError(f"more texts than the {len(codes)} documents of the partition")
        audit.update(text, int(codes[row]))
    if row + 1 != len(codes):
        raise ValueError(f"{row + 1} texts for the {len(codes)} documents of the partition")
    return audit.rows(partition), audit


def audit_table(rows: Iterable[Mapping[str, str | int]]) -> list[dict[str, str | int]]:
    """Questions with 0, 1-9 and 10 or more documents left, per filter and kind of mention.

    Returns:
        One row per filter and kind: ``filter, mention, 0, 1-9, 10+, questions``.
    """
    counts: dict[tuple[int, str], list[int]] = {}
    for row in rows:
        for kind in KINDS:
            n = int(row[kind])
            counts.setdefault((int(row["filter"]), kind), [0, 0, 0])[0 if n == 0 else 1 if n < 10 else 2] += 1
    return [
        {"filter": k, "mention": kind.removesuffix("_docs"), **dict(zip(BUCKETS, c)), "questions": sum(c)}
        for (k, kind), c in sorted(counts.items(), key=lambda item: (item[0][0], KINDS.index(item[0][1])))
    ]
