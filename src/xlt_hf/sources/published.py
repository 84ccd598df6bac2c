# SPDX-License-Identifier: Apache-2.0
"""A bilingual question dataset that somebody published, of the shape of the paper's Table 5.

Where its Hindi comes from is for its card to say; here it is marked `dataset:<id>`, unless a column says more.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import missing_column, read_rows
from xlt_hf.sources.hub_files import STRICT, HubFiles
from xlt_hf.sources.question_rows import (
    BadRow,
    Progress,
    gather,
    id_of,
    merge,
    text_of,
    texts_of,
)
from xlt_hf.sources.schema import Question, QuestionBatch
from xlt_hf.sources.titles import page_title, page_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PER_LANGUAGE = ("context", "question", "answer", "negatives")
_REQUIRED = ("id", "title")
_OPTIONAL = ("url", "relation", "hi_source")


@dataclass(frozen=True, config=STRICT)
class PublishedConfig:
    """Which dataset, and what its columns are called.

    Attributes:
        repo_id: Hub dataset.
        revision: branch, tag or commit.
        files: split that its rows are given (`train`, `test`, or `any` for rows that the study splits) -> glob pattern.
        columns: our name -> column of the dataset, where they differ. Our names are `id`, `title`, `url`, `relation`,
            `hi_source`, and for each language `context.xx`, `question.xx`, `answer.xx`, `negatives.xx`, which is also
            where they are looked for: dots reach into structs. A flat dataset says `question.hi: question_hi`.
    """

    repo_id: str
    files: Annotated[dict[Literal["train", "test", "any"], str], Field(min_length=1)]
    revision: str = "main"
    columns: dict[str, str] = field(default_factory=dict)


def read(
    config: PublishedConfig,
    languages: Sequence[str],
    api: "HfApi",
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """The dataset's questions; where a row lacks its target side, that side is empty.

    Args:
        max_questions: stop after so many of each split.

    Raises:
        SourceError: the dataset, a revision or a column is missing, or the settings name one of ours that there is
            not.
    """
    store = HubFiles(api, config.repo_id, config.revision)
    columns, optional = _columns(config, languages)
    batches = []
    for split, pattern in config.files.items():
        prescribed = "" if split == "any" else split

        def rows(pattern: str = pattern) -> Iterator[Mapping[str, Any]]:
            for entry in store.matching([pattern]):
                yield from read_rows(store, entry.path, columns, optional)

        def make(row: Mapping[str, Any], prescribed: str = prescribed) -> Question:
            return _question(row, languages, f"dataset:{config.repo_id}", prescribed)

        batches.append(gather(rows(), make, store.refs(), max_questions, progress))
    return merge(batches)


def _columns(config: PublishedConfig, languages: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    per_language = [f"{name}.{language}" for language in languages for name in _PER_LANGUAGE]
    names = [*_REQUIRED, *_OPTIONAL, *per_language]
    for name in config.columns:
        if name not in names:
            raise missing_column(name, names, "the rows of a published dataset, as the study calls them")
    required = {
        *_REQUIRED,
        *(f"{name}.{language}" for language in languages for name in ("question", "answer")),
    }
    required |= set(config.columns)  # a column that is named must be there
    return {name: config.columns.get(name, name) for name in names}, [n for n in names if n not in required]


def _question(row: Mapping[str, Any], languages: Sequence[str], hi_source: str, split: str) -> Question:
    source, target = languages
    question_id = id_of(row["id"])
    title = page_title(text_of(row["title"], "no_title"))
    question = {
        source: text_of(row[f"question.{source}"], "no_question").strip(),
        target: _or_none(row[f"question.{target}"]),
    }
    answer = {
        source: texts_of(row[f"answer.{source}"], "no_answer"),
        target: _or_empty(row[f"answer.{target}"]),
    }
    negatives = {language: _or_empty(row[f"negatives.{language}"]) for language in languages}
    translated = question[target] is not None or bool(answer[target])
    return Question(
        id=question_id,
        title=title,
        url=_or_none(row["url"]) or page_url(title, source),
        relation=_or_none(row["relation"]) or "",
        context={language: _or_none(row[f"context.{language}"], strip=False) for language in languages},
        question=question,
        answer=answer,
        negatives=negatives,
        nearest_pages=[],
        hi_source=(_or_none(row["hi_source"]) or hi_source) if translated else "",
        split=split,
    )


def _or_none(value: Any, strip: bool = True) -> str | None:
    """Text, or None for what is missing or blank; BadRow for what is not text."""
    try:
        text = text_of(value, "no_context")
        return text.strip() if strip else text
    except BadRow as bad:
        if bad.reason == "no_context":
            return None
        raise


def _or_empty(value: Any) -> list[str]:
    """Texts, or none; BadRow for what is no list of texts."""
    try:
        return texts_of(value, "no_answer")
    except BadRow as bad:
        if bad.reason == "no_answer":
            return []
        raise
