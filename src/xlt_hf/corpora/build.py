# SPDX-License-Identifier: Apache-2.0
"""From documents and questions to the partition that the five corpora are unions of (paper §2.1, §3.2.3).

Everything about a document but its text is an integer in an array here: 6M documents are a few hundred MB. Texts
are streamed once, for the leak audit.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np

from xlt_hf.corpora.audit import AuditQuestion, audit_table, leak_audit
from xlt_hf.corpora.levels import removal_levels
from xlt_hf.corpora.order import hash_keys
from xlt_hf.corpora.parity import draw_reserve
from xlt_hf.corpora.partition import Partition, check_invariants
from xlt_hf.errors import UserError
from xlt_hf.sources.table import DocumentTable
from xlt_hf.study import Languages

Progress = Callable[[str, int, int | None], None]
VALIDATION = "validation"


class PageNotFound(UserError):
    """A question's page is not among the documents."""


@dataclass(frozen=True)
class Corpora:
    """Where the texts of D go.

    Attributes:
        documents: D.
        kept: rows of D that are in the partition, ascending, `int64[n]`.
        validation: rows of D that are in no corpus, ascending, `int64[m]`.
        partition: of the kept documents.
        tokens: language -> tokens of each kept document, `int64[n]`, the end token not counted.
        validation_tokens: the same of the validation documents, `int64[m]`.
        audit_rows: rows of the `audit` config.
        audit_summary: the audit by filter, for the card.
    """

    documents: DocumentTable
    kept: np.ndarray
    validation: np.ndarray
    partition: Partition
    tokens: Mapping[str, np.ndarray]
    validation_tokens: Mapping[str, np.ndarray]
    audit_rows: Sequence[Mapping[str, Any]]
    audit_summary: Sequence[Mapping[str, Any]]

    def counts(self, languages: Languages) -> dict[str, Any]:
        """Documents and tokens of every part and filter, for the manifest and the card."""
        summary = self.partition.summary(self.tokens[languages.source], self.tokens[languages.target])
        return {
            "documents": len(self.kept),
            "validation_documents": len(self.validation),
            **summary,
            "audit": [dict(row) for row in self.audit_summary],
        }


def build_corpora(
    documents: DocumentTable,
    questions: Mapping[str, Sequence[Mapping[str, Any]]],
    tokens: Mapping[str, np.ndarray],
    languages: Languages,
    *,
    validation_documents: int,
    seed: int,
    progress: Progress = lambda what, done, total: None,
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
    pages = {split: _rows(documents, [q["title"] for q in rows], split) for split, rows in questions.items()}
    near = {
        split: _rows(documents, [title for q in questions[split] for title in q["nearest_pages"]], split)
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
    kept, held = np.flatnonzero(~held_back), np.flatnonzero(held_back)
    kept_tokens = {language: counts[kept] for language, counts in tokens.items()}
    kept_ids = documents.gather(kept, ["doc_id"])["doc_id"]
    target_tokens = kept_tokens[languages.target]
    reserve = draw_reserve(target_tokens, level[kept], control[kept], seed, kept_ids)
    partition = Partition(level[kept], reserve, languages.source, languages.target)
    check_invariants(partition, target_tokens, control[kept], kept_ids)
    texts = _reported(compress(documents.texts(languages.target), ~held_back), len(kept), progress)
    rows, _ = leak_audit(_audited(documents, questions["test"], languages.target), texts, partition)
    return Corpora(
        documents=documents,
        kept=kept,
        validation=held,
        partition=partition,
        tokens=kept_tokens,
        validation_tokens={language: counts[held] for language, counts in tokens.items()},
        audit_rows=rows,
        audit_summary=audit_table(rows),
    )


def _reported(texts: Iterable[str], total: int, progress: Progress) -> Iterator[str]:
    """The texts, with progress every thousand of them."""
    for done, text in enumerate(texts):
        if done % 1000 == 0:
            progress("documents audited", done, total)
        yield text
    progress("documents audited", total, total)


def _audited(
    documents: DocumentTable, questions: Sequence[Mapping[str, Any]], target: str
) -> list[AuditQuestion]:
    rows = documents.rows_of([q["title"] for q in questions])
    titles = documents.gather(rows, ["target_title"])["target_title"].to_pylist()
    return [
        AuditQuestion(q["id"], q["answer"][target], [title] if title else [])
        for q, title in zip(questions, titles, strict=True)
    ]


def _rows(documents: DocumentTable, titles: Sequence[str], split: str) -> np.ndarray:
    distinct = sorted(set(titles))
    rows = documents.rows_of(distinct)
    missing = [title for title, row in zip(distinct, rows, strict=True) if row < 0]
    if missing:
        raise PageNotFound(
            f"{len(missing)} pages of the {split} questions are not among the {len(documents)} documents, e.g. "
            f"{missing[:3]}: the questions were made from other documents. Publish them again with "
            "`python recipes/build_qa.py --replace`."
        )
    return np.sort(rows)


def _draw_validation(documents: DocumentTable, free: np.ndarray, n: int, seed: int) -> np.ndarray:
    """`bool[n]`: the documents with the smallest keyed hashes among the free ones."""
    candidates = np.flatnonzero(free)
    if n > len(candidates):
        raise UserError(
            f"corpora.validation_documents is {n}, but only {len(candidates)} of {len(documents)} documents are "
            "neither about nor near a question. Use fewer."
        )
    keys = hash_keys(documents.doc_ids, seed, purpose=VALIDATION)[candidates]
    mask = np.zeros(len(documents), bool)
    mask[candidates[np.argsort(keys, kind="stable")[:n]]] = True
    return mask
