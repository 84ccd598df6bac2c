# SPDX-License-Identifier: Apache-2.0
"""Where documents and questions come from: one module per source, one schema for all."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xlt_hf.sources.collect import Collected, Progress, collect, collection_name
from xlt_hf.sources.schema import DatasetRef, Document, DocumentSource, Question
from xlt_hf.sources.table import DocumentTable

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from xlt_hf.study import Study

__all__ = ["Collected", "DatasetRef", "Document", "DocumentTable", "Documents", "Question"]


class Documents:
    """The documents D of a study: their source resolved, their texts not read before `collect`.

    Args:
        study: says which source.
        api: client of the Hub that the source's datasets are on.
    """

    def __init__(self, study: "Study", api: "Callable[[], HfApi]") -> None:
        self.study = study
        self.source = _document_source(study, api)

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
        if self.source is None:
            from xlt_hf.sources import almanac

            documents, download = (
                almanac.size(study.languages.both(), study.seed, study.documents.almanac),
                0,
            )
        else:
            size = self.source.size()
            documents, download = size.documents, size.download_bytes
        if max_samples is not None:
            documents = min(max_samples, documents) if documents is not None else max_samples
        return {
            "sources": [f"{ref.repo_id} at {ref.revision}" for ref in self.refs] or [study.documents.source],
            "documents": documents,
            "download_bytes": download,
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
        return collect(
            self.source,
            study.languages.both(),
            folder / name,
            max_rejected=study.documents.max_rejected,
            max_document_bytes=study.documents.max_document_mib << 20,
            max_samples=max_samples,
            progress=progress,
        )


def load_questions(study: "Study") -> list[Question]:
    """All candidate questions of a study, not split yet, `nearest_pages` empty."""
    from xlt_hf.sources import almanac

    return almanac.questions(study.languages.both(), study.seed, study.documents.almanac)


def _document_source(study: "Study", api: "Callable[[], HfApi]") -> DocumentSource | None:
    """The study's source; None for the almanac, which is generated in memory."""
    return None
