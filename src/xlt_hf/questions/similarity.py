# SPDX-License-Identifier: Apache-2.0
"""Nearest pages: exact TF-IDF cosine top-k over the source-language texts (paper section 3.2.1, Table 5).

The index is a list of shards. A shard counts words in its own columns, named by 64-bit hashes; document
frequencies are summed over the shards, and a search goes shard by shard, so memory does not grow with D
where shards are kept on disk, and both steps are maps with an associative merge.

In a shard the inverse document frequency is folded into the query and the norm into the result, so that
documents are stored as plain counts. Words that are common both in the shard and among the queries are
scored by one dense
matrix product, the others by walking their postings: on encyclopedia-like text the few hundred commonest
words make nine tenths of all multiplications.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import regex
import scipy.sparse as sp
from scipy.sparse import _sparsetools
from sklearn.feature_extraction.text import CountVectorizer
from threadpoolctl import threadpool_limits

from xlt_hf.errors import UserError

Words = Literal["letters_marks", "sklearn"]
Progress = Callable[[str, int, int | None], None]

WORDS: dict[str, Callable[[str], list[str]]] = {
    "letters_marks": regex.compile(r"[\p{L}\p{M}\p{N}]+").findall,
    # CountVectorizer's default, for parity with the paper: it cuts Devanagari words at their vowel signs and
    # drops words of one character. `re`, because `regex` counts marks as word characters.
    "sklearn": re.compile(r"(?u)\b\w\w+\b").findall,
}

# Ties must not depend on the order of a sum, which differs between shardings by some 1e-16.
SCORE_DECIMALS = 10

DEFAULT_MEMORY_BUDGET = 8 * 2**30
_MAX_SHARD_DOCS = 32_768
_QUERY_BLOCK = 128
_MAX_DENSE_WORDS = 1_024
# A dense multiplication costs a thirtieth to a fiftieth of a posting: a word goes to the matrix product where
# (share of documents) x (share of queries) that have it is above this.
_DENSE_SHARE = 0.02


def _hash_terms(terms: Iterable[str]) -> np.ndarray:
    """64-bit names of words, ``uint64``: two of 10 million agree with a probability of 3 in a million."""
    digests = [hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=8).digest() for t in terms]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


@dataclass(frozen=True)
class Shard:
    """Word counts of a run of documents, by word: the postings.

    Attributes:
        first: Row of D of the first document.
        n_docs: Documents in the shard.
        terms: Word hashes, ascending, ``uint64[V]``.
        indptr: Start of each word's postings, ``int32[V + 1]`` (``int64`` from 2**31 postings on).
        docs: Documents of the postings, relative to `first`, in the same dtype.
        tf: Counts of the postings, ``uint16`` (``int32`` where one does not fit).
    """

    first: int
    n_docs: int
    terms: np.ndarray
    indptr: np.ndarray
    docs: np.ndarray
    tf: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.terms.nbytes + self.indptr.nbytes + self.docs.nbytes + self.tf.nbytes

    def df(self) -> np.ndarray:
        """Documents of the shard that have each word, ``int64[V]``."""
        return np.diff(self.indptr)

    def columns(self, columns: np.ndarray, sublinear_tf: bool) -> sp.csc_matrix:
        """Term frequencies ``float64[n_docs, len(columns)]`` of some of the words."""
        counts = self._counts()[:, columns]
        return _reshaped(counts, _weigh(counts.data, sublinear_tf))

    def documents(self, docs: np.ndarray, sublinear_tf: bool) -> sp.csr_matrix:
        """Term frequencies ``float64[len(docs), V]`` of some of the documents."""
        wanted, inverse = np.unique(docs, return_inverse=True)
        place = np.full(self.n_docs, -1, np.int32)
        place[wanted] = np.arange(len(wanted))
        rows = place[self.docs]
        at = np.flatnonzero(rows >= 0)
        word = np.searchsorted(self.indptr, at, side="right") - 1
        tf = _weigh(self.tf[at], sublinear_tf)
        return sp.csr_matrix((tf, (rows[at], word)), shape=(len(wanted), len(self.terms)))[inverse]

    def norms(self, idf: np.ndarray, sublinear_tf: bool) -> np.ndarray:
        """Euclidean norms of the documents' tf x idf, ``float64[n_docs]``; 1 for a document without words."""
        squares = np.repeat(idf, self.df())
        squares *= _weigh(self.tf, sublinear_tf)
        squares *= squares
        norms = np.sqrt(np.bincount(self.docs, weights=squares, minlength=self.n_docs))
        norms[norms == 0] = 1.0
        return norms

    def _counts(self) -> sp.csc_matrix:
        # Set, not passed to the constructor, which would read all indices to check them again.
        matrix = sp.csc_matrix((self.n_docs, len(self.terms)), dtype=self.tf.dtype)
        matrix.data, matrix.indices, matrix.indptr = self.tf, self.docs, self.indptr
        return matrix

    def saved(self, folder: Path) -> Shard:
        """The same shard with its arrays memory-mapped from `folder`."""
        mapped = {}
        for name in ("terms", "indptr", "docs", "tf"):
            path = folder / f"{self.first:09d}.{name}.npy"
            np.save(path, getattr(self, name))
            mapped[name] = np.load(path, mmap_mode="r")
        return Shard(self.first, self.n_docs, **mapped)


