# SPDX-License-Identifier: Apache-2.0
"""From documents and questions to the partition that the five corpora are unions of (paper §2.1, §3.2.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.artifacts import AUDIT_COLUMNS, CORPUS_COLUMNS
from xlt_hf.corpora.audit import AuditQuestion, audit_table, leak_audit
from xlt_hf.corpora.levels import removal_levels
from xlt_hf.corpora.order import hash_keys, paired_order
from xlt_hf.corpora.parity import draw_reserve
from xlt_hf.corpora.partition import FILTERS, Partition, check_invariants
from xlt_hf.errors import UserError
from xlt_hf.sources.schema import Document
from xlt_hf.study import Languages

VALIDATION = "validation"


class PageNotFound(UserError):
    """A question's page is not among the documents."""


@dataclass(frozen=True)
class Corpora:
    """D without the validation documents, and where each document's texts go."""

    documents: Sequence[Document]
    validation: Sequence[Document]
    partition: Partition
    tokens: Mapping[str, np.ndarray]
    """Language -> tokens of each document, `int64[n]`, the end token not counted."""
    validation_tokens: Mapping[str, np.ndarray]
    audit_rows: Sequence[Mapping[str, Any]]
    audit_summary: Sequence[Mapping[str, Any]]

    def counts(self, languages: Languages) -> dict[str, Any]:
        """Documents and tokens of every part and filter, for the manifest and the card."""
        summary = self.partition.summary(self.tokens[languages.source], self.tokens[languages.target])
        return {
            "documents": len(self.documents),
            "validation_documents": len(self.validation),
            **summary,
            "audit": [dict(row) for row in self.audit_summary],
        }


def build_corpora(
    documents: Sequence[Document],
    questions: Mapping[str, Sequence[Mapping[str, Any]]],
    tokens: Mapping[str, np.ndarray],
    languages: Languages,
    *,
    validation_documents: int,
    seed: int,
) -> Corpora:
    """Levels, reserve, partition, invariants and leak audit.

    Args:
        documents: D.
        questions: `train`, `test` and `control` rows with `title`, `nearest_pages`, `answer`.
        tokens: language -> tokens of each document of D, `int64[n]`.
        validation_documents: how many to keep out of every corpus; drawn from pages that no question is about
            and that are near to none.
        seed: of the validation and the reserve draws.

    Raises:
        PageNotFound: a question's page is not in D (the questions were made from other documents).
        ParityInfeasible: D cannot supply the reserve.
        InvariantBroken: a rule of the corpora does not hold; nothing may be published.
    """
    row_of = {document.title: row for row, document in enumerate(documents)}
    pages = {split: _rows(row_of, [q["title"] for q in rows], split) for split, rows in questions.items()}
    near = {
        split: _rows(row_of, [title for q in questions[split] for title in q["nearest_pages"]], split)
        for split in ("train", "test")
    }
    control = np.zeros(len(documents), bool)
    control[pages["control"]] = True
    level = removal_levels(
        len(documents),
        pages["test"],
        pages["train"],
        near["test"],
        near["train"],
        exempt=np.flatnonzero(control),
    )
    held_back = _draw_validation(documents, (level == 0) & ~control, validation_documents, seed)
    kept = np.flatnonzero(~held_back)
    kept_documents = [documents[row] for row in kept]
    kept_tokens = {language: counts[kept] for language, counts in tokens.items()}
    reserve = draw_reserve(
        kept_tokens[languages.target],
        level[kept],
        control[kept],
        seed,
        [document.doc_id for document in kept_documents],
    )
    partition = Partition(level[kept], reserve, languages.source, languages.target)
    check_invariants(
        partition,
        kept_tokens[languages.target],
        control[kept],
        [document.doc_id for document in kept_documents],
    )
    titles = {document.title: document.titles[languages.target] for document in documents}
    audited = [
        AuditQuestion(q["id"], q["answer"][languages.target], [titles[q["title"]]]) for q in questions["test"]
    ]
    rows, _ = leak_audit(audited, (d.text[languages.target] for d in kept_documents), partition)
    held = np.flatnonzero(held_back)
    return Corpora(
        documents=kept_documents,
        validation=[documents[row] for row in held],
        partition=partition,
        tokens=kept_tokens,
        validation_tokens={language: counts[held] for language, counts in tokens.items()},
        audit_rows=rows,
        audit_summary=audit_table(rows),
    )


