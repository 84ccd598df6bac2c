# SPDX-License-Identifier: Apache-2.0
"""Where documents and questions come from: one module per source, one schema for all."""

from typing import TYPE_CHECKING

from xlt_hf.sources.schema import Document, Question

if TYPE_CHECKING:
    from xlt_hf.study import Study


def load_documents(study: "Study", max_samples: int | None = None) -> list[Document]:
    """The aligned documents D of a study, the first `max_samples` of them if given."""
    from xlt_hf.sources import almanac

    documents = almanac.documents(study.languages.both(), study.seed, study.documents.almanac)
    return documents[:max_samples]


def load_questions(study: "Study") -> list[Question]:
    """All candidate questions of a study, not split yet, `nearest_pages` empty."""
    from xlt_hf.sources import almanac

    return almanac.questions(study.languages.both(), study.seed, study.documents.almanac)
