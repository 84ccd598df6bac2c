# SPDX-License-Identifier: Apache-2.0
"""`google/xquad`: 240 paragraphs of 48 Wikipedia articles and 1190 questions, translated by people.

The rows on the Hub carry no titles. Their ids are those of SQuAD 1.1's development set, so titles are read from
`rajpurkar/squad` by id, unless a file gives them: XQuAD's original JSON, or a table of ids and titles.
"""

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from typing import TYPE_CHECKING, Any

from pydantic.dataclasses import dataclass

from xlt_hf.sources.columns import read_rows
from xlt_hf.sources.hub_files import (
    STRICT,
    FileStore,
    HubFiles,
    LocalFiles,
    SourceError,
    content_hash,
)
from xlt_hf.sources.question_rows import BadRow, Progress, gather, id_of, spans_in, text_of
from xlt_hf.sources.schema import DatasetRef, Question, QuestionBatch, SourceSize
from xlt_hf.sources.titles import page_title, page_url, raw_title

if TYPE_CHECKING:
    from huggingface_hub import HfApi

logger = logging.getLogger(__name__)

_SHARD = "xquad"
_MOST_UNTITLED = 0.5  # above this share it is not the rows that are wrong but the table of titles
_COLUMNS = {
    "id": "id",
    "context": "context",
    "question": "question",
    "texts": "answers.text",
    "starts": "answers.answer_start",
}
_HUB_FILE = re.compile(r"([\w.-]+/[\w.-]+):(.+)")


@dataclass(frozen=True, config=STRICT)
class XquadConfig:
    """Which datasets of that form.

    Attributes:
        repo_id: Hub dataset with a folder per language.
        revision: its branch, tag or commit.
        files: glob pattern of the parquet files of one language.
        titles_file: file that gives the titles: a path on this machine, or `OWNER/NAME:PATH` in a Hub dataset;
            SQuAD-form JSON, or parquet or jsonl with columns `id` and `title`. None: read them from SQuAD.
        titles_repo_id: SQuAD 1.1 on the Hub; columns `id` and `title` of its development set are read.
        titles_files: glob pattern of that set.
        titles_revision: branch, tag or commit of the Hub dataset that gives the titles, either way.
    """

    repo_id: str = "google/xquad"
    revision: str = "main"
    files: str = "xquad.{language}/*.parquet"
    titles_file: str | None = None
    titles_repo_id: str = "rajpurkar/squad"
    titles_files: str = "plain_text/validation-*.parquet"
    titles_revision: str = "main"


class _Titles:
    """Titles by question id."""

    def __init__(self, config: XquadConfig, api: "HfApi") -> None:
        named = config.titles_file
        self.store: FileStore
        if named is None:
            self.store = HubFiles(api, config.titles_repo_id, config.titles_revision)
            self.pattern = config.titles_files
        elif (on_hub := _HUB_FILE.fullmatch(named)) and not os.path.exists(named):
            self.store = HubFiles(api, on_hub[1], config.titles_revision)
            self.pattern = on_hub[2]
        else:
            self.store = LocalFiles()
            self.pattern = named
        self.where = f"{self.pattern} of {self.store.name}"

    def content_key(self) -> str:
        """Hash of a file on this machine; `""` on the Hub."""
        return "" if self.store.refs() else content_hash(self.store.matching([self.pattern]))

    def read(self) -> dict[str, str]:
        """Question id -> title."""
        titles: dict[str, str] = {}
        for entry in self.store.matching([self.pattern]):
            if entry.path.endswith(".json"):
                titles.update(self._squad_form(entry.path))
                continue
            for row in read_rows(self.store, entry.path, {"id": "id", "title": "title"}):
                title = raw_title(row["title"])
                if isinstance(title, str) and title:
                    with_id = (
                        row["id"].decode("utf-8", "replace") if isinstance(row["id"], bytes) else row["id"]
                    )
                    titles[str(with_id)] = title
        return titles

    def _squad_form(self, path: str) -> dict[str, str]:
        with self.store.explained(path), self.store.open(path) as file:
            data = file.read()
        try:
            return {
                question["id"]: page_title(article["title"])
                for article in json.loads(data)["data"]
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
            }
        except (ValueError, KeyError, TypeError) as error:
            raise SourceError(
                f"{self.where} is not JSON of the form of SQuAD 1.1 (data, paragraphs, qas): {error!r}. Give the "
                "original xquad.en.json as titles_file, or leave titles_file out to read titles from SQuAD."
            ) from error


