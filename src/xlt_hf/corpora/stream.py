# SPDX-License-Identifier: Apache-2.0
"""A filter's training rows: a virtual stream over token stores, cut every `seq_len` tokens, gathered at read time.

Each epoch puts the documents of all parts in one keyed order (paired between filters: two filters see their common
documents in the same order), an end token after each. Row i of the stream is found by a prefix sum and a binary
search, so the data set is map-style, resuming is exact, and document boundaries stay recoverable.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from xlt_hf.corpora.order import hash_keys
from xlt_hf.corpora.tokens import TokenShard, TokenStore
from xlt_hf.errors import UserError

_NAMES = 65_536


class PackedRows:
    """Rows of `seq_len` tokens over `epochs` passes; an `int -> {"input_ids", "labels"}` sequence.

    It holds 20 bytes a document (12M documents: 240 MB), and twice as many while it makes an epoch's order.

    Args:
        stores: the filter's parts, of both languages.
        seq_len: tokens per row.
        end_token: id put after each document.
        epochs: passes over the documents, each in a new keyed order.
        seed: key of the orders.
        max_rows: stop after so many rows, for a quick try.

    Raises:
        UserError: fewer tokens than one row.
    """

    def __init__(
        self,
        stores: Sequence[TokenStore],
        *,
        seq_len: int,
        end_token: int,
        epochs: int = 1,
        seed: int = 0,
        max_rows: int | None = None,
    ) -> None:
        self.stores = list(stores)
        self.seq_len = seq_len
        self.end_token = end_token
        self.epochs = epochs
        self.seed = seed
        self._shards = [shard for store in self.stores for shard in store.shards]
        sizes = [len(shard) for shard in self._shards]
        self._first = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        """Number of the first document of each shard, and of all documents at the end."""
        self._lengths = np.empty(int(self._first[-1]), dtype=np.int32)
        for shard, first in zip(self._shards, self._first.tolist(), strict=False):
            self._lengths[first : first + len(shard)] = np.diff(shard.offsets)
        self._lengths += 1
        self.tokens_per_epoch = int(self._lengths.sum(dtype=np.int64))
        self.rows = self.tokens_per_epoch * epochs // seq_len
        if max_rows is not None:
            self.rows = min(self.rows, max_rows)
        if self.rows == 0:
            raise UserError(
                f"{self.tokens_per_epoch} tokens in {len(self._lengths)} documents do not fill one row of {seq_len}: "
                "use more documents, more epochs or a lower pretraining.seq_len."
            )
        self._orders: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.rows

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(documents `int32[D]` in the epoch's order, their starts `int64[D + 1]` within the epoch)."""
        if epoch not in self._orders:
            keys = hash_keys(_names(self.stores), self.seed, purpose=f"epoch-{epoch}")
            documents = np.argsort(keys, kind="stable").astype(np.int32)
            del keys
            starts = np.zeros(len(documents) + 1, dtype=np.int64)
            np.cumsum(self._lengths[documents], out=starts[1:])
            # Rows are read in order, so at most two epochs are in use at a time.
            self._orders = {e: o for e, o in self._orders.items() if e >= epoch - 1}
            self._orders[epoch] = (documents, starts)
        return self._orders[epoch]

    def tokens(self, row: int) -> np.ndarray:
        """`int64[seq_len]`: one row."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        out = np.empty(self.seq_len, dtype=np.int64)
        filled = 0
        epoch, place = divmod(row * self.seq_len, self.tokens_per_epoch)
        while filled < self.seq_len:
            documents, starts = self.order(epoch)
            first = int(np.searchsorted(starts, place, side="right")) - 1
            # Documents are at least one token long, so no more than these can touch the row.
            last = int(np.searchsorted(starts, place + self.seq_len - filled, side="left"))
            chosen = documents[first:last]
            shards = np.searchsorted(self._first, chosen, side="right") - 1
            inside = place - int(starts[first])
            for shard_number, number in zip(
                shards.tolist(), (chosen - self._first[shards]).tolist(), strict=True
            ):
                shard = self._shards[shard_number]
                begin, end = shard.offsets[number : number + 2].tolist()
                text = shard.values[begin + inside : min(end, begin + inside + self.seq_len - filled)]
                out[filled : filled + len(text)] = text
                filled += len(text)
                if filled < self.seq_len:
                    out[filled] = self.end_token
                    filled += 1
                inside = 0
            epoch, place = epoch + 1, 0
        return out

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        tokens = self.tokens(row)
        return {"input_ids": tokens, "labels": tokens}


def _names(stores: Sequence[TokenStore]) -> Iterator[str]:
    """What an epoch's order hashes, `{language}:{doc_id}`, never all of them at once."""
    for store in stores:
        for shard in store.shards:
            for start in range(0, len(shard), _NAMES):
                for doc_id in _ids(shard, start):
                    yield f"{store.language}:{doc_id}"


def _ids(shard: TokenShard, start: int) -> Sequence[str]:
    if isinstance(shard.doc_ids, pa.Array):
        return shard.doc_ids.slice(start, _NAMES).to_pylist()
    return shard.doc_ids[start : start + _NAMES]
