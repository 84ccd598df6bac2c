# SPDX-License-Identifier: Apache-2.0
"""Tokens of a corpus part: flat `uint16` or `uint32` values with document offsets, memory-mapped.

A part is tokenised once; the five filters are unions of parts and need no second copy (DESIGN.md, Training). It lies
in a folder of shards, each one Arrow file with one record batch of two columns, `doc_id` and `ids`. The list column
*is* the flat values with offsets, so both are read from the map without a copy; values, offsets, ids and dtype cannot
part company as three files can; and one rename makes a shard complete, so that a killed run loses at most the shard
that it was making and the next one goes on behind the last.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from xlt_hf.encoding import WORTH_CHECKING, Encoder, TokenizersEncoder, choose_encoder
from xlt_hf.errors import UserError

logger = logging.getLogger(__name__)

SHARD_TOKENS = 1 << 25
"""A shard ends with the batch of documents that reaches so many tokens: 64 MiB of `uint16`."""
_SLICE = 64
_BATCH_CHARS = 4 << 20
"""Texts are read a slice of rows at a time and encoded so many characters at a time."""
_SAMPLED = 64


class TokenStoreError(UserError):
    """A token folder is damaged, or holds something else than was asked for."""


@dataclass(frozen=True)
class TokenShard:
    """Tokens of consecutive documents.

    Attributes:
        values (`uint16[T]` or `uint32[T]`): token ids of all documents, end tokens not included.
        offsets (`int64[D + 1]`): document d is `values[offsets[d]:offsets[d + 1]]`.
        doc_ids: the documents' ids, in order; an Arrow column where they come from a file.
    """

    values: np.ndarray
    offsets: np.ndarray
    doc_ids: Sequence[str] | pa.Array

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, row: int) -> np.ndarray:
        """Token ids of one document."""
        return self.values[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class TokenStore:
    """Tokens of the documents of one part, shard after shard."""

    shards: Sequence[TokenShard]
    language: str

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    @property
    def tokens(self) -> int:
        """Token ids in all, end tokens not included."""
        return sum(int(shard.offsets[-1] - shard.offsets[0]) for shard in self.shards)


def tokenise_part(
    tokenizer: Tokenizer,
    doc_ids: Sequence[str],
    texts: Sequence[str],
    language: str,
    folder: Path,
    *,
    unit: str = "document",
    shard_tokens: int = SHARD_TOKENS,
    encoder: Encoder | None = None,
) -> TokenStore:
    """Tokenise documents into `folder`, or open what is there already.

    Both sequences are read in slices of a few hundred rows, from the first that no finished shard holds: lists,
    columns of a `datasets.Dataset` or anything else that slices. The same rows give the same bytes, interrupted
    or not.

    Args:
        unit: `document`, or `paragraph` for each line of a document on its own, its id the document's with `#n`.
        encoder: use this one; otherwise `choose_encoder` decides, where there is enough text to be worth it.

    Raises:
        TokenStoreError: `folder` was made from other rows or with another tokenizer.
    """
    made_of = {"tokenizer": _fingerprint(tokenizer), "unit": unit, "language": language}
    headers = _headers(folder)
    total = len(doc_ids)
    for header in headers:
        found = {key: header[key] for key in made_of}
        if found != made_of or header["total"] != total:
            raise TokenStoreError(
                f"{folder} holds tokens of {header['total']} documents made of {found}, but {total} documents made of "
                f"{made_of} are asked for. Delete the folder; it is made again."
            )
    row = headers[-1]["stop"] if headers else 0
    if row < total or not headers:
        folder.mkdir(parents=True, exist_ok=True)
        encoder = encoder or _encoder_for(tokenizer, texts)
        dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
        number = len(headers)
        while row < total or number == 0:
            start = row
            shard, row = _next_shard(encoder, doc_ids, texts, row, unit, shard_tokens, np.dtype(dtype))
            header = {"first": start, "stop": row, "total": total, **made_of}
            _write(shard, header, folder / f"{number:05d}.arrow")
            logger.info("%s: %d of %d documents tokenised with %s.", folder.name, row, total, encoder.name)
            number += 1
    return open_part(folder, language)


def open_part(folder: Path, language: str) -> TokenStore:
    """Memory-map a part that `tokenise_part` wrote.

    Raises:
        TokenStoreError: a shard is damaged or missing, or the part was never finished.
    """
    headers = _headers(folder)
    if not headers or headers[-1]["stop"] != headers[-1]["total"]:
        done = f"{headers[-1]['stop']} of {headers[-1]['total']}" if headers else "no"
        raise TokenStoreError(
            f"{folder} is not finished: it holds {done} documents. Run the same command again."
        )
    return TokenStore([_shard(_batch(path)) for path in _files(folder)], language)


def _encoder_for(tokenizer: Tokenizer, texts: Sequence[str]) -> Encoder:
    first = texts[:_SAMPLED]
    size = sum(len(text.encode()) for text in first) / max(len(first), 1) * len(texts)
    if size < WORTH_CHECKING:
        return TokenizersEncoder(tokenizer)
    spread = [texts[row] for row in np.linspace(0, len(texts) - 1, _SAMPLED).astype(int).tolist()]
    return choose_encoder(tokenizer, [text[:20_000] for text in spread])


def _next_shard(
    encoder: Encoder,
    doc_ids: Sequence[str],
    texts: Sequence[str],
    row: int,
    unit: str,
    shard_tokens: int,
    dtype: np.dtype,
) -> tuple[TokenShard, int]:
    """One shard from document `row` on, and the row behind it.

    It ends where a batch ends, and batches are counted from its beginning: where it ends depends on the rows alone.
    """
    names: list[pa.Array] = []
    values: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    tokens = 0
    while row < len(doc_ids) and tokens < shard_tokens:
        ids, batch = _read(doc_ids, texts, row)
        row += len(ids)
        if unit == "paragraph":
            ids, batch = _paragraphs(ids, batch)
        encoded, offsets = encoder.encode(batch)
        names.append(pa.array(ids, pa.string()))
        values.append(encoded.astype(dtype))
        lengths.append(np.diff(offsets))
        tokens += len(encoded)
    ends = np.cumsum(np.concatenate([[0], *lengths]), dtype=np.int64)
    merged = np.concatenate([np.empty(0, dtype), *values])
    return TokenShard(merged, ends, pa.concat_arrays(names) if names else pa.array([], pa.string())), row


def _read(doc_ids: Sequence[str], texts: Sequence[str], row: int) -> tuple[list[str], list[str]]:
    """Ids and texts of a batch of documents from `row` on."""
    ids: list[str] = []
    batch: list[str] = []
    chars = 0
    while row < len(doc_ids) and chars < _BATCH_CHARS:
        ids += doc_ids[row : row + _SLICE]
        more = texts[row : row + _SLICE]
        batch += more
        chars += sum(map(len, more))
        row += _SLICE
    return ids, batch


def _paragraphs(ids: Sequence[str], texts: Sequence[str]) -> tuple[list[str], list[str]]:
    lines = [
        (f"{doc_id}#{n}", line)
        for doc_id, text in zip(ids, texts, strict=True)
        for n, line in enumerate(text.split("\n"))
        if line
    ]
    return [name for name, _ in lines], [line for _, line in lines]


def _fingerprint(tokenizer: Tokenizer) -> str:
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16]


def _write(shard: TokenShard, header: dict[str, Any], path: Path) -> None:
    ids = pa.LargeListArray.from_arrays(pa.array(shard.offsets), pa.array(shard.values))
    table = pa.record_batch([shard.doc_ids, ids], names=["doc_id", "ids"])
    schema = table.schema.with_metadata({"xlt_hf": json.dumps(header, sort_keys=True)})
    building = path.with_name(f"{path.name}.building-{os.getpid()}")
    with open(building, "wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(table.replace_schema_metadata(schema.metadata))
        file.flush()
        os.fsync(file.fileno())
    # Where two processes make the same part, the bytes are the same and either rename may win.
    os.replace(building, path)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))


def _reader(path: Path) -> pa.RecordBatchFileReader:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path)))
    except (pa.ArrowInvalid, OSError) as error:
        raise TokenStoreError(f"{path} is damaged ({error}). Delete the file; it is made again.") from error


def _headers(folder: Path) -> list[dict[str, Any]]:
    """What the shards say about themselves, in order; checked to follow each other."""
    headers = [json.loads(_reader(path).schema.metadata[b"xlt_hf"]) for path in _files(folder)]
    expected = 0
    for number, (path, header) in enumerate(zip(_files(folder), headers, strict=True)):
        if path.name != f"{number:05d}.arrow" or header["first"] != expected:
            raise TokenStoreError(
                f"{folder} is damaged: {path.name} begins with document {header['first']}, not {expected}. "
                "Delete the folder; it is made again."
            )
        expected = header["stop"]
    return headers


def _batch(path: Path) -> pa.RecordBatch:
    reader = _reader(path)
    try:
        batch = reader.get_batch(0)
        batch.validate()
    except (pa.ArrowInvalid, OSError) as error:
        raise TokenStoreError(f"{path} is damaged ({error}). Delete the file; it is made again.") from error
    return batch


def _shard(batch: pa.RecordBatch) -> TokenShard:
    ids = batch.column("ids")
    return TokenShard(
        ids.values.to_numpy(zero_copy_only=True),
        ids.offsets.to_numpy(zero_copy_only=True),
        batch.column("doc_id"),
    )
