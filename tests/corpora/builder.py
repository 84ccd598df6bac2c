# SPDX-License-Identifier: Apache-2.0
"""Small document sets and questions for the tests of the corpora."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlt_hf.corpora.build import Corpora, build_corpora
from xlt_hf.sources.schema import Document
from xlt_hf.sources.table import DocumentTable
from xlt_hf.study import Languages

LANGUAGES = Languages("en", "hi")


def documents(n: int, seed: int = 0, words: int = 40) -> DocumentTable:
    """`n` documents of random words and lengths."""
    draw = random.Random(seed)
    vocabulary = {
        "en": ["river", "king", "stone", "seven", "lamp"],
        "hi": ["नदी", "राजा", "पत्थर", "सात", "दीपक"],
    }

    def text(language: str) -> str:
        return " ".join(draw.choices(vocabulary[language], k=draw.randint(1, words)))

    return DocumentTable.from_documents(
        [
            Document(
                f"d-{i}",
                f"Page {i}",
                f"urn:{i}",
                {"en": f"{text('en')} {i}", "hi": f"{text('hi')} {i}"},
                {"en": f"Page {i}", "hi": f"पृष्ठ {i}"},
            )
            for i in range(n)
        ],
        LANGUAGES.both(),
    )


def question(i: int, near: Sequence[int]) -> dict[str, Any]:
    """A question on page i."""
    return {
        "id": f"q-{i}",
        "title": f"Page {i}",
        "nearest_pages": [f"Page {j}" for j in (i, *near)],
        "answer": {"en": ["river"], "hi": ["नदी"]},
    }


def word_counts(table: DocumentTable) -> dict[str, np.ndarray]:
    """Words of each document, for tokens."""
    return {
        language: np.array([len(text.split()) for text in table.texts(language)], np.int64)
        for language in LANGUAGES.both()
    }


def corpora(n: int = 60, seed: int = 0, validation: int = 2) -> Corpora:
    """Two test, two train and two control questions, one near page each."""
    table = documents(n, seed)
    questions = {
        "test": [question(0, [1]), question(2, [3])],
        "train": [question(4, [5]), question(6, [7])],
        "control": [question(8, []), question(9, [])],
    }
    return build_corpora(
        table, questions, word_counts(table), LANGUAGES, validation_documents=validation, seed=seed
    )
