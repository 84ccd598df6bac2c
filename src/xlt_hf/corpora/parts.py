# SPDX-License-Identifier: Apache-2.0
"""The parts as published files: each text once, in paired order, in shards that a killed build does not lose.

A shard's bytes follow from the documents, the partition and the seed alone, so a restarted build writes the shards
that are missing and ends with the same files as one that was never interrupted.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.artifacts import AUDIT_COLUMNS, CORPUS_COLUMNS
from xlt_hf.corpora.build import VALIDATION, Corpora
from xlt_hf.corpora.order import paired_order
from xlt_hf.corpora.partition import FILTERS, Partition
from xlt_hf.study import Languages

Progress = Callable[[str, int, int | None], None]
_AUDIT_FILE = "audit/audit.parquet"


def write_parts(
    corpora: Corpora,
    languages: Languages,
    seed: int,
    folder: Path,
    shard_bytes: int,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, list[str]]:
    """Write each part once, in paired order, as parquet shards, and the audit; shards that are there are kept.

    Args:
        folder: of this build alone (the caller names it after the manifest's fingerprint).
        shard_bytes: about the most UTF-8 bytes of text in one shard.

    Returns:
        Part name -> its files, relative to `folder`.
    """
    order = paired_order(corpora.documents.gather(corpora.kept, ["doc_id"])["doc_id"], seed)
    partition = corpora.partition
    plan: list[tuple[str, str, np.ndarray, np.ndarray, np.ndarray]] = []
    for part in partition.parts:
        language = part.split("/")[0]
        members = np.zeros(len(order), bool)
        members[partition.part_rows(part)] = True
        chosen = order[members[order]]
        counts = corpora.tokens[language][chosen]
        plan.append((part, language, corpora.kept[chosen], counts, partition.level[chosen]))
    for language in languages.both():
        counts = corpora.validation_tokens[language]
        levels = np.zeros(len(counts), np.int8)
        plan.append((f"{VALIDATION}/{language}", language, corpora.validation, counts, levels))

    sizes = {language: corpora.documents.text_bytes(language) for language in languages.both()}
    total = sum(int(sizes[language][rows].sum()) for _, language, rows, _, _ in plan)
    done = 0
    files: dict[str, list[str]] = {}
    for part, language, rows, counts, levels in plan:
        cuts = shard_cuts(sizes[language][rows], shard_bytes)
        files[part] = []
        for shard, (start, stop) in enumerate(zip(cuts, cuts[1:], strict=False)):
            path = f"data/{part}/{shard:05d}-of-{len(cuts) - 1:05d}.parquet"
            files[part].append(path)
            if not (folder / path).exists():
                chunk = slice(start, stop)
                _write_whole(
                    _rows_of(corpora, part, language, rows[chunk], counts[chunk], levels[chunk]),
                    folder / path,
                )
            done += int(sizes[language][rows[start:stop]].sum())
            progress("bytes of text", done, total)
    schema = pa.schema([("question_id", pa.string()), *((name, pa.int64()) for name in AUDIT_COLUMNS[1:])])
    _write_whole(pa.Table.from_pylist([dict(r) for r in corpora.audit_rows], schema), folder / _AUDIT_FILE)
    files["audit"] = [_AUDIT_FILE]
    return files


def shard_cuts(sizes: np.ndarray, shard_bytes: int) -> list[int]:
    """Where shards begin and end: a shard is closed by the document that brings it to `shard_bytes`.

    Returns:
        Ascending row numbers from 0 to `len(sizes)`; one empty shard, `[0, 0]`, for no documents, so that a part
        without documents still has a file and loads.
    """
    ends = np.cumsum(sizes)
    cuts, before = [0], 0
    while cuts[-1] < len(sizes):
        stop = int(np.searchsorted(ends, before + shard_bytes, side="left")) + 1
        cuts.append(min(stop, len(sizes)))
        before = int(ends[cuts[-1] - 1])
    return cuts if len(cuts) > 1 else [0, 0]


def dataset_configs(files: Mapping[str, Sequence[str]], partition: Partition) -> list[dict[str, Any]]:
    """`configs` of the dataset card: each filter a union of parts, so that no text is stored twice."""

    def split(name: str, parts: Sequence[str]) -> dict[str, Any]:
        return {"split": name, "path": [path for part in parts for path in files[part]]}

    configs: list[dict[str, Any]] = []
    for level in FILTERS:
        source, *target = partition.parts_of_filter(level)
        configs.append(
            {
                "config_name": f"filter-{level}",
                "data_files": [split(partition.source, [source]), split(partition.target, target)],
                **({"default": True} if level == 0 else {}),
            }
        )
    languages = (partition.source, partition.target)
    configs.append(
        {
            "config_name": VALIDATION,
            "data_files": [split(language, [f"{VALIDATION}/{language}"]) for language in languages],
        }
    )
    return [*configs, {"config_name": "audit", "data_files": [split("test", ["audit"])]}]


def _rows_of(
    corpora: Corpora, part: str, language: str, rows: np.ndarray, counts: np.ndarray, levels: np.ndarray
) -> pa.Table:
    source = language == corpora.documents.source
    title, text = ("title", "source_text") if source else ("target_title", "target_text")
    documents = corpora.documents.gather(rows, ["doc_id", title, "url", text])
    columns = {
        "doc_id": documents["doc_id"],
        "title": documents[title],
        "url": documents["url"],
        "text": documents[text],
        "n_tokens": pa.array(counts, pa.int64()),
        "part": pa.array([part] * len(rows), pa.string()),
        "level": pa.array(levels, pa.int8()),
    }
    return pa.table({name: columns[name] for name in CORPUS_COLUMNS})


def _write_whole(table: pa.Table, path: Path) -> None:
    """Write a parquet file that appears under its name only when it is whole and on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writing = path.with_suffix(".writing")
    with open(writing, "wb") as file:
        pq.write_table(table, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(writing, path)
