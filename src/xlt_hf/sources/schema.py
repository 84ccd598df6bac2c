# SPDX-License-Identifier: Apache-2.0
"""The one schema of documents and questions, whatever they come from, and what a source of them is."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

DOCUMENT_COLUMNS = ("doc_id", "title", "url", "target_title", "source_text", "target_text")
"""Keys of a source's raw rows: ``source`` and ``target`` are the study's two languages, whichever they are."""


@dataclass(frozen=True, slots=True)
class Document:
    """One aligned document of D.

    Attributes:
        doc_id: stable id; a prefix up to the first `-` names the kind of page, where a source has kinds.
        title: title in the source language, unique within D: the key by which questions name their page.
        url: address of the page.
        text: language code -> text.
        titles: language code -> title in that language; `""` where a source does not give it.
    """

    doc_id: str
    title: str
    url: str
    text: Mapping[str, str]
    titles: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Question:
    """One bilingual question, in the form of the paper's Table 5.

    Attributes:
        id: stable id.
        title: source-language title of the page that answers it.
        url: address of that page.
        relation: what is asked for, such as `currency`; `""` where a source has no relations.
        context: language code -> passage that holds an answer, or None.
        question: language code -> question; None in the target language until it is translated.
        answer: language code -> accepted answers, the canonical one first; empty until it is translated.
        negatives: language code -> three wrong answers of the right type, parallel over languages; empty until
            they are drawn.
        nearest_pages: titles of the pages nearest to `title`, itself first; filled by `build_qa`.
        hi_source: where the target-language text comes from: `human`, `cldr`, `machine:<model>`, or `dataset:<id>`
            where a published dataset does not say.
        split: `train` or `test` where the source prescribes it, `""` where the study draws it.
    """

    id: str
    title: str
    url: str
    relation: str
    context: Mapping[str, str | None]
    question: Mapping[str, str | None]
    answer: Mapping[str, list[str]]
    negatives: Mapping[str, list[str]]
    nearest_pages: list[str]
    hi_source: str
    split: str = ""


@dataclass(frozen=True)
class DatasetRef:
    """A Hub dataset that a source reads, at the commit that it reads."""

    repo_id: str
    revision: str
    """Resolved commit id, never a branch name."""


@dataclass(frozen=True)
class SourceSize:
    """What a source will give, as far as its listing tells, for `--dry_run`."""

    documents: int | None
    download_bytes: int | None
    """Bytes of the columns that are read."""
    text_bytes: int | None = None
    """The same once they are unpacked."""


class DocumentSource(Protocol):
    """Where aligned documents come from. Rows are raw: the collector checks them and counts what it rejects."""

    def refs(self) -> Sequence[DatasetRef]:
        """Hub datasets that are read, resolved; empty for what is generated or local."""
        ...

    def content_key(self) -> str:
        """What decides the rows beside the configuration and `refs`, such as a hash of local files; `""` for nothing."""
        ...

    def shards(self) -> Sequence[str]:
        """Names of the pieces, in reading order."""
        ...

    def size(self) -> SourceSize:
        """Expected size, without reading texts."""
        ...

    def read(self, shard: str) -> Iterator[Mapping[str, Any]]:
        """Raw rows of one piece with the keys of `DOCUMENT_COLUMNS`.

        Values may be `str`, `bytes` (UTF-8, not checked yet), None or anything that stood there.
        """
        ...


@runtime_checkable
class Joined(Protocol):
    """A source that joins two others."""

    def losses(self) -> dict[str, int]:
        """What the join keeps and loses, in rows."""
        ...


@dataclass
class QuestionBatch:
    """What a question source read: its questions, and how many rows gave none, by reason."""

    questions: list[Question]
    dropped: dict[str, int] = field(default_factory=dict)
    refs: list[DatasetRef] = field(default_factory=list)
    never: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    """Question id -> language -> what must not be offered as a wrong answer, though it is no accepted one."""
