# SPDX-License-Identifier: Apache-2.0
"""Zipfian prose in Latin letters and Devanagari at any scale, for what reads texts: tokenising and loading.

The words are those of `zipfian.word_ranks`, spelt in syllables, so that common words are short (English: about 5 bytes
with its space, Hindi about 13, as in encyclopedias). They stand in sentences with capitals, commas, numbers and full
stops, and sentences in lines: an encoder and a splitter meet every kind of piece that prose has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tests.benchmarks.zipfian import word_ranks

_LATIN = [
    consonant + vowel for consonant in "bcdfghjklmnprstvwyz" for vowel in ("a", "e", "i", "o", "u", "ea")
]
_DEVANAGARI = [
    consonant + mark
    for consonant in "कखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह"
    for mark in ("", "ा", "ि", "ी", "ु", "े", "ो", "ं", "्य")
]
_ENDINGS = ("", "n", "s", "r", "t", "d", "ng", "l")


def documents(n_docs: int, *, vocabulary: int = 100_000, seed: int = 0) -> Iterator[dict[str, str]]:
    """Aligned documents ``{doc_id, title, en, hi}``."""
    ranks, offsets = word_ranks(n_docs, vocabulary=vocabulary, seed=seed)
    rng = np.random.default_rng(seed + 1)
    english: dict[int, str] = {}
    hindi: dict[int, str] = {}
    for i in range(n_docs):
        words = ranks[offsets[i] : offsets[i + 1]].tolist()
        for rank in words:
            if rank not in english:
                english[rank] = _spell(rank, _LATIN) + _ENDINGS[rank % len(_ENDINGS)]
                hindi[rank] = _spell(rank, _DEVANAGARI)
        sentences = _sentences(words, rng)
        yield {
            "doc_id": f"p{i:08d}",
            "title": f"Page {i}",
            "en": _write(sentences, english, ". ", capitals=True),
            "hi": _write(sentences, hindi, "। ", capitals=False),
        }


def _spell(rank: int, syllables: Sequence[str]) -> str:
    """A word for a rank: one syllable for the commonest, two or three for others."""
    spelt = []
    rank += 1
    while rank:
        rank, syllable = divmod(rank, len(syllables))
        # Neighbouring ranks should not look alike.
        spelt.append(syllables[syllable * 37 % len(syllables)])
    return "".join(spelt)


def _sentences(ranks: list[int], rng: np.random.Generator) -> list[tuple[list[int | str], bool]]:
    """Word ranks, numbers and commas by sentence, and whether a line ends behind it."""
    sentences: list[tuple[list[int | str], bool]] = []
    start = 0
    while start < len(ranks):
        length = int(rng.integers(8, 24))
        sentence: list[int | str] = list(ranks[start : start + length])
        if length > 14:
            sentence.insert(length // 2, ",")
        if rng.random() < 0.4:
            sentence.append(str(int(rng.integers(1, 2100))))
        sentences.append((sentence, bool(rng.random() < 0.2)))
        start += length
    return sentences


def _write(
    sentences: list[tuple[list[int | str], bool]], words: dict[int, str], stop: str, *, capitals: bool
) -> str:
    parts = []
    for sentence, ends_line in sentences:
        text = " ".join(words[word] if isinstance(word, int) else word for word in sentence).replace(
            " ,", ","
        )
        parts.append((text[:1].upper() + text[1:] if capitals else text) + stop)
        if ends_line:
            parts[-1] = parts[-1].rstrip() + "\n"
    return "".join(parts).rstrip()
