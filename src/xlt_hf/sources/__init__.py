# SPDX-License-Identifier: Apache-2.0
"""Where documents and questions come from: one module per source, one schema for all."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt_hf.sources.collect import Collected, Progress, collect, collection_name
from xlt_hf.sources.schema import DatasetRef, Document, DocumentSource, Joined, Question, QuestionBatch
from xlt_hf.sources.table import DocumentTable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from xlt_hf.study import Study

__all__ = [
    "CandidateQuestions",
    "Collected",
    "DatasetRef",
    "Document",
    "DocumentTable",
    "Documents",
    "Question",
]


class Documents:
    """The documents D of a study: their source resolved, their texts not read before `collect`.

    Args:
        study: says which source.
        api: client of the Hub that the source's datasets are on.
        scratch: folder for what a source sorts on its way, kept for a run that is killed.
    """

    def __init__(self, study: "Study", api: "Callable[[], HfApi]", scratch: Path | None = None) -> None:
        self.study = study
        self.source = _document_source(study, api, scratch)

    @property
    def refs(self) -> list[DatasetRef]:
        """Hub datasets that are read, at their resolved commits."""
        return list(self.source.refs()) if self.source else []

    @property
    def content_key(self) -> str:
        """Hash of what is read besides, such as local files; `""` for nothing."""
        return self.source.content_key() if self.source else ""

    def expected(self, max_samples: int | None = None) -> dict[str, Any]:
        """What `collect` will give, as far as listings tell: sources, documents, bytes to read."""
        study = self.study
        documents: int | None
        download: int | None
        text: int | None = None
        if self.source is None:
            from xlt_hf.sources import almanac

            assert study.documents.almanac is not None
            documents, download = (
                almanac.size(study.languages.both(), study.seed, study.documents.almanac),
                0,
            )
        else:
            size = self.source.size()
            documents, download, text = size.documents, size.download_bytes, size.text_bytes
        if max_samples is not None:
            documents = min(max_samples, documents) if documents is not None else max_samples
        return {
            "sources": [f"{ref.repo_id} at {ref.revision}" for ref in self.refs] or [study.documents.source],
            "documents": documents,
            "download_bytes": download,
            "text_bytes": text,
        }

    def collect(
        self,
        folder: Path,
        max_samples: int | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> Collected:
        """All documents, checked, or the first `max_samples` of them.

        Args:
            folder: cache of collected sources; what is there from an earlier run is opened, not read again.
        """
        study = self.study
        if self.source is None:
            from xlt_hf.sources import almanac

            assert study.documents.almanac is not None
            pages = almanac.documents(study.languages.both(), study.seed, study.documents.almanac)
            table = DocumentTable.from_documents(pages[:max_samples], study.languages.both())
            return Collected(table, {}, None)
        from xlt_hf.study import as_dict

        name = collection_name(
            study.name,
            as_dict(study.documents),
            as_dict(study.languages),
            [(ref.repo_id, ref.revision) for ref in self.refs],
            self.content_key,
            max_samples,
        )
        collected = collect(
            self.source,
            study.languages.both(),
            folder / name,
            max_rejected=study.documents.max_rejected,
            max_document_bytes=study.documents.max_document_mib << 20,
            max_samples=max_samples,
            progress=progress,
        )
        if isinstance(self.source, Joined):
            return replace(collected, join=self.source.losses())
        return collected


class CandidateQuestions:
    """All candidate questions of one of the study's sources: pinned, not read before `read`.

    Args:
        study: says which source.
        name: key in its `questions`.
        api: client of the Hub that the source's datasets are on.

    Raises:
        SourceError: a dataset, a revision or a file is missing.
    """

    def __init__(self, study: "Study", name: str, api: "Callable[[], HfApi]") -> None:
        from xlt_hf.sources.pin import Pinned, pin

        self.study = study
        self.settings = study.questions[name]
        self._api = api
        if self.settings.source == "almanac":
            self._config, self.pinned = None, Pinned()
        else:
            self._config, self.pinned = pin(getattr(self.settings, self.settings.source), api())

    @property
    def refs(self) -> list[DatasetRef]:
        """Hub datasets that are read, at their commits."""
        return self.pinned.refs

    def read(
        self, max_questions: int | None = None, progress: Progress = lambda what, done, total: None
    ) -> QuestionBatch:
        """The questions, not split yet (unless the source prescribes it), `nearest_pages` empty.

        Args:
            max_questions: read at most so many, beside the study's own limit.
        """
        study, languages = self.study, self.study.languages.both()
        if self._config is None:
            from xlt_hf.sources import almanac

            assert study.documents.almanac is not None
            return almanac.read_questions(languages, study.seed, study.documents.almanac)
        limits = [n for n in (max_questions, self.settings.max_questions) if n is not None]
        module = importlib.import_module(f"xlt_hf.sources.{self.settings.source}")
        return module.read(self._config, languages, self._api(), min(limits) if limits else None, progress)


def _document_source(
    study: "Study", api: "Callable[[], HfApi]", scratch: Path | None
) -> DocumentSource | None:
    """The study's source; None for the almanac, which is generated in memory."""
    documents, languages = study.documents, study.languages.both()
    if documents.wiki_translate is not None and documents.source == "wiki_translate":
        from xlt_hf.sources.wiki_translate import WikiTranslate

        return WikiTranslate(documents.wiki_translate, languages, api())
    if documents.sangraha is not None and documents.source == "sangraha":
        from xlt_hf.sources.sangraha import Sangraha

        config = documents.sangraha
        source = Sangraha(config, languages, api())
        if scratch is None:
            return source
        refs = [(ref.repo_id, ref.revision) for ref in source.refs()]
        return Sangraha(
            config, languages, api(), scratch / collection_name(study.name, config, languages, refs)
        )
    if documents.xquad is not None and documents.source == "xquad":
        from xlt_hf.sources.xquad import Xquad

        return Xquad(documents.xquad, languages, api())
    if documents.files is not None and documents.source == "files":
        from xlt_hf.sources.files import UserFiles

        return UserFiles(documents.files, languages, api())
    return None
