# SPDX-License-Identifier: Apache-2.0
"""Zipfian bilingual documents at any scale, for the benchmarks and for memory measurements.

Word ranks follow Zipf-Mandelbrot, p(r) ~ 1 / (r + 2.7)^1.07, document lengths a log-normal (median 300 words,
mean about 500, the shape of Wikipedia articles), and each document repeats a few topic words of its own, as
encyclopedia pages do: without that burstiness every page is equally far from every other.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

_ENGLISH = "abcdefghijklmnopqrstuvwxyz"
_HINDI = "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह"
_MATRAS = ("", "ा", "ि", "ी", "ु", "े", "ो", "ं")


def word_ranks(n_docs: int, *, vocabulary: int = 500_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Documents as word ranks: (ranks ``int32[n_words]``, offsets ``int64[n_docs + 1]``)."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(300), 1.0, n_docs), 8, 20_000).astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    cdf = np.cumsum(1.0 / (np.arange(vocabulary) + 2.7) ** 1.07)
    cdf /= cdf[-1]
    ranks = np.searchsorted(cdf, rng.random(offsets[-1], dtype=np.float32)).astype(np.int32)
    # One word in eight comes from the document's topic: 32 consecutive mid-frequency ranks.
    topic = np.repeat(rng.integers(1000, min(vocabulary - 32, 50_000), n_docs), lengths)
    on_topic = rng.random(offsets[-1], dtype=np.float32) < 0.125
    ranks[on_topic] = (topic + rng.integers(0, 32, offsets[-1]))[on_topic]
    return np.minimum(ranks, vocabulary - 1), offsets


def count_matrix(n_docs: int, *, vocabulary: int = 500_000, seed: int = 0) -> sp.csr_matrix:
    """Word counts ``int32[n_docs, vocabulary]`` of `word_ranks`, without going through text."""
    ranks, offsets = word_ranks(n_docs, vocabulary=vocabulary, seed=seed)
    counts = sp.csr_matrix((np.ones(len(ranks), np.int32), ranks, offsets), shape=(n_docs, vocabulary))
    counts.sum_duplicates()
    return counts


def _spell(rank: int, alphabet: str, marks: tuple[str, ...]) -> str:
    """A word for a rank, short for common ranks as in a natural language."""
    rank += len(alphabet)
    letters = []
    while rank:
        rank, letter = divmod(rank, len(alphabet))
        letters.append(alphabet[letter] + marks[(rank + letter) % len(marks)])
    return "".join(letters)


def documents(n_docs: int, *, vocabulary: int = 100_000, seed: int = 0) -> Iterator[dict[str, str]]:
    """Aligned documents ``{doc_id, title, en, hi}``, every word spelt in Latin letters and in Devanagari."""
    ranks, offsets = word_ranks(n_docs, vocabulary=vocabulary, seed=seed)
    english: dict[int, str] = {}
    hindi: dict[int, str] = {}
    for i in range(n_docs):
        words = ranks[offsets[i] : offsets[i + 1]].tolist()
        for rank in words:
            if rank not in english:
                english[rank] = _spell(rank, _ENGLISH, ("",))
                hindi[rank] = _spell(rank, _HINDI, _MATRAS)
        yield {
            "doc_id": f"z{i:08d}",
            "title": f"Page {i}",
            "en": " ".join(english[r] for r in words) + ".",
            "hi": " ".join(hindi[r] for r in words) + "।",
        }


def streamed_documents(
    n_docs: int, *, chunk: int = 2_000, vocabulary: int = 100_000, seed: int = 0
) -> Iterator[dict[str, str]]:
    """`documents` made `chunk` at a time, so that any number of them takes the memory of one chunk."""
    for first in range(0, n_docs, chunk):
        n = min(chunk, n_docs - first)
        for row, document in enumerate(documents(n, vocabulary=vocabulary, seed=seed + first), first):
            yield {**document, "doc_id": f"z{row:08d}", "title": f"Page {row}"}