def _weigh(tf: np.ndarray, sublinear_tf: bool) -> np.ndarray:
    weights = tf.astype(np.float64)
    if sublinear_tf:
        np.log(weights, out=weights)
        weights += 1.0
    return weights


def _reshaped(like: sp.csc_matrix, data: np.ndarray) -> sp.csc_matrix:
    """A matrix with the same non-zero places and other values, which scipy does not look through again."""
    matrix = sp.csc_matrix(like.shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, like.indices, like.indptr
    return matrix


def shard_from_counts(counts: sp.spmatrix, terms: np.ndarray, first: int) -> Shard:
    """A shard from a count matrix.

    Args:
        counts: Integer counts, sparse ``[n_docs, V]``.
        terms: Name of each column, unique, ``uint64[V]``.
        first: Row of D of the first document.
    """
    by_word = counts.tocsc()
    if not np.all(terms[1:] > terms[:-1]):
        order = np.argsort(terms)
        by_word, terms = by_word[:, order], terms[order]
    seen = np.diff(by_word.indptr) > 0
    if not seen.all():
        by_word, terms = by_word[:, seen], terms[seen]
    small = by_word.nnz == 0 or by_word.data.max() < 2**16
    index = np.int32 if by_word.nnz < 2**31 else np.int64
    return Shard(
        first,
        by_word.shape[0],
        terms,
        by_word.indptr.astype(index, copy=False),
        by_word.indices.astype(index, copy=False),
        by_word.data.astype(np.uint16 if small else np.int32, copy=False),
    )


def count_words(texts: list[str], first: int, words: Words) -> Shard:
    """Vectorise a run of documents."""
    vectoriser = CountVectorizer(
        tokenizer=WORDS[words],
        token_pattern=None,
        lowercase=True,
        dtype=np.int32,
    )
    # The extra document keeps CountVectorizer from refusing a shard without words.
    counts = vectoriser.fit_transform([*texts, "zz"])[:-1]
    return shard_from_counts(counts, _hash_terms(vectoriser.get_feature_names_out()), first)


def _merge_df(
    terms: np.ndarray, df: np.ndarray, other_terms: np.ndarray, other_df: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    union, where = np.unique(np.concatenate([terms, other_terms]), return_inverse=True)
    return union, np.bincount(where, weights=np.concatenate([df, other_df])).astype(np.int64)


@dataclass(frozen=True)
class _Queries:
    """Query vectors ``weights[Q, V_q]`` (tf x idf^2 / norm, so with the documents' idf) and their words."""

    terms: np.ndarray  # uint64[V_q], ascending
    weights: sp.csc_matrix


class _TopK:
    """The best `k` of each query over the shards seen so far; ties go to the smaller rank.

    `floor[q]` is a score that at least k documents reach. Threads share it: whoever raises it spares the
    others documents that cannot be among the best, and a lost race costs a little work, never a result.
    """

    def __init__(self, k: int, rank: np.ndarray, floor: np.ndarray) -> None:
        self.k, self.rank, self.floor = k, rank, floor
        self.rows = [np.empty(0, np.int64)] * len(floor)
        self.scores = [np.empty(0)] * len(floor)

    def add(self, query: int, rows: np.ndarray, scores: np.ndarray) -> None:
        self.rows[query] = np.concatenate([self.rows[query], rows])
        self.scores[query] = np.concatenate([self.scores[query], scores])
        if len(self.rows[query]) > 2 * self.k:
            self._compact(query)

    def offer(self, query: int, first: int, scores: np.ndarray) -> None:
        """Scores ``float64[n]`` of the documents from row `first` on."""
        floor = self.floor[query]
        # Just under the floor, so that a tie with the k-th best is still weighed by rank.
        found = np.flatnonzero(scores > (floor - 1e-9 if floor > 0 else 0.0))
        if len(found) > 2 * self.k:
            some = scores[found]
            kth = np.partition(some, len(some) - self.k)[len(some) - self.k]
            found = found[some > kth - 1e-9]
            self.floor[query] = max(self.floor[query], kth - 1e-9)
        if len(found):
            self.add(query, found + first, np.round(scores[found], SCORE_DECIMALS))

    def _compact(self, query: int) -> None:
        rows, scores = self.rows[query], self.scores[query]
        best = np.lexsort((self.rank[rows], -scores))[: self.k]
        self.rows[query], self.scores[query] = rows[best], scores[best]
        if len(best) == self.k:
            self.floor[query] = max(self.floor[query], self.scores[query][-1])

    def merge(self, other: _TopK) -> None:
        for query, (rows, scores) in enumerate(zip(other.rows, other.scores)):
            self.add(query, rows, scores)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(self.rows), self.k), -1, np.int64)
        scores = np.zeros((len(self.rows), self.k))
        for query in range(len(self.rows)):
            self._compact(query)
            n = len(self.rows[query])
            rows[query, :n], scores[query, :n] = self.rows[query], self.scores[query]
        return rows, scores


