# SPDX-License-Identifier: Apache-2.0
"""Learn BPE merges from counted pieces: the vocabulary of `tokenizers`' `BpeTrainer`, in less time.

`BpeTrainer` normalises and splits every occurrence of every word, with an alignment for each byte, and that is most
of its time. Here words are counted first, in Arrow, and only the distinct ones are normalised and split, by the same
`tokenizers` normaliser and pre-tokenizer. Pairs are then merged in numpy, the commonest first, ties by the lower ids,
as `BpeTrainer` does; counts are 64 bits wide, so that nothing overflows (tokenizers#2058). Where characters must be
dropped from the alphabet, ties go to the lower code point; `BpeTrainer` decides them by chance.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tokenizers import Tokenizer

from xlt_hf.encoding import DOUBLE_SPACE, SPACES

_BATCH_CHARS = 8 << 20
_MERGE_COUNTS_AT = 1 << 22
_ENDS_IN_SPACE = f"^$|{SPACES}$"
"""The last word of a text: what another word behind it would change the pieces of."""


@dataclass(frozen=True)
class Learnt:
    """What was learnt from a sample.

    Attributes:
        tokens: characters by code point, then the merged tokens in the order in which they were learnt.
        merges: pairs of tokens, the first to be merged first.
        commonest: the adjacent characters that occur most often in the sample, added up in floating point, which
            does not run over as integers do; several where they tie.
    """

    tokens: list[str]
    merges: list[tuple[str, str]]
    commonest: list[tuple[str, str]]


def count_pieces(pipeline: Tokenizer, texts: Iterable[str]) -> dict[str, int]:
    """Occurrences of each piece, normalised, that no token crosses.

    A text is cut at its single spaces and equal words are counted before they are normalised and split. That is exact
    where a piece holds a space at its beginning only, as in all splittings of `xlt_hf.tokenization`: then the text
    between two such cuts gives the same pieces wherever it stands. Texts with other spaces beside a space are split
    whole.

    Args:
        pipeline: its normaliser and pre-tokenizer are used.
    """
    pieces: dict[str, int] = {}
    rest: list[pa.Table] = []
    waiting = 0
    for batch in text_batches(texts):
        column = pa.array(batch, pa.large_string())
        uneven = pc.match_substring_regex(column, DOUBLE_SPACE)
        for text in column.filter(uneven).to_pylist():
            _add(pieces, ((piece, 1) for piece in _split(pipeline, text)))
        words = pc.split_pattern(column.filter(pc.invert(uneven)), " ")
        flat = words.values
        starts = words.offsets.to_numpy()[:-1]
        begins = np.zeros(len(flat), dtype=bool)
        begins[starts] = True
        first = flat.take(pa.array(starts)).value_counts()
        for word, number in zip(
            first.field("values").to_pylist(), first.field("counts").to_pylist(), strict=True
        ):
            _add(pieces, ((piece, number) for piece in _split(pipeline, word)))
        counted = flat.filter(pa.array(~begins)).value_counts()
        rest.append(pa.table({"word": counted.field("values"), "n": counted.field("counts")}))
        waiting += len(counted)
        if waiting > _MERGE_COUNTS_AT:
            rest = [_summed(rest)]
            waiting = len(rest[0])
    counted = (
        _summed(rest)
        if rest
        else pa.table({"word": pa.array([], pa.large_string()), "n": pa.array([], pa.int64())})
    )
    last = pc.match_substring_regex(counted.column("word"), _ENDS_IN_SPACE)
    for word, number in zip(*(c.to_pylist() for c in counted.filter(last).columns), strict=True):
        _add(pieces, ((piece, number) for piece in _split(pipeline, f" {word}")))
    for chunk in counted.filter(pc.invert(last)).to_batches(max_chunksize=4096):
        # A text like those that the words come from; each of its spaces begins the pieces of one word.
        joined = "".join(f" {word}" for word in chunk.column("word").to_pylist())
        split = _split(pipeline, joined)
        numbers = chunk.column("n").to_numpy()[np.cumsum([piece[0] == " " for piece in split]) - 1]
        _add(pieces, zip(split, numbers.tolist(), strict=True))
    return pieces


def text_batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists that are large enough to be worth a call, and small enough to hold."""
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _split(pipeline: Tokenizer, text: str) -> list[str]:
    normal = pipeline.normalizer.normalize_str(text)
    return [piece for piece, _ in pipeline.pre_tokenizer.pre_tokenize_str(normal)]


