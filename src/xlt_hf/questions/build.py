# SPDX-License-Identifier: Apache-2.0
"""From candidate questions to the published splits: drawn on pages of D, translated, with wrong answers, reviewed."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xlt_hf.artifacts import QUESTION_COLUMNS, QUESTION_SPLITS
from xlt_hf.corpora.parity import ParityInfeasible, feasibility, removal_bounds
from xlt_hf.questions.blind import question_blind_baseline
from xlt_hf.questions.cache import ReplyCache
from xlt_hf.questions.config import NegativesConfig, TranslationConfig
from xlt_hf.questions.negatives import add_negatives
from xlt_hf.questions.quality import quality_report
from xlt_hf.questions.review import Correction, apply_review
from xlt_hf.questions.similarity import TfidfIndex
from xlt_hf.questions.splits import Splits, draw_splits
from xlt_hf.questions.translation import name_table, translate_questions
from xlt_hf.questions.translators import build_translator
from xlt_hf.sources.schema import Question, QuestionBatch
from xlt_hf.sources.table import DocumentTable
from xlt_hf.study import Languages, Study

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Machine:
    """What the nearest pages may use of the machine, or of a cluster.

    Attributes:
        memory_budget_bytes: for the index and a search together.
        jobs: parallel workers, -1 for all cores.
        executor: `local`, or `dask://host:port`.
        scratch: folder for an index that does not fit.
    """

    memory_budget_bytes: int = 4 << 30
    jobs: int = 1
    executor: str = "local"
    scratch: Path | None = None


@dataclass(frozen=True)
class BuiltQuestions:
    """The splits, complete, and how they came about.

    Attributes:
        splits: split -> questions.
        dropped: questions that are in none, by reason.
        balance: test against control, feature by feature; empty where there is no control.
        negative_types: type of answer -> questions whose wrong answers were drawn from it.
        notes: other counts, of translation and review.
        never: what must not be offered as a wrong answer (`QuestionBatch.never`).
    """

    splits: Mapping[str, Sequence[Question]]
    dropped: Mapping[str, int]
    balance: Mapping[str, Any] = field(default_factory=dict)
    negative_types: Mapping[str, int] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    never: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

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
            "dropped": dict(self.dropped),
            "balance": dict(self.balance),
            "negative_types": dict(self.negative_types),
            **self.notes,
        }


def draw_questions(
    documents: DocumentTable,
    batch: QuestionBatch,
    study: Study,
    machine: Machine = Machine(),
    progress: Progress = lambda what, done, total: None,
) -> BuiltQuestions:
    """Draw test, train and control questions and give each its page's nearest pages.

    Args:
        documents: D.
        batch: candidates; those whose page is not in D are dropped and counted.

    Raises:
        SplitsInfeasible: too few pages for what the study asks.
        ParityInfeasible: filter 4 would remove so much that no reserve remains.
    """
    questions, splits = batch.questions, study.splits
    source, settings = study.languages.source, study.similarity
    _check_room(len(documents), study)
    index = TfidfIndex(
        documents.texts(source),
        ids=documents.doc_ids,
        words=settings.words,
        sublinear_tf=settings.sublinear_tf,
        memory_budget_bytes=machine.memory_budget_bytes,
        n_jobs=machine.jobs,
        executor=machine.executor,
        spill_folder=machine.scratch,
        progress=progress,
    )

    def neighbours(rows: np.ndarray) -> np.ndarray:
        return index.nearest(rows, settings.top_k)[0]

    page = documents.rows_of([q.title for q in questions])
    draw = draw_splits(
        page,
        neighbours,
        question_ids=[q.id for q in questions],
        doc_ids=documents.doc_ids,
        n_test=splits.test,
        n_train=splits.train,
        n_control=splits.control,
        unit=splits.unit,
        # The almanac's ids begin with the kind of page; those of other sources mean nothing.
        stratum=_kinds(documents, page) if study.documents.source == "almanac" else None,
        relation=[q.relation for q in questions],
        answer_length=[len(q.answer[source][0]) for q in questions],
        page_length=documents.text_lengths(source),
        question_texts=[q.question[source] or "" for q in questions],
        seed=study.seed,
    )
    control_near = neighbours(draw.control_pages)
    index.close()
    _check_reserve(documents, draw, study)
    near: dict[int, list[str]] = {}
    for rows, found in (
        (draw.test_pages, draw.nearest_test),
        (draw.train_pages, draw.nearest_train),
        (draw.control_pages, control_near),
    ):
        for row, of_row in zip(rows, found, strict=True):
            near[int(row)] = documents.gather(of_row[of_row >= 0], ["title"])["title"].to_pylist()
    chosen = {"train": draw.train, "test": draw.test, "control": draw.control}
    drawn = {
        split: [dataclasses.replace(questions[i], nearest_pages=near[int(page[i])]) for i in chosen[split]]
        for split in QUESTION_SPLITS
    }
    return BuiltQuestions(drawn, _sum(batch.dropped, draw.dropped), draw.balance, never=batch.never)


def prescribed_questions(batch: QuestionBatch) -> BuiltQuestions:
    """The source's own splits, for reading comprehension: no control, since the passage is given."""
    splits: dict[str, list[Question]] = {split: [] for split in QUESTION_SPLITS}
    undecided = 0
    for question in batch.questions:
        if question.split in splits:
            splits[question.split].append(question)
        else:
            undecided += 1
    return BuiltQuestions(splits, _sum(batch.dropped, {"in_no_split": undecided}), never=batch.never)


