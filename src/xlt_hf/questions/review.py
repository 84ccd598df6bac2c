# SPDX-License-Identifier: Apache-2.0
"""`review.csv`: questions in a spreadsheet for a speaker of the target language, and the corrections back by id.

Three things stand between a spreadsheet and exact text, and each is undone when the file is read:

- a cell that begins like a formula gets an apostrophe in front (so that no program runs it), and so does an id that
  begins with a digit (so that no program rounds it);
- a list stands in one cell with ` | ` between its items; a bar, a backslash and a space at an item's edge that belong
  to the item itself have a backslash in front;
- what a spreadsheet writes is read as it comes: UTF-8 with or without BOM, UTF-16, commas, semicolons or tabs.
"""

import codecs
import csv
import dataclasses
import difflib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlt_hf.errors import UserError
from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.blocks import BLOCK
from xlt_hf.sources.schema import Question
from xlt_hf.study import Languages

REVIEW_NAME = "review.csv"
HUMAN_REVIEWED = "human-reviewed"
"""`hi_source` of a row that a reviewer corrected."""
CORRECTION_COLUMNS = ("corrected_question", "corrected_answer", "corrected_negatives", "comment", "reject")
SEPARATOR = " | "
NEGATIVES = BLOCK - 1
"""Wrong answers of a question (paper §4.1)."""

_PER_LANGUAGE = ("question", "answer", "context", "negatives")
_PLAIN_COLUMNS = ("id", "split", *_PER_LANGUAGE, "title", "hi_source", *CORRECTION_COLUMNS)
_KNOWN_COLUMN = re.compile(rf"id|split|({'|'.join(_PER_LANGUAGE)})_[a-z]{{2,3}}|title|hi_source")
_MOST_CHARACTERS = 32_000
"""Of a passage in a cell; spreadsheets cut at 32,767, or let the rest run over into other cells."""
_RUNNABLE = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_COUNTABLE = re.compile(r"'*[=+\-@\t\r\n＝＋－＠0-9]")
_ROUNDED = re.compile(r"-?\d+([.,]\d+)?[eE]\+?\d+")
_CHARACTER = re.compile(r"\\([\\|\s])|(.)", re.DOTALL)
_DECLARED_DELIMITER = re.compile(r'"?sep=(.)"?')
_REJECT = {"": False, "no": False, "yes": True}
_MOST_PROBLEMS = 20


class ReviewError(UserError):
    """A review file that cannot be read, or a correction that cannot be applied."""


@dataclass(frozen=True)
class Correction:
    """What a reviewer says about one row; None or `""` where nothing is said.

    Attributes:
        question: the right question in the target language.
        answer: the right accepted answers, the canonical one first.
        negatives: the three right wrong answers.
        comment: for other people; changes nothing.
        reject: whether the row must go.
        row: the spreadsheet's row, for messages; 0 where there is none.
    """

    question: str | None = None
    answer: tuple[str, ...] | None = None
    negatives: tuple[str, ...] | None = None
    comment: str = ""
    reject: bool = False
    row: int = dataclasses.field(default=0, compare=False)

    @property
    def changes(self) -> bool:
        """Whether a text is corrected."""
        return not (self.question is None and self.answer is None and self.negatives is None)

    def causes(self) -> dict[str, Any]:
        """What of it decides the published files, as plain JSON data: all but the row that it stood in."""
        return {
            "question": self.question,
            "answer": self.answer and list(self.answer),
            "negatives": self.negatives and list(self.negatives),
            "comment": self.comment,
            "reject": self.reject,
        }


def write_review(
    path: Path,
    splits: Mapping[str, Sequence[Question]],
    languages: Languages,
    corrections: Mapping[str, Correction] | None = None,
) -> None:
    """Write the questions as a sheet with empty columns for corrections: UTF-8 with BOM, commas, CRLF.

    Args:
        path: the file; its folder exists.
        splits: split -> questions.
        languages: the study's; they name the columns.
        corrections: earlier ones, to be filled in again, so that the file that comes out says all that was ever
            said; those of rows that are gone, such as rejected ones, stand at the end.
    """
    left = dict(corrections or {})
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, review_columns(languages), restval="", lineterminator="\r\n")
        writer.writeheader()
        for split, questions in splits.items():
            for question in questions:
                cells = _question_cells(question, split, languages)
                writer.writerow(_guarded(cells | _correction_cells(left.pop(question.id, None))))
        for question_id, correction in left.items():
            writer.writerow(_guarded({"id": question_id} | _correction_cells(correction)))


