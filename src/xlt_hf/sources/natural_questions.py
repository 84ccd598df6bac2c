# SPDX-License-Identifier: Apache-2.0
"""`google-research-datasets/natural_questions`: questions to a search engine, their page, and short answers in it.

Of rows that hold a whole page as HTML and as tokens, six small columns are downloaded.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import STRICT, HubFiles
from xlt_hf.sources.question_rows import BadRow, Progress, gather, id_of, source_only, text_of
from xlt_hf.sources.schema import Question, QuestionBatch
from xlt_hf.sources.titles import page_title, page_url

if TYPE_CHECKING:
    from huggingface_hub import HfApi

COLUMNS = {
    "id": "id",
    "title": "document.title",
    "url": "document.url",
    "question": "question.text",
    "short_answers": "annotations.short_answers.text",
    "yes_no": "annotations.yes_no_answer",
}
_NO_YES = (0, 1)


@dataclass(frozen=True, config=STRICT)
class NaturalQuestionsConfig:
    """Which dataset of that form.

    Attributes:
        repo_id: Hub dataset.
        revision: branch, tag or commit.
        files: glob patterns of its parquet files.
    """

    repo_id: str = "google-research-datasets/natural_questions"
    revision: str = "main"
    files: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "default/train-*.parquet",
        "default/validation-*.parquet",
    )


def read(
    config: NaturalQuestionsConfig,
    languages: Sequence[str],
    api: "HfApi",
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """Questions that have a short answer, in the source language, in no split.

    Of several annotators' answers each text is kept once, those that more of them gave first.

    Args:
        max_questions: stop after so many.

    Raises:
        SourceError: the dataset, a revision or a column is missing.
    """
    store = HubFiles(api, config.repo_id, config.revision)

    def rows() -> Iterator[Mapping[str, Any]]:
        for entry in store.matching(config.files):
            yield from read_rows(store, entry.path, COLUMNS)

    def make(row: Mapping[str, Any]) -> Question:
        question_id = id_of(row["id"])
        title = page_title(text_of(row["title"], "no_title"))
        return source_only(
            languages,
            question_id=question_id,
            title=title,
            url=text_of(row["url"], "no_title") if row["url"] else page_url(title, languages[0]),
            question=text_of(row["question"], "no_question").strip(),
            answers=_by_votes(row["short_answers"], row["yes_no"]),
        )

    return gather(rows(), make, store.refs(), max_questions, progress)


def _by_votes(short_answers: Any, yes_no: Any) -> list[str]:
    """Distinct answers, those of most annotators first, then in their own order.

    Args:
        short_answers: raw texts, a list for each annotator.
        yes_no: an integer for each annotator, 0 for no and 1 for yes.
    """
    if not isinstance(short_answers, list):
        raise BadRow("wrong_type" if short_answers is not None else "no_answer")
    votes: Counter[str] = Counter()
    for texts in short_answers:
        if texts is not None and not isinstance(texts, list):
            raise BadRow("wrong_type")
        given = [text_of(text, "no_answer").strip() for text in texts or [] if text not in (None, b"", "")]
        votes.update(dict.fromkeys(given, 1))
    if votes:
        return [text for text, _ in votes.most_common()]  # ties stay in order of appearance
    if isinstance(yes_no, list) and any(answer in _NO_YES for answer in yes_no):
        raise BadRow("yes_no_answer")
    raise BadRow("no_answer")