@plain_dataclass(frozen=True)
class _Row:
    """A question in both languages, its values raw."""

    id: str
    title: str
    raw: Mapping[str, Mapping[str, Any]]
    """Language -> row of `_COLUMNS`."""
    problem: str = ""
    """Why it gives no question, if that is clear from how the rows fit together."""


@plain_dataclass(frozen=True)
class _Paragraph:
    """A passage in both languages."""

    title: str
    context: Mapping[str, Any]


class Xquad:
    """The dataset in two languages: a source of documents, and of questions.

    A document is an article: its paragraphs, in the order of the dataset, a line each. A paragraph that is missing in
    one language, or cut differently there, is left out of both, so that documents stay parallel.

    Args:
        config: which datasets.
        languages: (source, target) codes; XQuAD has en, hi and ten others.
        api: client of the Hub.
    """

    def __init__(self, config: XquadConfig, languages: Sequence[str], api: "HfApi") -> None:
        self.config = config
        self.languages = tuple(languages)
        self.store = HubFiles(api, config.repo_id, config.revision)
        self._titles = _Titles(config, api)
        self._rows: list[_Row] | None = None

    def refs(self) -> list[DatasetRef]:
        """The dataset, and the one that gives the titles, at their resolved commits."""
        return [*self.store.refs(), *(ref for ref in self._titles.store.refs() if ref != self.store.ref)]

    def content_key(self) -> str:
        """Hash of a titles file on this machine; `""` for titles from the Hub."""
        return self._titles.content_key()

    def shards(self) -> list[str]:
        """One: the dataset is small."""
        return [_SHARD]

    def size(self) -> SourceSize:
        """Articles, and bytes of the files. They are counted by reading them, which for this dataset is 2 MB."""
        entries = [entry for language in self.languages for entry in self._entries(language)]
        return SourceSize(len({p.title for p in self._paragraphs()}), sum(entry.size for entry in entries))

    def read(self, shard: str) -> Iterator[Mapping[str, Any]]:
        """An article a row."""
        source, target = self.languages
        articles: dict[str, list[_Paragraph]] = {}
        for paragraph in self._paragraphs():
            articles.setdefault(paragraph.title, []).append(paragraph)
        for title, paragraphs in articles.items():
            yield {
                "doc_id": f"xquad-{title.replace(' ', '_')}",
                "title": title,
                "url": page_url(title, source),
                "target_title": None,
                "source_text": _joined([p.context[source] for p in paragraphs]),
                "target_text": _joined([p.context[target] for p in paragraphs]),
            }

    def questions(
        self,
        split: str = "",
        max_questions: int | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> QuestionBatch:
        """All questions in both languages, with contexts and one gold answer each.

        Args:
            split: split that the source prescribes for them, or `""`.
            max_questions: stop after so many.
        """
        rows = [{"row": row} for row in self._joined_rows()]

        def make(row: Mapping[str, Any]) -> Question:
            return self._question(row["row"], split)

        return gather(rows, make, self.refs(), max_questions, progress)

    def _question(self, row: _Row, split: str) -> Question:
        if row.problem:
            raise BadRow(row.problem)
        contexts = {lang: text_of(row.raw[lang]["context"], "no_context") for lang in self.languages}
        questions: dict[str, str | None] = {
            lang: text_of(row.raw[lang]["question"], "no_question").strip() for lang in self.languages
        }
        answers = {
            lang: spans_in(contexts[lang], row.raw[lang]["texts"], row.raw[lang]["starts"])
            for lang in self.languages
        }
        return Question(
            id=row.id,
            title=row.title,
            url=page_url(row.title, self.languages[0]),
            relation="",
            context=contexts,
            question=questions,
            answer=answers,
            negatives={lang: [] for lang in self.languages},
            nearest_pages=[],
            hi_source="human",
            split=split,
        )

    def _entries(self, language: str) -> list[Any]:
        return self.store.matching([self.config.files.format(language=language)])

    def _joined_rows(self) -> list[_Row]:
        """Rows of both languages by id, in the order of the source language; those of the target alone come last."""
        if self._rows is not None:
            return self._rows
        by_id: dict[str, dict[str, Mapping[str, Any]]] = {}
        broken: list[_Row] = []
        for language in self.languages:
            for entry in self._entries(language):
                for row in read_rows(self.store, entry.path, _COLUMNS):
                    try:
                        sides = by_id.setdefault(id_of(row["id"]), {})
                        if language in sides:
                            raise BadRow("duplicate_id")
                        sides[language] = row
                    except BadRow as bad:
                        broken.append(_Row("", "", {}, bad.reason))
        titles = self._titles.read()
        unknown = [key for key in by_id if key not in titles]
        if len(unknown) > _MOST_UNTITLED * len(by_id):
            raise SourceError(
                f"{len(unknown):,} of {len(by_id):,} questions of {self.store.name} have no title in "
                f"{self._titles.where}, such as {unknown[0]}. Give the original xquad.en.json, or a table with columns "
                "id and title, as titles_file of this source in the study."
            )
        rows = []
        for key, sides in by_id.items():
            problem = "" if len(sides) == len(self.languages) else "other_language_missing"
            rows.append(_Row(key, titles.get(key, ""), sides, problem if key in titles else "no_title"))
        self._rows = rows + broken
        return self._rows

    def _paragraphs(self) -> list[_Paragraph]:
        source, target = self.languages
        found: dict[tuple[str, Any], dict[str, Any]] = {}
        mismatched: set[tuple[str, Any]] = set()
        for row in self._joined_rows():
            contexts = {lang: _text_or_none(side["context"]) for lang, side in row.raw.items()}
            if not row.title or contexts.get(source) is None:
                continue
            key = (row.title, contexts[source])
            translated = contexts.get(target)
            known = found.setdefault(key, {source: key[1], target: translated})
            if translated is not None and known[target] is None:
                known[target] = translated
            elif translated is not None and translated != known[target]:
                mismatched.add(key)
        whole = [
            _Paragraph(key[0], contexts)
            for key, contexts in found.items()
            if key not in mismatched and contexts[source] and contexts[target]
        ]
        if len(whole) < len(found):
            logger.warning(
                "%d of %d paragraphs of %s have no one counterpart in '%s' and are left out of both languages.",
                len(found) - len(whole),
                len(found),
                self.store.name,
                target,
            )
        return whole


def _text_or_none(value: Any) -> str | bytes | None:
    """A raw value that can be a passage."""
    return value if isinstance(value, (str, bytes)) and value.strip() else None


def _joined(contexts: Sequence[Any]) -> Any:
    """Paragraphs as the lines of one text, each on one line; raw bytes where they are not UTF-8, for the collector."""
    try:
        texts = [c.decode("utf-8") if isinstance(c, bytes) else str(c) for c in contexts]
    except UnicodeDecodeError:
        return b"\n".join(c for c in contexts if isinstance(c, bytes))
    return "\n".join(" ".join(text.splitlines()) for text in texts)


def read(
    config: XquadConfig,
    languages: Sequence[str],
    api: "HfApi",
    max_questions: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> QuestionBatch:
    """All questions of XQuAD, in no split.

    Args:
        max_questions: stop after so many.

    Raises:
        SourceError: a dataset, a revision, a column or a title is missing.
    """
    return Xquad(config, languages, api).questions("", max_questions, progress)
