# SPDX-License-Identifier: Apache-2.0
"""Nearest pages: exact TF-IDF cosine top-k over the source-language texts (paper section 3.2.1, Table 5).

The index is a list of shards. A shard counts words in its own columns, named by 64-bit hashes; document
frequencies are summed over the shards, and a search goes shard by shard, so memory does not grow with D
where shards are kept on disk, and both steps are maps with an associative merge.

In a shard the inverse document frequency is folded into the query, so that documents are stored as plain
counts. Words that are common both in the shard and among the queries are scored by one dense matrix product,
the others by walking their postings: on encyclopedia-like text the few hundred commonest words make nine
tenths of all multiplications. The matrix product is in single precision, which is twice as fast; its error
is bounded, and the documents that could be among the best within that bound are scored again in double.
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
# No power of two: turning a matrix of that width round would fall on few cache sets, seven times slower.
_MAX_SHARD_DOCS = 32_000
_QUERY_BLOCK = 256
_MAX_DENSE_WORDS = 1_024
_CONNECT_SECONDS = 10
# A dense multiplication costs about a fiftieth of a posting: a word goes to the matrix product where
# (share of documents) x (share of queries) that have it is above this.
_DENSE_SHARE = 0.02


def _hash_terms(terms: Iterable[str]) -> np.ndarray:
    """64-bit names of words, ``uint64``: two of 10 million agree with a probability of 3 in a million."""
    digests = [hashlib.blake2b(t.encode("utf-8", "surrogatepass"), digest_size=8).digest() for t in terms]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


_SHARD_ARRAYS = ("terms", "indptr", "docs", "tf")


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

    def columns(self, columns: np.ndarray) -> sp.csc_matrix:
        """Counts ``[n_docs, len(columns)]`` of some of the words."""
        return self._counts()[:, columns]

    def documents(self, docs: np.ndarray, sublinear_tf: bool) -> sp.csr_matrix:
        """Term frequencies ``float64[len(docs), V]`` of some of the documents."""
        counts = self._counts()[docs].tocsr()
        return _reshaped(counts, _weigh(counts.data, sublinear_tf))

    def norms(self, idf: np.ndarray, sublinear_tf: bool) -> np.ndarray:
        """Euclidean norms of the documents' tf x idf, ``float64[n_docs]``; 1 for a document without words."""
        squares = _weigh(self.tf, sublinear_tf)
        squares *= squares
        norms = np.sqrt(_reshaped(self._counts(), squares) @ (idf * idf))
        norms[norms == 0] = 1.0
        return norms

    def _counts(self) -> sp.csc_matrix:
        # Set, not passed to the constructor, which would read all indices to check them again.
        matrix = sp.csc_matrix((self.n_docs, len(self.terms)), dtype=self.tf.dtype)
        matrix.data, matrix.indices, matrix.indptr = self.tf, self.docs, self.indptr
        return matrix

    def saved(self, folder: Path) -> SavedShard:
        """Write the shard's arrays to `folder`."""
        for name in _SHARD_ARRAYS:
            np.save(folder / f"{self.first:09d}.{name}.npy", getattr(self, name))
        return SavedShard(self.first, self.n_docs, folder)

    def open(self) -> Shard:
        return self


@dataclass(frozen=True)
class SavedShard:
    """A shard in files, mapped into memory only while someone holds what `open` returns."""

    first: int
    n_docs: int
    folder: Path

    def open(self) -> Shard:
        arrays = {
            name: np.load(self.folder / f"{self.first:09d}.{name}.npy", mmap_mode="r")
            for name in _SHARD_ARRAYS
        }
        return Shard(self.first, self.n_docs, **arrays)


def _weigh(tf: np.ndarray, sublinear_tf: bool, dtype: type = np.float64) -> np.ndarray:
    """Weights of counts of any shape; 0 stays 0."""
    weights: np.ndarray = tf.astype(dtype)
    if sublinear_tf:
        present = weights > 0
        np.log(weights, out=weights, where=present)
        weights += present
    return weights


def _reshaped(like: sp.spmatrix, data: np.ndarray) -> sp.spmatrix:
    """A matrix with the same non-zero places and other values, which scipy does not look through again."""
    matrix = type(like)(like.shape, dtype=data.dtype)
    matrix.data, matrix.indices, matrix.indptr = data, like.indices, like.indptr
    return matrix


def shard_from_counts(counts: sp.spmatrix, terms: np.ndarray, first: int) -> Shard:
    """A shard from a count matrix.

    Args:
        counts: Integer counts, sparse ``[n_docs, V]``.
        terms: Name of each column, unique, ``uint64[V]``.
        first: Row of D of the first document.
    """
    small = counts.nnz == 0 or counts.data.max() < 2**16
    by_word = counts.astype(np.uint16 if small else np.int32, copy=False).tocsc()
    if not np.all(terms[1:] > terms[:-1]):
        order = np.argsort(terms)
        by_word, terms = by_word[:, order], terms[order]
    # A word that no document has takes no place among the postings.
    seen = np.flatnonzero(np.diff(by_word.indptr))
    index = np.int32 if by_word.nnz < 2**31 else np.int64
    return Shard(
        first,
        by_word.shape[0],
        terms[seen],
        np.append(by_word.indptr[seen], by_word.nnz).astype(index, copy=False),
        by_word.indices.astype(index, copy=False),
        by_word.data,
    )