def complete_questions(
    built: BuiltQuestions,
    documents: DocumentTable,
    languages: Languages,
    translation: TranslationConfig,
    negatives: NegativesConfig,
    *,
    seed: int,
    cache: ReplyCache,
    corrections: Mapping[str, Correction],
) -> BuiltQuestions:
    """Fill in what the drawn questions lack: the target side, wrong answers, a reviewer's corrections.

    Args:
        cache: replies of models; what it holds is not asked again.
        corrections: of `review.csv`, by question id.

    Raises:
        ChatError, TranslationError: a model cannot be used; what has come is in the cache.
        ReviewError: a correction that contradicts itself.
    """
    source, target = languages.both()
    translator = build_translator(translation, source, target, cache)
    wanted = {answer for rows in built.splits.values() for q in rows for answer in q.answer[source]}
    names = name_table(_title_pairs(documents), source, target, wanted)
    splits: dict[str, list[Question]] = {}
    dropped: Counter[str] = Counter(built.dropped)
    translated_counts: Counter[str] = Counter()
    types: Counter[str] = Counter()
    review: list[Mapping[str, Any]] = []
    for split, rows in built.splits.items():
        translated = translate_questions(rows, source, target, translator, cache, names)
        with_negatives = add_negatives(
            translated.questions, languages.both(), negatives, seed, cache, built.never
        )
        splits[split], reviewed = apply_review(with_negatives.questions, corrections, target)
        dropped.update(translated.dropped)
        dropped.update(with_negatives.dropped)
        dropped["rejected_in_review"] += reviewed["rejected_in_review"]
        translated_counts.update(translated.counts)
        types.update(with_negatives.types)
        review.append(reviewed)
    notes: dict[str, Any] = {"translation": dict(translated_counts)}
    if corrections:
        notes["review"] = {
            "corrected": sum(r["corrected"] for r in review),
            "not_in_context": sorted(i for r in review for i in r["not_in_context"]),
        }
    kept = {reason: n for reason, n in dropped.items() if n}
    return dataclasses.replace(built, splits=splits, dropped=kept, negative_types=dict(types), notes=notes)


def report(
    built: BuiltQuestions, languages: Languages, seed: int, cut: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Quality of the splits, and the question-blind baseline of the test questions, for the manifest and the card.

    Args:
        cut: what the model's window cuts, where the task has passages.
    """
    # Within test and control, which finds what their options give away, and learnt from the train split, which is what
    # a finetuned model could bring along. Together: the more questions, the narrower the interval.
    judged = [*built.splits["test"], *built.splits["control"]]
    blind = {}
    for language in languages.both():
        within = question_blind_baseline(judged, language, seed)
        carried = question_blind_baseline(judged, language, seed, train=built.splits["train"])
        blind[language] = {
            **within,
            **{f"{method}_from_train": carried[method] for method in ("frequency", "learned")},
        }
    return {"quality": quality_report(built.splits, languages, seed, cut=cut), "blind": blind}


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


def _check_room(documents: int, study: Study) -> None:
    """Refuse what is certain to fail before the nearest pages are computed, which takes hours at full size."""
    splits, top_k = study.splits, study.similarity.top_k
    # A unit of questions may share its page with others, so that only one page is certain.
    pages = splits.test + splits.train if splits.unit == "pages" else 1
    bounds = removal_bounds(documents, pages, splits.control if splits.unit == "pages" else 1, top_k)
    if bounds["at_least"] > bounds["room"]:
        raise ParityInfeasible(
            f"{documents:,} documents, of which filter 4 removes at least {bounds['at_least']:,} (similarity.top_k is "
            f"{top_k:,}, {pages:,} pages), leave a reserve of as many for {bounds['room']:,} at most. "
            "Lower top_k, draw fewer test or train pages, or add documents."
        )


def _check_reserve(documents: DocumentTable, draw: Splits, study: Study) -> None:
    """The reserve again, now that the nearest pages are known: bytes of text stand in for tokens."""
    from xlt_hf.corpora.levels import removal_levels

    level = removal_levels(
        len(documents), draw.test_pages, draw.train_pages, draw.nearest_test, draw.nearest_train
    )
    control = np.zeros(len(documents), bool)
    control[draw.control_pages] = True
    numbers = feasibility(documents.text_bytes(study.languages.target), level, control)
    if not numbers.feasible:
        raise ParityInfeasible(f"no token parity, with bytes for tokens: {numbers.explain()}")


def _kinds(documents: DocumentTable, page: np.ndarray) -> list[str]:
    """What each question's page is about, by the prefix of its id, such as `territory`; `""` without one."""
    kinds = np.full(len(page), "", object)
    known = page >= 0
    prefixes = [
        doc_id.partition("-") for doc_id in documents.gather(page[known], ["doc_id"])["doc_id"].to_pylist()
    ]
    kinds[known] = [prefix if separator else "" for prefix, separator, _ in prefixes]
    return kinds.tolist()


def _title_pairs(documents: DocumentTable) -> Iterator[tuple[str, str]]:
    for batch in documents.table.select(["title", "target_title"]).to_batches(max_chunksize=4096):
        yield from zip(batch["title"].to_pylist(), batch["target_title"].to_pylist(), strict=True)


def _sum(*counts: Mapping[str, int]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for some in counts:
        total.update(some)
    return {reason: n for reason, n in total.items() if n}
