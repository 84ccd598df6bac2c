# SPDX-License-Identifier: Apache-2.0
"""Questions on a passage: train from `rajpurkar/squad`, in English only; test from `google/xquad`, in both languages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import STRICT, HubFiles
from xlt_hf.sources.question_rows import (
    Progress,
    gather,
    id_of,
    merge,
    source_only,
    spans_in,
    text_of,
)
from xlt_hf.sources.schema import Question, QuestionBatch
from xlt_hf.sources.titles import page_title, page_url
from xlt_hf.sources.xquad import Xquad, XquadConfig

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_COLUMNS = {
    "id": "id",
    "title": "title",
    "context": "context",
    "question": "question",
    "texts": "answers.text",
    "starts": "answers.answer_start",
}


@dataclass(frozen=True, config=STRICT)
class SquadConfig:
    """Which datasets of that form.

    Attributes:
        repo_id: Hub dataset of the train questions.
        revision: its branch, tag or commit.
        files: glob pattern of its train files.
        xquad: the test questions.
    """

    repo_id: str = "rajpurkar/squad"
    revision: str = "main"
    files: str = "plain_text/train-*.parquet"
    xquad: XquadConfig = field(default_factory=XquadConfig)


def read(
    config: SquadConfig,
    languages: Sequence[str],
    api: "HfApi",
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """Train questions with an empty target side, and all test questions.

    Args:
        max_questions: most train questions.

    Raises:
        SourceError: a dataset, a revision, a column or a title is missing.
    """
    test = Xquad(config.xquad, languages, api).questions(split="test")
    store = HubFiles(api, config.repo_id, config.revision)

    def rows() -> Iterator[Mapping[str, Any]]:
        for entry in store.matching([config.files]):
            yield from read_rows(store, entry.path, _COLUMNS)

    def make(row: Mapping[str, Any]) -> Question:
        question_id = id_of(row["id"])
        title = page_title(text_of(row["title"], "no_title"))
        context = text_of(row["context"], "no_context")
        return source_only(
            languages,
            question_id=question_id,
            title=title,
            url=page_url(title, languages[0]),
            question=text_of(row["question"], "no_question").strip(),
            answers=spans_in(context, row["texts"], row["starts"]),
            context=context,
            split="train",
        )

    train = gather(rows(), make, store.refs(), max_questions, progress)
    return merge([test, train])