def _shard_of_rows(counts: sp.csr_matrix, terms: np.ndarray, first: int, size: int) -> Shard:
    start, stop = counts.indptr[first], counts.indptr[min(first + size, counts.shape[0])]
    indptr = counts.indptr[first : first + size + 1] - start
    data, indices = counts.data[start:stop], counts.indices[start:stop]
    rows = sp.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, counts.shape[1]))
    return shard_from_counts(rows, terms, first)


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
    at = np.searchsorted(terms, other_terms)
    known = np.zeros(len(at), bool)
    inside = at < len(terms)
    known[inside] = terms[at[inside]] == other_terms[inside]
    df = df.copy()
    df[at[known]] += other_df[known]
    if known.all():
        return terms, df
    return np.insert(terms, at[~known], other_terms[~known]), np.insert(df, at[~known], other_df[~known])


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

    def candidates(self, query: int, scores: np.ndarray, error: float) -> np.ndarray:
        """Documents that may be among the best, ascending.

        Args:
            scores: Scores of a shard's documents, ``float64[n]``, each within `error` of the true one, relative.
        """
        # A little lower, so that a tie with the k-th best is still weighed by rank.
        lowest = max((self.floor[query] - 1e-9) * (1.0 - error), 0.0)
        found = np.flatnonzero(scores > lowest)
        if len(found) > 2 * self.k:
            # Every 16th score tells about where the k-th best lies; to part all of them takes longer.
            sample = np.sort(scores[found[::16]])
            guess = sample[-min(len(sample), len(sample) * self.k * 5 // (len(found) * 4) + 8)]
            above = np.flatnonzero(scores > max(guess, lowest))
            some = scores[above if len(above) >= self.k else found]
            kth = np.partition(some, len(some) - self.k)[len(some) - self.k]
            found = np.flatnonzero(scores > max((kth * (1.0 - error) - 1e-9) * (1.0 - error), lowest))
        return found

    def add(self, query: int, rows: np.ndarray, scores: np.ndarray) -> None:
        """Offer documents by rows of D and true scores."""
        rows = np.concatenate([self.rows[query], rows])
        scores = np.concatenate([self.scores[query], np.round(scores, SCORE_DECIMALS)])
        if len(rows) >= self.k:
            kth = np.partition(scores, len(scores) - self.k)[len(scores) - self.k]
            self.floor[query] = max(self.floor[query], kth)
            best = np.flatnonzero(scores >= kth)
            if len(best) > 2 * self.k:
                best = self._ordered(rows, scores)
            rows, scores = rows[best], scores[best]
        self.rows[query], self.scores[query] = rows, scores

    def _ordered(self, rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
        return np.lexsort((self.rank[rows], -scores))[: self.k]

    def merge(self, other: _TopK) -> None:
        for query, (rows, scores) in enumerate(zip(other.rows, other.scores)):
            if len(rows):
                self.add(query, rows, scores)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        rows = np.full((len(self.rows), self.k), -1, np.int64)
        scores = np.zeros((len(self.rows), self.k))
        for query, (found, reached) in enumerate(zip(self.rows, self.scores)):
            best = self._ordered(found, reached)
            rows[query, : len(best)], scores[query, : len(best)] = found[best], reached[best]
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


@dataclass(frozen=True)
class _Head:
    """The words of a shard that are scored by a matrix product, first in single precision."""

    counts: np.ndarray  # [S, H], as the shard has them
    documents: np.ndarray  # float32[S, H], weights / norm
    weights: np.ndarray  # float64[Q, H]
    rough: np.ndarray  # float32[Q, H]
    norms: np.ndarray  # float64[S]
    sublinear_tf: bool

    @classmethod
    def of(
        cls, counts: sp.csc_matrix, weights: sp.csc_matrix, norms: np.ndarray, sublinear_tf: bool
    ) -> _Head:
        tf = np.ascontiguousarray(counts.toarray(order="F"))
        documents = _weigh(tf, sublinear_tf, np.float32)
        documents /= norms[:, None].astype(np.float32)
        exact = weights.toarray()
        return cls(tf, documents, exact, exact.astype(np.float32), norms, sublinear_tf)

    @property
    def error(self) -> float:
        """Bound of a rough score's relative error.

        All terms are positive, so that the roundings of H products and sums, of the queries' weights and of
        the documents' (a logarithm and a quotient) stay within (H + 8) x 2**-24 of the sum, whatever its
        order. Twice that covers the second order.
        """
        return (self.weights.shape[1] + 8) * float(np.finfo(np.float32).eps)

    def exact(self, query: int, docs: np.ndarray) -> np.ndarray:
        """Scores of some documents for one query, ``float64``."""
        return (_weigh(self.counts[docs], self.sublinear_tf) @ self.weights[query]) / self.norms[docs]


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
    head = _Head.of(shard.columns(columns[dense]), weights[:, dense], norms, sublinear_tf)
    rest = np.ones(len(columns), bool)
    rest[dense] = False
    postings = shard.columns(columns[rest])  # (S, V_rest)
    postings = _reshaped(postings, _weigh(postings.data, sublinear_tf))
    _sparsetools.csr_scale_columns(
        *postings.shape[::-1], postings.indptr, postings.indices, postings.data, 1.0 / norms
    )
    tail = weights[:, rest].tocsr()  # (Q, V_rest)

    block = np.empty((min(_QUERY_BLOCK, n_queries), shard.n_docs), np.float32)
    scores = np.empty(shard.n_docs)
    for start in range(0, n_queries, _QUERY_BLOCK):
        stop = min(start + _QUERY_BLOCK, n_queries)
        np.matmul(head.rough[start:stop], head.documents.T, out=block[: stop - start])  # (B, S)
        for query, rough in zip(range(start, stop), block):
            scores[:] = rough
            mine = slice(tail.indptr[query], tail.indptr[query + 1])
            _add_columns(scores, postings, tail.indices[mine], tail.data[mine])
            found = top.candidates(query, scores, head.error)
            if len(found):
                exact = scores[found] - rough[found] + head.exact(query, found)
                top.add(query, found + shard.first, exact)
    return top


def executor_context(executor: str) -> AbstractContextManager[Any]:
    """joblib backend by name: ``"local"``, or ``"dask://host:port"`` for a running Dask scheduler.

    Raises:
        UserError: Another name, Dask is not installed, or nobody answers at that address.
    """
    if executor == "local":
        return nullcontext()
    if not re.fullmatch(r"dask://[^/\s]+:\d+", executor):
        raise UserError(f"executor {executor!r}: expected 'local' or 'dask://host:port'")
    try:
        from distributed import Client
    except ImportError as error:
        raise UserError(f"executor {executor!r} needs Dask: pip install 'xlt_hf[dask]'") from error
    try:
        client = Client(
            f"tcp://{executor.removeprefix('dask://')}", set_as_default=True, timeout=_CONNECT_SECONDS
        )
    except OSError as error:
        raise UserError(
            f"executor {executor!r}: no Dask scheduler answered within {_CONNECT_SECONDS} seconds. Start one "
            "with `dask scheduler` and its workers with `dask worker`, or use 'local'."
        ) from error
    if not client.scheduler_info(n_workers=-1)["workers"]:
        client.close()
        raise UserError(
            f"executor {executor!r}: the Dask scheduler has no workers. Start some with "
            f"`dask worker {executor.removeprefix('dask://')}`."
        )
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
        shard_docs: Documents per shard; by default as many as the budget allows, at most 32,000.

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
        total = len(texts) if isinstance(texts, Sized) else None
        size = shard_docs or self._shard_docs(total)
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
        size = shard_docs or index._shard_docs(counts.shape[0])
        terms = np.arange(counts.shape[1], dtype=np.uint64)
        parallel = joblib.Parallel(
            n_jobs=index.n_jobs, prefer="threads", return_as="generator", pre_dispatch="n_jobs"
        )
        for shard in parallel(
            joblib.delayed(_shard_of_rows)(counts, terms, first, size)
            for first in range(0, counts.shape[0], size)
        ):
            index._append(shard)
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
        self.shards: list[Shard | SavedShard] = []
        self.terms, self.df = np.empty(0, np.uint64), np.empty(0, np.int64)
        self.n_docs = 0
        self._progress = progress
        self._spill_parent = spill_folder
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._held_bytes = 0

    def _shard_docs(self, total: int | None) -> int:
        """Documents whose dense words, scores and postings take a quarter of the budget over all workers.

        Fewer where the number of documents is known, so that every worker gets as many shards as the others.
        """
        per_doc = 8 * _MAX_DENSE_WORDS + 4 * _QUERY_BLOCK + 12 * 300
        workers = max(self.n_jobs, 1)
        most = int(np.clip(self.memory_budget_bytes // 4 // workers // per_doc, 256, _MAX_SHARD_DOCS))
        if not total:
            return most
        rounds = -(-total // (most * workers))
        return max(256, -(-total // (rounds * workers)))

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
            self.shards = [held.open().saved(folder) for held in self.shards]
        elif self._spill is not None:
            self.shards[-1] = shard.saved(Path(self._spill.name))

    def _measure(self) -> None:
        """Norms of all documents; they need the document frequencies of all shards."""
        parallel = joblib.Parallel(n_jobs=self.n_jobs, prefer="threads", pre_dispatch="n_jobs")
        opened = (shard.open() for shard in self.shards)
        self.norms: list[np.ndarray] = parallel(
            joblib.delayed(shard.norms)(self._idf_of(shard.terms), self.sublinear_tf) for shard in opened
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
            shard = self.shards[index].open()
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
            # Opened here, since a worker elsewhere does not see this machine's files.
            opened = (shard.open() for shard in self.shards)
            for part in parallel(
                search(shard, norms, queries, self.sublinear_tf, k, self.rank, floor)
                for shard, norms in zip(opened, self.norms)
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
