# SPDX-License-Identifier: Apache-2.0
"""Collect a source's rows into memory-mapped Arrow files: every row checked, every bad one counted and kept aside.

One piece of the source is one file. A file appears under its name only when it is whole, so that a killed run
goes on with the piece it was at and ends with the same bytes.
"""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xlt_hf.corpora.order import hash_keys
from xlt_hf.errors import UserError
from xlt_hf.sources.schema import DOCUMENT_COLUMNS, DocumentSource
from xlt_hf.sources.table import SCHEMA, DocumentTable

logger = logging.getLogger(__name__)

REASONS = (
    "wrong_type",
    "not_utf8",
    "no_id",
    "no_title",
    "empty_source_text",
    "empty_target_text",
    "too_long",
    "duplicate_id",
    "duplicate_title",
)
"""Why a row is rejected; of several reasons the first counts."""

_REQUIRED = {
    "doc_id": "no_id",
    "title": "no_title",
    "source_text": "empty_source_text",
    "target_text": "empty_target_text",
}
_BATCH_BYTES = 32 << 20
_EARLY_LOOK = 10_000
_EXCERPT = 200

Progress = Callable[[str, int, int | None], None]
"""Called as (what, done, total)."""


class TooManyRejected(UserError):
    """More of a source's rows are bad than the study allows."""


@dataclass(frozen=True)
class Collected:
    """The documents of a study, and what was rejected on the way."""

    table: DocumentTable
    rejected: Mapping[str, int]
    """Reason -> rows."""
    rejected_folder: Path | None
    """Where the rejected rows lie, a JSON line each."""
    join: Mapping[str, int] = field(default_factory=dict)
    """What a join of two datasets kept and lost, in rows."""

    def counts(self) -> dict[str, Any]:
        """For the manifest and the card."""
        return {
            **({"join": dict(self.join)} if self.join else {}),
            "documents_read": len(self.table) + sum(self.rejected.values()),
            "rejected": dict(self.rejected),
        }


def check_row(row: Mapping[str, Any], max_bytes: int) -> tuple[dict[str, str], str]:
    """A raw row as text, and the reason for rejecting it, `""` for a good one.

    Args:
        row: values for `DOCUMENT_COLUMNS`: str, UTF-8 bytes, None, or anything that stood in the source.
        max_bytes: most bytes of either text.
    """
    clean: dict[str, str] = {}
    for name in DOCUMENT_COLUMNS:
        value = row.get(name)
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8")
            except UnicodeDecodeError:
                return clean, "not_utf8"
        elif isinstance(value, str):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:  # a lone surrogate
                return clean, "not_utf8"
        elif value is None:
            value = ""
        elif name == "doc_id" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        else:
            return clean, "wrong_type"
        clean[name] = value
    for name, reason in _REQUIRED.items():
        if not clean[name].strip():
            return clean, reason
    if max(len(clean[name].encode()) for name in ("source_text", "target_text")) > max_bytes:
        return clean, "too_long"
    return clean, ""


class _Seen:
    """Hashes of the values seen so far, sorted `uint64`: 48 MB for 6M of them."""

    def __init__(self, purpose: str) -> None:
        self.purpose = purpose
        self.known = np.empty(0, np.uint64)
        self.fresh: set[int] = set()

    def add(self, value: str) -> bool:
        """Whether the value is new."""
        key = int(hash_keys([value], 0, self.purpose)[0])
        if key in self.fresh:
            return False
        place = int(np.searchsorted(self.known, np.uint64(key)))
        if place < len(self.known) and int(self.known[place]) == key:
            return False
        self.fresh.add(key)
        return True

    def settle(self) -> None:
        """At the end of a piece: from the set to the sorted array."""
        self.extend(np.fromiter(self.fresh, np.uint64, len(self.fresh)))
        self.fresh = set()

    def extend(self, keys: np.ndarray) -> None:
        self.known = np.union1d(self.known, keys)