def _add(pieces: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    for piece, number in more:
        pieces[piece] = pieces.get(piece, 0) + number


def _summed(tables: list[pa.Table]) -> pa.Table:
    summed = pa.concat_tables(tables).group_by("word", use_threads=False).aggregate([("n", "sum")])
    return summed.rename_columns(["word", "n"])


def learn(pieces: Mapping[str, int], size: int, limit_alphabet: int) -> Learnt:
    """Merge the commonest pair of neighbours until there are `size` tokens.

    Args:
        pieces: piece -> occurrences.
        size: characters and merged tokens in all.
        limit_alphabet: characters at most, the commonest; others are passed over.
    """
    # The order of the pieces does not matter to any count; sorting makes the memory's layout the same too.
    names = sorted(pieces)
    counts = np.array([pieces[name] for name in names], dtype=np.int64)
    points = np.frombuffer("".join(names).encode("utf-32-le"), dtype="<u4")
    word = np.repeat(np.arange(len(names), dtype=np.int32), [len(name) for name in names])
    alphabet = _alphabet(points, counts[word], limit_alphabet)
    kept = np.isin(points, alphabet)
    state = _Pairs(np.searchsorted(alphabet, points[kept]).astype(np.int32), word[kept], counts)
    tokens = [chr(point) for point in alphabet.tolist()]
    commonest = [(tokens[left], tokens[right]) for left, right in state.commonest()]
    merges: list[tuple[str, str]] = []
    while len(tokens) < size and (pair := state.pop()) is not None:
        left, right, places = pair
        state.merge(left, right, len(tokens), places)
        merges.append((tokens[left], tokens[right]))
        tokens.append(tokens[left] + tokens[right])
    # Each merge is made wherever its pair stands, so a string is put together in one way only.
    assert len(set(tokens)) == len(tokens)
    return Learnt(tokens, merges, commonest)


def _alphabet(points: np.ndarray, weights: np.ndarray, limit: int) -> np.ndarray:
    """The `limit` commonest code points, ascending."""
    found, inverse = np.unique(points, return_inverse=True)
    total = np.zeros(len(found), dtype=np.int64)
    np.add.at(total, inverse, weights)
    return np.sort(found[np.lexsort((found, -total))[:limit]])


class _Pairs:
    """Neighbouring symbols of all pieces, with how often each pair occurs and where.

    Pieces are chains in flat arrays: `symbol[p]` at place p (-1: merged into a symbol before), `after[p]` and
    `before[p]` its neighbours' places (-1: none). A pair is one integer, `left << 32 | right`.
    """

    def __init__(self, symbols: np.ndarray, word: np.ndarray, counts: np.ndarray) -> None:
        places = np.arange(len(symbols), dtype=np.int32)
        same = word[1:] == word[:-1]
        self.symbol = symbols.astype(np.int64)
        self.after = np.full(len(symbols), -1, dtype=np.int32)
        self.after[:-1][same] = places[1:][same]
        self.before = np.full(len(symbols), -1, dtype=np.int32)
        self.before[1:][same] = places[:-1][same]
        self.word = word
        self.counts = counts
        self.pair_counts: dict[int, int] = {}
        self.queue: list[tuple[int, int]] = []
        self.entries: dict[int, np.ndarray] = {}
        left = places[self.after >= 0]
        self._raise(self._keys(left), left, counts[word[left]])

    def _keys(self, left: np.ndarray) -> np.ndarray:
        """Pairs that begin at the places `left`."""
        return self.symbol[left] << 32 | self.symbol[self.after[left]]

    def commonest(self) -> list[tuple[int, int]]:
        """The pairs that stand most often, by a count of their own."""
        left = np.flatnonzero(self.after >= 0)
        if not len(left):
            return []
        found, inverse = np.unique(self._keys(left), return_inverse=True)
        total = np.bincount(inverse, weights=self.counts[self.word[left]].astype(np.float64))
        return [(key >> 32, key & 0xFFFFFFFF) for key in found[total == total.max()].tolist()]

    def pop(self) -> tuple[int, int, np.ndarray] | None:
        """The commonest pair and the places of its left symbols; None where no pair is left."""
        while self.queue:
            negative, key = self.queue[0]
            current = self.pair_counts[key]
            if -negative != current:
                heapq.heapreplace(self.queue, (-current, key))
                continue
            heapq.heappop(self.queue)
            if current < 1:
                return None
            return key >> 32, key & 0xFFFFFFFF, self.entries.pop(key)
        return None

    def merge(self, left: int, right: int, token: int, places: np.ndarray) -> None:
        """Put `token` for each `left right` that still stands at `places`."""
        symbol, after, before = self.symbol, self.after, self.before
        second = after[places]
        stands = (symbol[places] == left) & (second >= 0) & (symbol[second] == right)
        places, second = places[stands], second[stands]
        if left == right:
            chosen = _every_other(places, second)
            places, second = places[chosen], second[chosen]
        if not len(places):
            return
        previous, following = before[places], after[second]
        # Neighbours that are merged in this very step: left right left right.
        touching = previous[1:] == second[:-1]
        inner = places[:-1][touching]
        on_left, on_right = previous >= 0, following >= 0
        if len(inner):
            on_left[1:] &= ~touching
            on_right[:-1] &= ~touching
        at_left, at_right = previous[on_left], places[on_right]
        before_it, behind_it = symbol[at_left] << 32, symbol[following[on_right]]
        lowered, raised = [before_it | left, right << 32 | behind_it], [before_it | token]
        where = [at_left, at_right]
        symbol[places] = token
        symbol[second] = -1
        after[places] = following
        follows = following >= 0
        before[following[follows]] = places[follows]
        # Behind a run of merges stands what stood there; within it, the token itself.
        raised.append(token << 32 | behind_it)
        if len(inner):
            lowered.append(np.full(len(inner), right << 32 | left))
            raised.append(np.full(len(inner), token << 32 | token))
            where.append(inner)
        touched = np.concatenate(where)
        weights = self.counts[self.word[touched]]
        self._lower(np.concatenate(lowered), weights)
        self._raise(np.concatenate(raised), touched, weights)

    def _lower(self, keys: np.ndarray, weights: np.ndarray) -> None:
        if len(keys):
            order, starts = _groups(keys)
            totals = np.add.reduceat(weights[order], starts)
            counts = self.pair_counts
            for key, total in zip(keys[order[starts]].tolist(), totals.tolist(), strict=True):
                counts[key] -= total

    def _raise(self, keys: np.ndarray, places: np.ndarray, weights: np.ndarray) -> None:
        """Queue new pairs; each is new, since one of its symbols is."""
        if len(keys):
            order, starts = _groups(keys)
            totals = np.add.reduceat(weights[order], starts).tolist()
            found = keys[order[starts]].tolist()
            self.pair_counts.update(zip(found, totals, strict=True))
            ordered = places[order]
            ends = [*starts[1:].tolist(), len(ordered)]
            for key, total, start, end in zip(found, totals, starts.tolist(), ends, strict=True):
                self.entries[key] = ordered[start:end]
                heapq.heappush(self.queue, (-total, key))


def _groups(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(order that puts equal keys together, in the order in which they stand; where each group starts in it)."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    return order, np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])


def _every_other(places: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of overlapping pairs in a run of one symbol, the first, third, …, as merging from the left takes them."""
    joined = np.zeros(len(places), dtype=bool)
    joined[1:] = places[1:] == second[:-1]
    number = np.arange(len(places))
    start = np.maximum.accumulate(np.where(joined, 0, number))
    return (number - start) % 2 == 0
