# SPDX-License-Identifier: Apache-2.0
"""From candidate questions to the published splits: nearest pages, draw, matched controls, Table 5 rows."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.artifacts import QUESTION_COLUMNS, QUESTION_SPLITS
from xlt_hf.questions.similarity import TfidfIndex
from xlt_hf.questions.splits import Splits, draw_splits
from xlt_hf.sources.schema import Question
from xlt_hf.sources.table import DocumentTable
from xlt_hf.study import Languages, Study


@dataclass(frozen=True)
class BuiltQuestions:
    """The three splits with `nearest_pages` filled in, and how they came about."""

    splits: Mapping[str, Sequence[Question]]
    draw: Splits

    def counts(self) -> dict[str, Any]:
        """Numbers for the manifest and the card."""
        relations = sorted({q.relation for rows in self.splits.values() for q in rows})
        by_split = {split: Counter(q.relation for q in rows) for split, rows in self.splits.items()}
        return {
            "questions": {split: len(rows) for split, rows in self.splits.items()},
            "pages": {split: len({q.title for q in rows}) for split, rows in self.splits.items()},
            "relations": {
                relation: {split: by_split[split][relation] for split in self.splits}
                for relation in relations
            },
            "dropped": self.draw.dropped,
            "balance": self.draw.balance,
        }


def build_questions(documents: DocumentTable, questions: Sequence[Question], study: Study) -> BuiltQuestions:
    """Draw test, train and control questions and give each its page's nearest pages.

    Args:
        documents: D.
        questions: candidates; those whose page is not in D are dropped and counted.

    Raises:
        SplitsInfeasible: too few pages for what the study asks.
    """
    source = study.languages.source
    settings = study.similarity
    index = TfidfIndex(
        documents.texts(source),
        ids=documents.doc_ids,
        words=settings.words,
        sublinear_tf=settings.sublinear_tf,
    )

    def neighbours(rows: np.ndarray) -> np.ndarray:
        return index.nearest(rows, settings.top_k)[0]

    page = documents.rows_of([q.title for q in questions])
    page_ids = documents.gather(page[page >= 0], ["doc_id"])["doc_id"].to_pylist()
    strata = np.full(len(page), "", object)
    strata[page >= 0] = [_kind(doc_id) for doc_id in page_ids]
    draw = draw_splits(
        page,
        neighbours,
        question_ids=[q.id for q in questions],
        doc_ids=documents.doc_ids,
        n_test=study.splits.test,
        n_train=study.splits.train,
        n_control=study.splits.control,
        unit=study.splits.unit,
        stratum=strata.tolist() if study.splits.unit == "pages" else None,
        relation=[q.relation for q in questions],
        answer_length=[len(q.answer[source][0]) for q in questions],
        page_length=documents.text_lengths(source),
        question_texts=[q.question[source] or "" for q in questions],
        seed=study.seed,
    )
    control_near = neighbours(draw.control_pages)
    index.close()
    near: dict[int, list[str]] = {}
    for rows, found in (
        (draw.test_pages, draw.nearest_test),
        (draw.train_pages, draw.nearest_train),
        (draw.control_pages, control_near),
    ):
        for row, neighbours_of in zip(rows, found, strict=True):
            near[int(row)] = documents.gather(neighbours_of[neighbours_of >= 0], ["title"])[
                "title"
            ].to_pylist()
    chosen = {"train": draw.train, "test": draw.test, "control": draw.control}
    splits = {
        split: [dataclasses.replace(questions[i], nearest_pages=near[int(page[i])]) for i in chosen[split]]
        for split in QUESTION_SPLITS
    }
    return BuiltQuestions(splits, draw)


def write_questions(built: BuiltQuestions, kind: str, languages: Languages, folder: Path) -> None:
    """One parquet file per split; columns that a task does not use are null, as in the paper's Table 5."""
    schema = question_schema(languages)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for split, questions in built.splits.items():
        rows = []
        for question in questions:
            row = {column: getattr(question, column) for column in QUESTION_COLUMNS}
            row = {k: dict(v) if isinstance(v, Mapping) else v for k, v in row.items()}
            if kind != "in_context":
                row["context"] = dict.fromkeys(languages.both())
            rows.append(row)
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / "data" / f"{split}.parquet")


def question_schema(languages: Languages) -> pa.Schema:
    """The one schema of every question dataset."""

    def per_language(kind: pa.DataType) -> pa.DataType:
        return pa.struct([(language, kind) for language in languages.both()])

    types = {
        "context": per_language(pa.string()),
        "question": per_language(pa.string()),
        "answer": per_language(pa.list_(pa.string())),
        "negatives": per_language(pa.list_(pa.string())),
        "nearest_pages": pa.list_(pa.string()),
    }
    return pa.schema([(column, types.get(column, pa.string())) for column in QUESTION_COLUMNS])


def _kind(doc_id: str) -> str:
    """What a page is about, by the prefix of its id, such as `territory`; pages without one are of one kind."""
    prefix, separator, _ = doc_id.partition("-")
    return prefix if separator else ""