def review_columns(languages: Languages) -> list[str]:
    """Columns of `review.csv`, in order."""
    per_language = [f"{column}_{language}" for column in _PER_LANGUAGE for language in languages.both()]
    return ["id", "split", *per_language, "title", "hi_source", *CORRECTION_COLUMNS]


def read_review(path: Path) -> dict[str, Correction]:
    """Read what a reviewer filled in; all other columns are ignored and may be missing.

    Returns:
        id -> correction, in the file's order, for the rows on which something is said.

    Raises:
        ReviewError: with the row as the spreadsheet numbers it, the id, and what is wrong: a file that is no CSV
            text, an unknown, missing or repeated column, an id that is missing, repeated or was rounded by the
            spreadsheet, not exactly three negatives, an empty item in a list, `reject` that is neither yes nor no.
    """
    rows = _rows(path)
    header = [cell.strip() for cell in rows[0][1]] if rows else []
    while header and not header[-1]:  # spreadsheets may add empty columns
        header.pop()
    _check_header(header, path)
    corrections: dict[str, Correction] = {}
    first_row: dict[str, int] = {}
    problems: list[str] = []
    for number, cells in rows[1:]:
        if not any(cell.strip() for cell in cells):
            continue
        if any(cell.strip() for cell in cells[len(header) :]):
            problems.append(
                f"row {number} ({cells[0]}): {len(cells)} cells under {len(header)} columns; a text with a "
                "delimiter or a line break in it must stand in double quotes."
            )
            continue
        row = dict(zip(header, cells, strict=False))
        question_id = _unguard(row.get("id", ""), _COUNTABLE).strip()
        where = f"row {number} ({question_id or 'no id'})"
        if not question_id:
            problems.append(f"{where}: the id is missing.")
        elif _ROUNDED.fullmatch(question_id):
            problems.append(
                f"{where}: the spreadsheet has turned the id into a number and rounded it. Open the original "
                "file again with the column `id` as text."
            )
        elif question_id in first_row:
            problems.append(f"{where}: the id stands in row {first_row[question_id]} already.")
        else:
            first_row[question_id] = number
            correction, wrong = _correction(row, number)
            problems += [f"{where}: {problem}" for problem in wrong]
            if correction != Correction():
                corrections[question_id] = correction
    if problems:
        raise ReviewError(_listed(f"{path} cannot be used as a review", problems))
    return corrections


def apply_review(
    questions: Sequence[Question], corrections: Mapping[str, Correction], target: str
) -> tuple[list[Question], dict[str, Any]]:
    """The questions with the corrections in them, without the rejected ones.

    Args:
        questions: all candidates, or the rows of all splits.
        corrections: by id.
        target: language that is corrected.

    Returns:
        The questions in their order, and counts: `corrected` rows, `question`, `answer`, `negatives` (corrected texts
        by kind), `rejected_in_review`, `comments`, `not_in_context` (ids of rows whose passage held an answer before
        the correction and holds none after it), `unknown` and `unknown_ids` (corrections of rows that are not here).

    Raises:
        ReviewError: a corrected row in which a wrong answer is accepted as right, or two wrong ones are the same.
    """
    counts = dict.fromkeys(
        ("corrected", "question", "answer", "negatives", "rejected_in_review", "comments"), 0
    )
    kept: list[Question] = []
    lost: list[str] = []
    problems: list[str] = []
    for question in questions:
        correction = corrections.get(question.id)
        if correction is None:
            kept.append(question)
            continue
        counts["comments"] += bool(correction.comment)
        if correction.reject:
            counts["rejected_in_review"] += 1
            continue
        if not correction.changes:
            kept.append(question)
            continue
        counts["corrected"] += 1
        for column in ("question", "answer", "negatives"):
            counts[column] += getattr(correction, column) is not None
        corrected = _corrected(question, correction, target)
        problem = _clash(corrected, target)
        if problem:
            row = f"row {correction.row} " if correction.row else ""
            problems.append(f"{row}({question.id}): {problem}")
        if _in_context(question, target) and not _in_context(corrected, target):
            lost.append(question.id)
        kept.append(corrected)
    if problems:
        raise ReviewError(_listed("Corrections cannot be applied", problems))
    here = {question.id for question in questions}
    unknown = [question_id for question_id in corrections if question_id not in here]
    return kept, {**counts, "not_in_context": lost, "unknown": len(unknown), "unknown_ids": unknown}


