# SPDX-License-Identifier: Apache-2.0
"""Keyed hashes of document ids: the paired order of the corpora, and every seeded draw.

A draw by the smallest hashes is a function of the id and the seed alone, so that adding or removing documents
moves few others; a generator's stream would reshuffle all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

_CHUNK = 65_536


def _strings(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in lists of at most `_CHUNK`, so that 6M ids never stand as Python objects at once."""
    if hasattr(ids, "to_pylist") and hasattr(ids, "slice"):  # a pyarrow array or column
        for start in range(0, len(ids), _CHUNK):  # type: ignore[arg-type]
            yield ids.slice(start, _CHUNK).to_pylist()
        return
    iterator = iter(ids)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def hash_keys(ids: Iterable[str], seed: int, purpose: str = "order") -> np.ndarray:
    """Keyed 8-byte BLAKE2b of each id.

    Args:
        ids: Any iterable of strings, a pyarrow string column included (read in slices, not as one list).
        seed: The study's seed.
        purpose: Separates independent draws made with the same seed.

    Returns:
        ``uint64[n]``, the same on every machine and for every order of the ids.
    """
    base = hashlib.blake2b(digest_size=8, key=f"xlt_hf:{purpose}:{seed}".encode()[:64])
    parts = []
    for chunk in _strings(ids):
        digests = []
        for text in chunk:
            state = base.copy()
            state.update(text.encode("utf-8", "surrogatepass"))
            digests.append(state.digest())
        parts.append(np.frombuffer(b"".join(digests), dtype="<u8"))
    return np.concatenate(parts).astype(np.uint64, copy=False) if parts else np.empty(0, np.uint64)


def _ids_at(ids: Sequence[str], rows: np.ndarray) -> list[str]:
    return [str(ids[int(row)]) for row in rows]


def paired_order(doc_ids: Sequence[str], seed: int) -> np.ndarray:
    """The one order of the documents at every filter (DESIGN.md, "Paired order").

    Two corpora that share documents see them in the same relative order, because the order of two documents
    depends on their ids and the seed only.

    Args:
        doc_ids: Unique ids, ``n`` of them.
        seed: The study's seed.

    Returns:
        ``int64[n]``: rows of D in reading order (a permutation, as `numpy.argsort` gives it).

    Raises:
        ValueError: An id occurs twice.
    """
    keys = hash_keys(doc_ids, seed)
    order = np.argsort(keys, kind="stable")
    tied = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
    start = 0
    while start < len(tied):  # at 6M documents an equal hash has a chance of one in a million
        stop = start
        while stop + 1 < len(tied) and tied[stop + 1] == tied[stop] + 1:
            stop += 1
        rows = order[tied[start] : tied[stop] + 2]
        ids = _ids_at(doc_ids, rows)
        if len(set(ids)) < len(ids):
            twice = next(i for i in ids if ids.count(i) > 1)
            raise ValueError(f"doc_id {twice!r} occurs more than once; document ids must be unique")
        order[tied[start] : tied[stop] + 2] = rows[sorted(range(len(ids)), key=ids.__getitem__)]
        start = stop + 1
    return order