def _add_columns(row: np.ndarray, postings: sp.csc_matrix, columns: np.ndarray, weights: np.ndarray) -> None:
    """``row += postings[:, columns] @ weights``; to copy the columns would take longer than to add them.

    scipy's kernel reads column j from ``indptr[j]`` to ``indptr[j + 1]``. With the columns in falling order,
    an `indptr` of their starts and ends in turn has the wanted columns at even places and, at odd places,
    runs that end before they begin, which it skips.

    Args:
        row: Scores to add to, ``float64[S]``, contiguous.
        columns: Ascending and unique.
    """
    if not len(columns):
        return
    falling = columns[::-1]
    ends = np.empty(2 * len(columns), postings.indptr.dtype)
    ends[0::2], ends[1::2] = postings.indptr[falling], postings.indptr[falling + 1]
    factors = np.zeros(len(ends) - 1)
    factors[0::2] = weights[::-1]
    _sparsetools.csc_matvec(len(row), len(factors), ends, postings.indices, postings.data, factors, row)


def _search_shard(
    shard: Shard,
    norms: np.ndarray,
    queries: _Queries,
    sublinear_tf: bool,
    k: int,
    rank: np.ndarray,
    floor: np.ndarray,
) -> _TopK:
    """The best `k` documents of one shard for every query, by cosine."""
    top = _TopK(k, rank, floor)
    if not len(shard.terms):
        return top
    # The queries' words that the shard has, in the shard's columns.
    at = np.minimum(np.searchsorted(shard.terms, queries.terms), len(shard.terms) - 1)
    known = shard.terms[at] == queries.terms
    columns, weights = at[known], queries.weights[:, known]
    n_queries = weights.shape[0]

    gain = (shard.df()[columns] / shard.n_docs) * (np.diff(weights.indptr) / n_queries)
    dense = np.flatnonzero(gain > _DENSE_SHARE)
    if len(dense) > _MAX_DENSE_WORDS:
        dense = np.sort(np.argsort(-gain, kind="stable")[:_MAX_DENSE_WORDS])
    head = shard.columns(columns[dense], sublinear_tf).toarray(order="F")  # (S, H)
    head_weights = weights[:, dense].toarray()  # (Q, H)
    rest = np.ones(len(columns), bool)
    rest[dense] = False
    postings = shard.columns(columns[rest], sublinear_tf)  # (S, V_rest)
    tail = weights[:, rest].tocsr()  # (Q, V_rest)

    for start in range(0, n_queries, _QUERY_BLOCK):
        stop = min(start + _QUERY_BLOCK, n_queries)
        scores = head_weights[start:stop] @ head.T  # (B, S)
        for query, row in zip(range(start, stop), scores):
            mine = slice(tail.indptr[query], tail.indptr[query + 1])
            _add_columns(row, postings, tail.indices[mine], tail.data[mine])
            row /= norms
            top.offer(query, shard.first, row)
    return top