def join_items(items: Iterable[str]) -> str:
    """A list as one cell; `split_items` undoes it for items that are not empty."""
    return SEPARATOR.join(_escape(item) for item in items)


def split_items(cell: str) -> list[str]:
    r"""The items of a cell, without the white space around them.

    `\|`, `\\` and a backslash before a space mean the character itself; any other backslash is only a backslash,
    so that a reviewer need not know of the rule.
    """
    if not cell.strip():
        return []
    items: list[list[tuple[str, bool]]] = [[]]
    for match in _CHARACTER.finditer(cell):
        kept, plain = match.groups()
        if plain == "|":
            items.append([])
        else:
            items[-1].append((plain, False) if kept is None else (kept, True))
    return [_stripped(item) for item in items]


def _escape(item: str) -> str:
    last = len(item) - 1
    return "".join(
        "\\" + char if char in "\\|" or (char.isspace() and i in (0, last)) else char
        for i, char in enumerate(item)
    )


def _stripped(item: Sequence[tuple[str, bool]]) -> str:
    """The text without white space at its edges, but for what a backslash keeps."""
    inner = [i for i, (char, kept) in enumerate(item) if kept or not char.isspace()]
    return "".join(char for char, _ in item[inner[0] : inner[-1] + 1]) if inner else ""


def _guard(cell: str, risky: re.Pattern[str]) -> str:
    return "'" + cell if risky.match(cell) else cell


def _unguard(cell: str, risky: re.Pattern[str]) -> str:
    return cell[1:] if cell.startswith("'") and risky.match(cell) else cell


def _guarded(cells: Mapping[str, str]) -> dict[str, str]:
    return {
        column: _guard(cell, _COUNTABLE if column == "id" else _RUNNABLE) for column, cell in cells.items()
    }


def _question_cells(question: Question, split: str, languages: Languages) -> dict[str, str]:
    cells = {"id": question.id, "split": split, "title": question.title, "hi_source": question.hi_source}
    for language in languages.both():
        passage = question.context.get(language) or ""
        if len(passage) > _MOST_CHARACTERS:
            passage = passage[:_MOST_CHARACTERS] + " […]"
        cells |= {
            f"question_{language}": question.question.get(language) or "",
            f"answer_{language}": join_items(question.answer.get(language, ())),
            f"context_{language}": passage,
            f"negatives_{language}": join_items(question.negatives.get(language, ())),
        }
    return cells


