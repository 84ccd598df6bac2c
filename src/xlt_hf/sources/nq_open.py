# SPDX-License-Identifier: Apache-2.0
"""`google-research-datasets/nq_open`: Natural Questions as questions and answers alone, without id and page.

The pages come from a table of questions and titles: by default from Natural Questions itself, which NQ-open was made
from, read by column.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import STRICT, HubFiles, open_store
from xlt_hf.sources.question_rows import BadRow, Progress, gather, source_only, text_of, texts_of
from xlt_hf.sources.schema import Question, QuestionBatch
from xlt_hf.sources.titles import TitleTableConfig, page_url, title_rows

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def _natural_questions() -> TitleTableConfig:
    return TitleTableConfig(
        files=("default/train-*.parquet", "default/validation-*.parquet"),
        key="question.text",
        title="document.title",
        url="document.url",
        repo_id="google-research-datasets/natural_questions",
    )


@dataclass(frozen=True, config=STRICT)
class NqOpenConfig:
    """Which dataset of that form, and where its pages stand.

    Attributes:
        repo_id: Hub dataset with columns `question` and `answer`.
        revision: branch, tag or commit.
        files: glob patterns of its parquet files.
        titles: table whose key is the question.
    """

    repo_id: str = "google-research-datasets/nq_open"
    revision: str = "main"
    files: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "nq_open/train-*.parquet",
        "nq_open/validation-*.parquet",
    )
    titles: TitleTableConfig = field(default_factory=_natural_questions)


def question_id(question: str) -> str:
    """16 hexadecimal digits of the sha256 of the question's text."""
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def read(
    config: NqOpenConfig,
    languages: Sequence[str],
    api: "HfApi",
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """Questions whose page the table knows, in the source language, in no split.

    Args:
        max_questions: stop after so many.

    Raises:
        SourceError: a dataset, a revision, a file or a column is missing.
    """
    store = HubFiles(api, config.repo_id, config.revision)
    entries = store.matching(config.files)
    table_store = open_store(api, config.titles.repo_id, config.titles.revision)
    pages: dict[str, tuple[str, Any]] = {}
    for key, title, url in title_rows(config.titles, table_store):
        try:
            pages.setdefault(_key(text_of(key, "no_question")), (title, url))
        except BadRow:
            continue

    def rows() -> Iterator[Mapping[str, Any]]:
        for entry in entries:
            yield from read_rows(store, entry.path, {"question": "question", "answer": "answer"})

    def make(row: Mapping[str, Any]) -> Question:
        question = text_of(row["question"], "no_question").strip()
        answers = texts_of(row["answer"], "no_answer")
        page = pages.get(_key(question))
        if page is None:
            raise BadRow("no_title")
        title, url = page
        return source_only(
            languages,
            question_id=question_id(question),
            title=title,
            url=text_of(url, "no_title") if url else page_url(title, languages[0]),
            question=question,
            answers=answers,
        )

    return gather(rows(), make, [*store.refs(), *table_store.refs()], max_questions, progress)


def _key(question: str) -> str:
    """NQ-open's questions are those of Natural Questions but for case, spacing and a question mark."""
    return " ".join(question.casefold().replace("?", " ").split())