def executor_context(executor: str) -> AbstractContextManager[Any]:
    """joblib backend by name: ``"local"``, or ``"dask://host:port"`` for a running Dask scheduler.

    Raises:
        UserError: Another name, or Dask is not installed.
    """
    if executor == "local":
        return nullcontext()
    if not executor.startswith("dask://"):
        raise UserError(f"executor {executor!r}: expected 'local' or 'dask://host:port'")
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(f"executor {executor!r} needs Dask: pip install 'xlt_hf[dask]'") from error
    client = Client(f"tcp://{executor.removeprefix('dask://')}", set_as_default=True)
    return _DaskExecutor(client)


class _DaskExecutor(AbstractContextManager["_DaskExecutor"]):
    """joblib on a Dask client, which is closed at the end."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def __enter__(self) -> _DaskExecutor:
        self.config = joblib.parallel_config(backend="dask")
        self.config.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.config.__exit__(*error)
        self.client.close()


def _batches(texts: Iterable[str], size: int) -> Iterator[tuple[int, list[str]]]:
    first, iterator = 0, iter(texts)
    while batch := list(islice(iterator, size)):
        yield first, batch
        first += len(batch)


class TfidfIndex:
    """An exact TF-IDF index, built once and searched for any rows (see `nearest` for what a search returns).

    Weights are sklearn's `TfidfTransformer` defaults: raw (or ``1 + log``) term frequency times
    ``ln((1 + n) / (1 + df)) + 1``, rows of length 1.

    Args:
        texts: Source-language text of every document of D, read once, in D's order.
        ids: ``doc_id`` of each document, for ties; ``None`` breaks ties by row.
        memory_budget_bytes: Bytes that the index and a search may hold. An index larger than half of it is
            kept in files under `spill_folder`, memory-mapped.
        words: ``"letters_marks"``: runs of letters, marks and numbers, any length; ``"sklearn"``: its
            default.
        sublinear_tf: Replace a count by ``1 + ln(count)`` (the paper does not say; sklearn's default is
            False).
        n_jobs: Parallel workers, as joblib counts them (``-1``: all cores); a Dask cluster uses all it has.
        executor: ``"local"`` or ``"dask://host:port"``.
        progress: Called as ``progress(stage, done, total)``, documents for ``"count words"`` (total unknown
            where `texts` has no length) and shards for ``"search"``.
        spill_folder: Where a large index goes; the system's temporary folder by default.
        shard_docs: Documents per shard; by default as many as the budget allows, at most 32,768.

    Raises:
        ValueError: `ids` and `texts` differ in number.
    """

    def __init__(
        self,
        texts: Iterable[str],
        *,
        ids: Sequence[str] | None = None,
        memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET,
        words: Words = "letters_marks",
        sublinear_tf: bool = False,
        n_jobs: int = 1,
        executor: str = "local",
        progress: Progress | None = None,
        spill_folder: str | os.PathLike[str] | None = None,
        shard_docs: int | None = None,
    ) -> None:
        if words not in WORDS:
            raise ValueError(f"words must be one of {', '.join(WORDS)}, not {words!r}")
        self._configure(memory_budget_bytes, sublinear_tf, n_jobs, executor, progress, spill_folder)
        size = shard_docs or self._shard_docs()
        total = len(texts) if isinstance(texts, Sized) else None
        done = 0
        with executor_context(executor):
            # A generator over a few tasks at a time: D never stands in memory as text.
            parallel = joblib.Parallel(n_jobs=self.n_jobs, return_as="generator", pre_dispatch="2*n_jobs")
            for shard in parallel(
                joblib.delayed(count_words)(batch, first, words) for first, batch in _batches(texts, size)
            ):
                self._append(shard)
                done += shard.n_docs
                self._report("count words", done, total)
            self._measure()
        self._set_ids(ids)

    @classmethod
    def from_counts(
        cls,
        counts: sp.csr_matrix,
        *,
        ids: Sequence[str] | None = None,
        memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET,
        sublinear_tf: bool = False,
        n_jobs: int = 1,
        executor: str = "local",
        progress: Progress | None = None,
        spill_folder: str | os.PathLike[str] | None = None,
        shard_docs: int | None = None,
    ) -> TfidfIndex:
        """An index of a word-count matrix ``int[n_docs, V]`` that another vectoriser has made."""
        index = cls.__new__(cls)
        index._configure(memory_budget_bytes, sublinear_tf, n_jobs, executor, progress, spill_folder)
        size = shard_docs or index._shard_docs()
        terms = np.arange(counts.shape[1], dtype=np.uint64)
        for first in range(0, counts.shape[0], size):
            index._append(shard_from_counts(counts[first : first + size], terms, first))
        index._measure()
        index._set_ids(ids)
        return index

    def _configure(
        self,
        memory_budget_bytes: int,
        sublinear_tf: bool,
        n_jobs: int,
        executor: str,
        progress: Progress | None,
        spill_folder: str | os.PathLike[str] | None,
    ) -> None:
        self.memory_budget_bytes = memory_budget_bytes
        self.sublinear_tf = sublinear_tf
        self.n_jobs = joblib.effective_n_jobs(n_jobs) if executor == "local" else -1
        self.executor = executor
        self.shards: list[Shard] = []
        self.terms, self.df = np.empty(0, np.uint64), np.empty(0, np.int64)
        self.n_docs = 0
        self._progress = progress
        self._spill_parent = spill_folder
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._held_bytes = 0

    def _shard_docs(self) -> int:
        """Documents whose dense words, scores and postings take a quarter of the budget over all workers."""
        per_doc = 8 * (_MAX_DENSE_WORDS + _QUERY_BLOCK) + 12 * 300
        return int(
            np.clip(self.memory_budget_bytes // 4 // max(self.n_jobs, 1) // per_doc, 256, _MAX_SHARD_DOCS)
        )

    def _report(self, stage: str, done: int, total: int | None) -> None:
        if self._progress is not None:
            self._progress(stage, done, total)

    def _append(self, shard: Shard) -> None:
        self.terms, self.df = _merge_df(self.terms, self.df, shard.terms, shard.df())
        self.n_docs += shard.n_docs
        self._held_bytes += shard.nbytes
        self.shards.append(shard)
        if self._spill is None and self._held_bytes > self.memory_budget_bytes // 2:
            self._spill = tempfile.TemporaryDirectory(prefix="xlt_hf-tfidf-", dir=self._spill_parent)
            folder = Path(self._spill.name)
            self.shards = [held.saved(folder) for held in self.shards]
        elif self._spill is not None:
            self.shards[-1] = shard.saved(Path(self._spill.name))

    def _measure(self) -> None:
        """Norms of all documents; they need the document frequencies of all shards."""
        parallel = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads")
        self.norms: list[np.ndarray] = parallel(
            joblib.delayed(shard.norms)(self._idf_of(shard.terms), self.sublinear_tf) for shard in self.shards
        )

    def _set_ids(self, ids: Sequence[str] | None) -> None:
        if ids is None:
            self.rank = np.arange(self.n_docs, dtype=np.int32)
            return
        if len(ids) != self.n_docs:
            raise ValueError(f"{len(ids)} ids for {self.n_docs} documents")
        names = ids if isinstance(ids, pa.Array | pa.ChunkedArray) else pa.array(ids, pa.large_string())
        self.rank = np.empty(self.n_docs, np.int32)
        self.rank[np.asarray(pc.sort_indices(names))] = np.arange(self.n_docs, dtype=np.int32)

    def _idf_of(self, terms: np.ndarray) -> np.ndarray:
        df = self.df[np.searchsorted(self.terms, terms)]
        return np.log((1.0 + self.n_docs) / (1.0 + df)) + 1.0

    def _query_vectors(self, rows: np.ndarray) -> _Queries:
        """Vectors of documents of D, in the order of `rows`."""
        starts = np.array([shard.first for shard in self.shards])
        home = np.searchsorted(starts, rows, side="right") - 1
        blocks, terms, order = [], [], []
        for index in np.unique(home):
            shard = self.shards[index]
            mine = np.flatnonzero(home == index)
            picked = shard.documents(rows[mine] - shard.first, self.sublinear_tf)
            used = np.unique(picked.indices)
            blocks.append(picked[:, used].tocoo())
            terms.append(np.asarray(shard.terms)[used])
            order.append(mine)
        union = np.unique(np.concatenate(terms)) if terms else np.empty(0, np.uint64)
        at_row = [mine[block.row] for mine, block in zip(order, blocks)]
        at_term = [np.searchsorted(union, names)[block.col] for names, block in zip(terms, blocks)]
        tf = sp.csr_matrix(
            (
                np.concatenate([block.data for block in blocks]) if blocks else np.empty(0),
                (
                    np.concatenate(at_row) if blocks else np.empty(0, np.int64),
                    np.concatenate(at_term) if blocks else np.empty(0, np.int64),
                ),
            ),
            shape=(len(rows), len(union)),
        )
        idf = self._idf_of(union)
        weights = tf.multiply(idf).tocsr()
        norms = np.sqrt(np.asarray(weights.multiply(weights).sum(axis=1)).ravel())
        norms[norms == 0] = 1.0
        weights = sp.diags_array(1.0 / norms) @ weights.multiply(idf)
        return _Queries(union, sp.csc_matrix(weights))

    def nearest(self, query_rows: np.ndarray, top_k: int) -> tuple[np.ndarray, np.ndarray]:
        """The documents nearest to documents of D; see the function `nearest`."""
        rows = np.asarray(query_rows, dtype=np.int64).ravel()
        if top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}")
        if rows.size and (rows.min() < 0 or rows.max() >= self.n_docs):
            raise ValueError(f"query rows from {rows.min()} to {rows.max()}; D has {self.n_docs} documents")
        if not rows.size:
            return np.empty((0, top_k), np.int64), np.empty((0, top_k))
        k = min(top_k, self.n_docs)
        queries = self._query_vectors(rows)
        floor = np.zeros(len(rows))
        top = _TopK(k, self.rank, floor)
        done = 0
        with threadpool_limits(1, user_api="blas"), executor_context(self.executor):
            # Threads: products and walks over postings release the interpreter lock, and no shard is copied.
            parallel = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads", return_as="generator_unordered")
            search = joblib.delayed(_search_shard)
            for part in parallel(
                search(shard, norms, queries, self.sublinear_tf, k, self.rank, floor)
                for shard, norms in zip(self.shards, self.norms)
            ):
                top.merge(part)
                done += 1
                self._report("search", done, len(self.shards))
        found, scores = top.result()
        found, scores = _self_first(rows, found, scores)
        if k < top_k:
            pad = ((0, 0), (0, top_k - k))
            found, scores = np.pad(found, pad, constant_values=-1), np.pad(scores, pad)
        return found, scores

    def close(self) -> None:
        """Delete the files of a large index."""
        self.shards = []
        if self._spill is not None:
            self._spill.cleanup()
            self._spill = None


def _self_first(rows: np.ndarray, found: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each query's own document in front, with the score that it has (1; 0 where it has no words)."""
    is_self = found == rows[:, None]
    has_words = scores[:, 0] > 0  # a document with words is at least as near as itself
    # Its own place moves to the front; where k others tie with it, the last place is given up.
    place = np.where(is_self.any(axis=1), is_self.argmax(axis=1), found.shape[1] - 1)
    columns = np.arange(found.shape[1])[None, :]
    source = np.where(columns == 0, place[:, None], np.where(columns <= place[:, None], columns - 1, columns))
    found, scores = np.take_along_axis(found, source, 1), np.take_along_axis(scores, source, 1)
    found[:, 0] = rows
    scores[:, 0] = np.where(has_words, 1.0, 0.0)
    return found, scores


