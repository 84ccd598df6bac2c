# SPDX-License-Identifier: Apache-2.0
"""Tokens of each document of D, counted once and kept on disk a stretch at a time."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from xlt_hf.encoding import WORTH_CHECKING, Encoder, TokenizersEncoder, choose_encoder
from xlt_hf.sources.table import DocumentTable
from xlt_hf.tokenization import count_tokens

Progress = Callable[[str, int, int | None], None]
_EXCERPT = 20_000
STRETCH = 20_000
"""Documents that a killed run counts again at most."""


def count_document_tokens(
    tokenizer: Tokenizer,
    documents: DocumentTable,
    language: str,
    folder: Path,
    progress: Progress = lambda what, done, total: None,
) -> np.ndarray:
    """Tokens of each document in one language, the end token not counted.

    Args:
        folder: of these documents and this tokenizer alone; stretches that are there are not counted again.

    Returns:
        `int64[n]`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = documents.texts(language)
    stretches = []
    encoder: Encoder | None = None
    for start in range(0, len(documents), STRETCH):
        path = folder / f"{language}-{start:09d}.npy"
        if not path.exists():
            encoder = encoder or _encoder(tokenizer, documents, language)
            counts = count_tokens(tokenizer, texts[start : start + STRETCH], encoder)
            writing = path.with_suffix(".writing")
            with open(writing, "wb") as file:
                np.save(file, counts)
            os.replace(writing, path)
        stretches.append(np.load(path))
        progress(f"{language} documents counted", min(start + STRETCH, len(documents)), len(documents))
    return np.concatenate(stretches) if stretches else np.empty(0, np.int64)


def _encoder(tokenizer: Tokenizer, documents: DocumentTable, language: str) -> Encoder:
    """One for all stretches: the fast one remembers words, and is checked once."""
    if documents.text_bytes(language).sum() < WORTH_CHECKING:
        return TokenizersEncoder(tokenizer)
    rows = np.linspace(0, len(documents) - 1, 64, dtype=np.int64)
    texts = documents.texts(language)
    return choose_encoder(tokenizer, [texts[int(row)][:_EXCERPT] for row in np.unique(rows)])