def _correction_cells(correction: Correction | None) -> dict[str, str]:
    if correction is None:
        return {}
    return {
        "corrected_question": correction.question or "",
        "corrected_answer": join_items(correction.answer or ()),
        "corrected_negatives": join_items(correction.negatives or ()),
        "comment": correction.comment,
        "reject": "yes" if correction.reject else "",
    }


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Rows with their numbers as a spreadsheet shows them, from 1."""
    text = _decoded(path)
    first, _, rest = text.partition("\n")
    declared = _DECLARED_DELIMITER.fullmatch(first.strip())
    if declared:
        text = rest
        delimiter = declared[1]
    else:
        delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            rows.append((len(rows) + 1, cells))
    except csv.Error as error:
        raise ReviewError(
            f"{path}: row {len(rows) + 1} is not valid CSV ({error}). Save the sheet again as CSV UTF-8."
        ) from error
    return rows


def _decoded(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ReviewError(f"Cannot read the review {path}: {error.strerror}.") from error
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif raw[:2].count(0):  # the first column is called in ASCII
        encoding = "utf-16-be" if raw[0] == 0 else "utf-16-le"
    else:
        encoding = "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise ReviewError(
            f"{path} is not {encoding.upper()} text: byte {error.start} of {len(raw)} cannot be read. Save the sheet "
            "as `CSV UTF-8` (Excel), or as `Text CSV` with the character set `Unicode (UTF-8)` (LibreOffice)."
        ) from error


def _check_header(header: Sequence[str], path: Path) -> None:
    problems = []
    for column in header:
        if column not in _PLAIN_COLUMNS and not _KNOWN_COLUMN.fullmatch(column):
            near = difflib.get_close_matches(column, ("id", *CORRECTION_COLUMNS), n=1)
            hint = f" Did you mean `{near[0]}`?" if near else ""
            problems.append(f"row 1: there is no column `{column}`.{hint}")
    problems += [
        f"row 1: the column `{c}` stands twice." for c in dict.fromkeys(header) if header.count(c) > 1
    ]
    if "id" not in header:
        problems.append("row 1: the column `id` is missing.")
    if not set(header) & set(CORRECTION_COLUMNS):
        problems.append(f"row 1: there is none of the columns {', '.join(CORRECTION_COLUMNS)}.")
    if problems:
        raise ReviewError(_listed(f"{path} cannot be used as a review", problems))


def _correction(row: Mapping[str, str], number: int) -> tuple[Correction, list[str]]:
    """A row's correction, and what is wrong with it."""
    cells = {column: _unguard(row.get(column, ""), _RUNNABLE) for column in CORRECTION_COLUMNS}
    problems = []
    lists = {}
    for column in ("corrected_answer", "corrected_negatives"):
        items = lists[column] = split_items(cells[column])
        if "" in items:
            problems.append(
                f"{column} has an empty item in `{cells[column]}`; write `\\|` for a bar that is no separator."
            )
    negatives = lists["corrected_negatives"]
    if negatives and len(negatives) != NEGATIVES:
        problems.append(
            f"corrected_negatives holds {len(negatives)} wrong answers, not {NEGATIVES}: write all {NEGATIVES} with "
            f"`{SEPARATOR}` between them, in the order of the other language's."
        )
    reject = cells["reject"].strip().casefold()
    if reject not in _REJECT:
        problems.append(f"reject is `{cells['reject']}`: write yes, or leave it empty.")
    correction = Correction(
        question=cells["corrected_question"].strip() or None,
        answer=tuple(lists["corrected_answer"]) or None,
        negatives=tuple(negatives) or None,
        comment=cells["comment"].strip(),
        reject=_REJECT.get(reject, False),
        row=number,
    )
    return correction, problems


def _corrected(question: Question, correction: Correction, target: str) -> Question:
    changed: dict[str, Any] = {}
    if correction.question is not None:
        changed["question"] = {**question.question, target: correction.question}
    if correction.answer is not None:
        changed["answer"] = {**question.answer, target: list(correction.answer)}
    if correction.negatives is not None:
        changed["negatives"] = {**question.negatives, target: list(correction.negatives)}
    return dataclasses.replace(question, **changed, hi_source=HUMAN_REVIEWED)


def _clash(question: Question, target: str) -> str | None:
    """What is wrong with the options of a corrected row, as they are compared when scored."""
    golds = {_compared(answer, target) for answer in question.answer.get(target, ())}
    seen: set[str] = set()
    for negative in question.negatives.get(target, ()):
        compared = _compared(negative, target)
        if compared in golds:
            return f"the wrong answer `{negative}` is accepted as right; correct the negatives as well."
        if compared in seen:
            return f"the wrong answer `{negative}` stands twice."
        seen.add(compared)
    return None


def _compared(answer: str, language: str) -> str:
    return normalize(answer, "xl", language) or answer


def _in_context(question: Question, language: str) -> bool:
    context = question.context.get(language)
    return context is not None and any(answer in context for answer in question.answer.get(language, ()))


def _listed(what: str, problems: Sequence[str]) -> str:
    more = len(problems) - _MOST_PROBLEMS
    lines = [f"  {problem}" for problem in problems[:_MOST_PROBLEMS]]
    return "\n".join([f"{what}:", *lines, *([f"  … and {more} more."] if more > 0 else [])])