def nearest(
    texts: Iterable[str],
    query_rows: np.ndarray,
    top_k: int,
    *,
    ids: Sequence[str] | None = None,
    memory_budget_bytes: int = DEFAULT_MEMORY_BUDGET,
    words: Words = "letters_marks",
    sublinear_tf: bool = False,
    n_jobs: int = 1,
    executor: str = "local",
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The `top_k` documents nearest to pages of D by TF-IDF cosine, each page's own text being the query.

    The page itself comes first (paper Table 5: "Persephone" is the first of its own nearest pages); the
    others by falling score, and by ``doc_id`` where scores agree to 1e-10. Documents that share no word with
    the page (score 0) are nobody's neighbours. Arguments as for `TfidfIndex`, which is to be used where
    several searches go over one D.

    Args:
        texts: Source-language text of every document.
        query_rows: Rows of the pages, ``int[Q]``.
        top_k: Documents per page, the page included (paper: 1000).

    Returns:
        ``rows`` (``int64[Q, top_k]``, ``-1`` where fewer documents share a word with the page) and ``scores``
        (``float64[Q, top_k]``, 0 there).
    """
    index = TfidfIndex(
        texts,
        ids=ids,
        memory_budget_bytes=memory_budget_bytes,
        words=words,
        sublinear_tf=sublinear_tf,
        n_jobs=n_jobs,
        executor=executor,
        progress=progress,
    )
    try:
        return index.nearest(query_rows, top_k)
    finally:
        index.close()
