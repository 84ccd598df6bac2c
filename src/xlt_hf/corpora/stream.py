# SPDX-License-Identifier: Apache-2.0
"""A filter's training rows: a virtual stream over token stores, cut every `seq_len` tokens, gathered at read time.

Each epoch puts the documents of all parts in one keyed order (paired between filters: two filters see their common
documents in the same order), an end token after each. Row i of the stream is found by a prefix sum and a binary
search, so the data set is map-style, resuming is exact, and document boundaries stay recoverable.
"""

from collections.abc import Sequence

import numpy as np

from xlt_hf.corpora.order import hash_keys
from xlt_hf.corpora.tokens import TokenStore
from xlt_hf.errors import UserError


class PackedRows:
    """Rows of `seq_len` tokens over `epochs` passes; an `int -> {"input_ids", "labels"}` sequence.

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
        self._store = np.concatenate([np.full(len(s), i, np.int32) for i, s in enumerate(self.stores)])
        self._doc = np.concatenate([np.arange(len(s), dtype=np.int64) for s in self.stores])
        lengths = np.concatenate([np.diff(s.offsets) for s in self.stores]) + 1
        self._names = [f"{s.language}:{doc_id}" for s in self.stores for doc_id in s.doc_ids]
        self.tokens_per_epoch = int(lengths.sum())
        self.rows = self.tokens_per_epoch * epochs // seq_len
        if max_rows is not None:
            self.rows = min(self.rows, max_rows)
        if self.rows == 0:
            raise UserError(
                f"{self.tokens_per_epoch} tokens in {len(self._names)} documents do not fill one row of {seq_len}: "
                "use more documents, more epochs or a lower pretraining.seq_len."
            )
        self._lengths = lengths
        self._orders: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        return self.rows

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(documents `int64[D]` in the epoch's order, their starts `int64[D + 1]` within the epoch)."""
        if epoch not in self._orders:
            keys = hash_keys(self._names, self.seed, purpose=f"epoch-{epoch}")
            documents = np.argsort(keys, kind="stable")
            starts = np.concatenate([[0], np.cumsum(self._lengths[documents])])
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
            position = int(np.searchsorted(starts, place, side="right")) - 1
            while filled < self.seq_len and position < len(documents):
                document = documents[position]
                store = self.stores[self._store[document]]
                begin = int(store.offsets[self._doc[document]])
                inside = place - int(starts[position])
                take = min(int(self._lengths[document]) - inside, self.seq_len - filled)
                text = store.values[
                    begin + inside : begin + min(inside + take, int(self._lengths[document]) - 1)
                ]
                out[filled : filled + len(text)] = text
                if take > len(text):
                    out[filled + take - 1] = self.end_token
                filled += take
                place += take
                position += 1
            epoch, place = epoch + 1, 0
        return out

    def __getitem__(self, row: int) -> dict[str, np.ndarray]:
        tokens = self.tokens(row)
        return {"input_ids": tokens, "labels": tokens}