def collect(
    source: DocumentSource,
    languages: Sequence[str],
    folder: Path,
    *,
    max_rejected: float,
    max_document_bytes: int,
    max_samples: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Collected:
    """Read a source into `folder`, or open what is there already.

    Args:
        source: where the rows come from.
        languages: (source, target) codes.
        folder: of this source, this configuration and these revisions alone.
        max_rejected: largest share of rows that may be bad.
        max_document_bytes: most UTF-8 bytes of one text.
        max_samples: stop after so many good rows.

    Raises:
        TooManyRejected: with the numbers by reason and where the rows lie.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seen_ids, seen_titles = _Seen("doc_id"), _Seen("title")
    rejected: Counter[str] = Counter()
    files: list[Path] = []
    kept = 0
    shards = source.shards()
    total = source.size().documents if max_samples is None else max_samples
    for number, shard in enumerate(shards):
        if max_samples is not None and kept >= max_samples:
            break
        path = folder / f"{number:05d}.arrow"
        counts_path = folder / f"{number:05d}.json"
        if counts_path.exists():  # written last
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
            seen_ids.extend(hash_keys(table["doc_id"], 0, "doc_id"))
            seen_titles.extend(hash_keys(table["title"], 0, "title"))
            rejected.update(json.loads(counts_path.read_text()))
            kept += table.num_rows
        else:
            room = None if max_samples is None else max_samples - kept

            def shard_progress(n: int, before: int = kept) -> None:
                progress("documents", before + n, total)

            n, bad = _collect_shard(
                source.read(shard),
                shard,
                path,
                seen_ids,
                seen_titles,
                max_document_bytes,
                room,
                shard_progress,
            )
            seen_ids.settle()
            seen_titles.settle()
            rejected.update(bad)
            kept += n
            _write_whole(counts_path, json.dumps(dict(bad)).encode())
        files.append(path)
        progress("documents", kept, total)
        if kept + sum(rejected.values()) >= _EARLY_LOOK:
            _check_share(rejected, kept, max_rejected, folder)
    _check_share(rejected, kept, max_rejected, folder)
    if rejected:
        logger.warning("Rejected %s; kept aside in %s.", _listed(rejected), folder)
    return Collected(
        DocumentTable.open(files, languages), {r: rejected[r] for r in REASONS if rejected[r]}, folder
    )


def _collect_shard(
    rows: Iterator[Mapping[str, Any]],
    shard: str,
    path: Path,
    seen_ids: _Seen,
    seen_titles: _Seen,
    max_bytes: int,
    room: int | None,
    progress: Callable[[int], None],
) -> tuple[int, Counter[str]]:
    """One piece into one file; returns the good rows and the bad ones by reason."""
    bad: Counter[str] = Counter()
    kept = 0
    batch: list[dict[str, str]] = []
    size = 0
    writing, rejects = path.with_suffix(".writing"), path.with_suffix(".rejected.jsonl")
    with (
        pa.OSFile(str(writing), "wb") as sink,
        pa.ipc.new_file(sink, SCHEMA) as writer,
        open(rejects, "w", encoding="utf-8") as reject_file,
    ):
        for number, row in enumerate(rows):
            if room is not None and kept >= room:
                break
            clean, reason = check_row(row, max_bytes)
            if not reason and not seen_ids.add(clean["doc_id"]):
                reason = "duplicate_id"
            elif not reason and not seen_titles.add(clean["title"]):
                reason = "duplicate_title"
            if reason:
                bad[reason] += 1
                entry = {"shard": shard, "row": number, "reason": reason, "values": _excerpt(row)}
                reject_file.write(json.dumps(entry, ensure_ascii=True) + "\n")
                continue
            batch.append(clean)
            kept += 1
            size += len(clean["source_text"]) + len(clean["target_text"])
            if size >= _BATCH_BYTES:
                writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
                progress(kept)
                batch, size = [], 0
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, SCHEMA))
    if not bad:
        rejects.unlink()
    os.replace(writing, path)
    return kept, bad


def _excerpt(row: Mapping[str, Any]) -> dict[str, str]:
    """Enough of a bad row to find it again; whole texts would double the corpus."""
    shown = {}
    for name in DOCUMENT_COLUMNS:
        value = row.get(name)
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
        shown[name] = text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}… ({len(text)} characters)"
    return shown


def _write_whole(path: Path, data: bytes) -> None:
    writing = path.with_suffix(path.suffix + ".writing")
    with open(writing, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(writing, path)


def _listed(rejected: Mapping[str, int]) -> str:
    return ", ".join(f"{rejected[reason]:,} {reason}" for reason in REASONS if rejected.get(reason))


def _check_share(rejected: Mapping[str, int], kept: int, max_rejected: float, folder: Path) -> None:
    bad = sum(rejected.values())
    if bad > max_rejected * (bad + kept):
        raise TooManyRejected(
            f"{bad:,} of {bad + kept:,} rows were rejected ({_listed(rejected)}), more than "
            f"documents.max_rejected = {max_rejected:.1%}. They lie in {folder}/*.rejected.jsonl. Mend the source, "
            "or raise the threshold with --set documents.max_rejected=…"
        )


def collection_name(study_name: str, *causes: Any) -> str:
    """Name of the folder for one source under one configuration."""
    digest = hashlib.sha256(json.dumps(causes, sort_keys=True, default=str).encode()).hexdigest()
    return f"{study_name}-{digest[:16]}"