def write_parts(
    corpora: Corpora, languages: Languages, seed: int, folder: Path, shard_bytes: int
) -> dict[str, list[str]]:
    """Write each part once, in paired order, as parquet shards, and the audit.

    Returns:
        Part name -> its files, relative to `folder`.
    """
    order = paired_order([document.doc_id for document in corpora.documents], seed)
    files: dict[str, list[str]] = {}
    partition = corpora.partition
    for part in partition.parts:
        language = part.split("/")[0]
        members = np.zeros(len(order), bool)
        members[partition.part_rows(part)] = True
        rows = order[members[order]]
        documents = [corpora.documents[row] for row in rows]
        counts, levels = corpora.tokens[language][rows], partition.level[rows]
        files[part] = _write_shards(folder, part, language, documents, counts, levels, shard_bytes)
    for language in languages.both():
        name = f"{VALIDATION}/{language}"
        counts = corpora.validation_tokens[language]
        levels = np.zeros(len(counts), np.int8)
        files[name] = _write_shards(folder, name, language, corpora.validation, counts, levels, shard_bytes)
    (folder / "audit").mkdir(parents=True, exist_ok=True)
    schema = pa.schema([("question_id", pa.string()), *((name, pa.int64()) for name in AUDIT_COLUMNS[1:])])
    pq.write_table(
        pa.Table.from_pylist([dict(r) for r in corpora.audit_rows], schema), folder / "audit/audit.parquet"
    )
    files["audit"] = ["audit/audit.parquet"]
    return files


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
    if all(files[f"{VALIDATION}/{language}"] for language in languages):
        configs.append(
            {
                "config_name": VALIDATION,
                "data_files": [split(language, [f"{VALIDATION}/{language}"]) for language in languages],
            }
        )
    return [*configs, {"config_name": "audit", "data_files": [split("test", ["audit"])]}]


def _rows(row_of: Mapping[str, int], titles: Sequence[str], split: str) -> np.ndarray:
    missing = sorted({title for title in titles if title not in row_of})
    if missing:
        raise PageNotFound(
            f"{len(missing)} pages of the {split} questions are not among the {len(row_of)} documents, e.g. "
            f"{missing[:3]}: the questions were made from other documents. Publish them again with "
            "`python recipes/build_qa.py --replace`."
        )
    return np.array(sorted({row_of[title] for title in titles}), dtype=np.int64)


def _draw_validation(documents: Sequence[Document], free: np.ndarray, n: int, seed: int) -> np.ndarray:
    """`bool[n]`: the documents with the smallest keyed hashes among the free ones."""
    candidates = np.flatnonzero(free)
    if n > len(candidates):
        raise UserError(
            f"corpora.validation_documents is {n}, but only {len(candidates)} of {len(documents)} documents are "
            "neither about nor near a question. Use fewer."
        )
    keys = hash_keys([documents[row].doc_id for row in candidates], seed, purpose=VALIDATION)
    mask = np.zeros(len(documents), bool)
    mask[candidates[np.argsort(keys, kind="stable")[:n]]] = True
    return mask


def _write_shards(
    folder: Path,
    part: str,
    language: str,
    documents: Sequence[Document],
    counts: np.ndarray,
    levels: np.ndarray,
    shard_bytes: int,
) -> list[str]:
    """Parquet files of at most about `shard_bytes` of text; an empty part has one empty file, so that it loads."""
    (folder / "data" / part).mkdir(parents=True, exist_ok=True)
    cuts, size = [0], 0
    for i, document in enumerate(documents):
        size += len(document.text[language].encode())
        if size >= shard_bytes and i + 1 < len(documents):
            cuts.append(i + 1)
            size = 0
    cuts.append(len(documents))
    paths = []
    for shard, (start, stop) in enumerate(zip(cuts, cuts[1:], strict=False)):
        path = f"data/{part}/{shard:05d}-of-{len(cuts) - 1:05d}.parquet"
        chosen = documents[start:stop]
        columns = {
            "doc_id": pa.array([d.doc_id for d in chosen], pa.string()),
            "title": pa.array([d.titles[language] for d in chosen], pa.string()),
            "url": pa.array([d.url for d in chosen], pa.string()),
            "text": pa.array([d.text[language] for d in chosen], pa.string()),
            "n_tokens": pa.array(counts[start:stop], pa.int64()),
            "part": pa.array([part] * len(chosen), pa.string()),
            "level": pa.array(levels[start:stop], pa.int8()),
        }
        pq.write_table(pa.table({name: columns[name] for name in CORPUS_COLUMNS}), folder / path)
        paths.append(path)
    return paths
