# SPDX-License-Identifier: Apache-2.0
"""Test, train and control questions: a seeded draw, and controls matched to the test questions (DESIGN.md).

Test and train are drawn first, then their nearest pages are looked up, then the control questions are
matched among the pages that no filter removes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from xlt_hf.corpora.levels import removal_levels
from xlt_hf.corpora.order import hash_keys
from xlt_hf.errors import UserError

Neighbours = Callable[[np.ndarray], np.ndarray]
Size = int | Mapping[str, int]

# Candidates looked at per control question: enough for a close match, and a cost matrix that fits in memory.
_CANDIDATES_PER_TARGET = 20
_MIN_CANDIDATES = 2_000


class SplitsInfeasible(UserError, ValueError):
    """Too few questions or pages for the splits that were asked for."""


@dataclass(frozen=True)
class Splits:
    """Question indices and page rows of the three splits.

    Attributes:
        test, train, control: Question indices, ``int64``, ascending. No page and no question is in two of
            them.
        test_pages, train_pages, control_pages: Rows of D, ``int64``, ascending, unique.
        nearest_test: What the neighbour function gave for `test_pages`, ``int[P_test, top_k]``.
        nearest_train: The same for `train_pages`.
        dropped: Questions left out, by reason: ``page_not_in_documents``, ``duplicate_question``,
            ``removed_page`` (not drawn, and its page is in F_4), ``not_drawn``. With the splits they add up
            to all.
        balance: How alike test and control are, per feature: the two means and their standardised mean
            difference (``smd``: difference over the pooled standard deviation; under 0.1 is usually called
            balanced).
    """

    test: np.ndarray
    train: np.ndarray
    control: np.ndarray
    test_pages: np.ndarray
    train_pages: np.ndarray
    control_pages: np.ndarray
    nearest_test: np.ndarray
    nearest_train: np.ndarray
    dropped: dict[str, int]
    balance: dict[str, dict[str, float]]


def _question_key(text: str) -> str:
    """Questions that differ in case, punctuation or spacing only are the same question."""
    text = unicodedata.normalize("NFKC", text).casefold()
    kept = (c if unicodedata.category(c)[0] in "LMNS" else " " for c in text)
    return " ".join("".join(kept).split())


def _allocate(available: np.ndarray, total: int) -> np.ndarray:
    """`total` shared out in proportion to `available`, by largest remainder."""
    if not available.sum():
        return np.zeros(len(available), np.int64)
    exact = total * available / available.sum()
    shares = np.floor(exact).astype(np.int64)
    missing = total - int(shares.sum())
    shares[np.argsort(-(exact - shares), kind="stable")[:missing]] += 1
    return shares


def _sizes(size: Size, names: Sequence[str], available: np.ndarray, what: str) -> np.ndarray:
    """Numbers to draw per stratum."""
    if isinstance(size, Mapping):
        unknown = sorted(set(size) - set(names))
        if unknown:
            raise SplitsInfeasible(
                f"{what}: no questions in D belong to {', '.join(map(repr, unknown))}; the strata are "
                f"{', '.join(map(repr, names))}"
            )
        numbers = np.array([size.get(name, 0) for name in names], np.int64)
    else:
        numbers = _allocate(available, size)
    if (numbers < 0).any() or (not isinstance(size, Mapping) and size < 0):
        raise ValueError(f"{what} must not be negative: {size}")
    return numbers


class _Pool:
    """Units to draw from (questions, or pages with all their questions), in the order of a keyed hash."""

    def __init__(self, page: np.ndarray, stratum: np.ndarray, keys: np.ndarray) -> None:
        self.order = np.argsort(keys, kind="stable")
        self.page = page
        self.stratum = stratum

    def available(self, open_units: np.ndarray, n_strata: int) -> np.ndarray:
        return np.bincount(self.stratum[open_units], minlength=n_strata)

    def take(self, open_units: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """The first `numbers[s]` open units of each stratum s, in hash order."""
        chosen = []
        ordered = self.order[open_units[self.order]]
        for stratum, number in enumerate(numbers):
            chosen.append(ordered[self.stratum[ordered] == stratum][:number])
        return np.concatenate(chosen) if chosen else np.empty(0, np.int64)


def _standardised(target: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(n, F)`` and ``(m, F)`` on one scale."""
    both = np.concatenate([target, candidates])
    spread = both.std(axis=0)
    spread[spread == 0] = 1.0
    centre = both.mean(axis=0)
    return (target - centre) / spread, (candidates - centre) / spread


def _match(targets: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Index of the candidate assigned to each target: the assignment of least total squared distance.

    Args:
        targets: Features ``float64[n, F]``.
        candidates: Features ``float64[m, F]``, ``m >= n``, in a random order that does not depend on the
            features.
    """
    limit = max(_MIN_CANDIDATES, _CANDIDATES_PER_TARGET * len(targets))
    a, b = _standardised(targets, candidates[:limit])
    cost = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return linear_sum_assignment(cost)[1]


def _smd(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    pooled = np.sqrt((a.var() + b.var()) / 2)
    difference = float(a.mean() - b.mean())
    if pooled == 0:
        smd = 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    else:
        smd = difference / float(pooled)
    return {"test": float(a.mean()), "control": float(b.mean()), "smd": smd}


def _balance(
    test: np.ndarray,
    control: np.ndarray,
    relation: np.ndarray,
    relation_names: Sequence[str],
    logs: Mapping[str, np.ndarray],
) -> dict[str, dict[str, float]]:
    if not len(test) or not len(control):
        return {}
    balance = {name: _smd(values[test], values[control]) for name, values in logs.items()}
    if len(relation_names) > 1:
        for code, name in enumerate(relation_names):
            balance[f"relation={name}"] = _smd(
                1.0 * (relation[test] == code), 1.0 * (relation[control] == code)
            )
    return balance


def _codes(values: Sequence[Any] | np.ndarray | None, n: int, what: str) -> tuple[np.ndarray, list[str]]:
    if values is None:
        return np.zeros(n, np.int64), ["all"]
    if len(values) != n:
        raise ValueError(f"{what} has {len(values)} entries for {n} questions")
    names, codes = np.unique(np.asarray([str(v) for v in values], dtype=object), return_inverse=True)
    return codes.reshape(-1).astype(np.int64), [str(name) for name in names]


def _lengths(values: Sequence[float] | np.ndarray | None, n: int, what: str) -> np.ndarray:
    if values is None:
        return np.zeros(n)
    lengths = np.asarray(values, dtype=np.float64)
    if lengths.shape != (n,):
        raise ValueError(f"{what} has shape {lengths.shape}, expected ({n},)")
    if n and (not np.isfinite(lengths).all() or lengths.min() < 0):
        raise ValueError(f"{what} must be finite and not negative")
    return np.log1p(lengths)


def draw_splits(
    page_of_question: np.ndarray,
    neighbours: Neighbours,
    *,
    question_ids: Sequence[str],
    doc_ids: Sequence[str],
    n_test: Size,
    n_train: Size,
    n_control: Size | None = None,
    unit: Literal["questions", "pages"] = "questions",
    stratum: Sequence[Any] | np.ndarray | None = None,
    relation: Sequence[Any] | np.ndarray | None = None,
    answer_length: Sequence[float] | np.ndarray | None = None,
    page_length: Sequence[float] | np.ndarray | None = None,
    question_texts: Sequence[str] | None = None,
    seed: int = 0,
) -> Splits:
    """Draw test and train at random, then match control questions to test (DESIGN.md, "Control questions").

    The draw takes the smallest keyed hashes of the question (or page) ids, so that more documents change few
    picks. Control questions lie on pages outside ``F_4``, so that they are in the target language at every
    filter; they are assigned to the test questions one to one, by least squared distance in log answer
    length and log page length within a relation (``unit="questions"``), or page by page within a stratum,
    the number of questions and the mix of relations counting too (``unit="pages"``).

    Args:
        page_of_question: Row of D of each question's page, ``int[N]``; ``-1`` where the page is not in D.
        neighbours: Called once with the test pages, once with the train pages (``int64[P]``, ascending):
            gives ``int[P, top_k]`` rows of the nearest documents, ``-1`` where there are none.
        question_ids: Unique ids of the questions.
        doc_ids: Ids of the documents of D.
        n_test: Questions or pages to draw, as `unit` says (paper: 1000 questions). A number is shared out
            over the strata in proportion; a mapping gives each stratum's own number.
        n_train: The same for training.
        n_control: The same for control; ``None`` for as many as `n_test`.
        unit: ``"questions"`` draws single questions; ``"pages"`` draws pages and takes all their questions.
        stratum: Stratum of each question, such as its page's kind; one for a page where `unit` is
            ``"pages"``.
        relation: Relation of each question, for matching.
        answer_length: Length of each question's answer, in any unit, ``[N]``.
        page_length: Length of each document, in any unit, ``[n_docs]``.
        question_texts: Source-language questions; of duplicates (up to case, punctuation and spacing) one is
            kept.
        seed: The study's seed.

    Returns:
        The splits, with the neighbours that were looked up and the numbers of dropped questions.

    Raises:
        SplitsInfeasible: Too few candidates, with the numbers and what to lower.
        ValueError: Arrays that do not fit together.
    """
    page = np.asarray(page_of_question, dtype=np.int64)
    n, n_docs = len(page), len(doc_ids)
    if len(question_ids) != n:
        raise ValueError(f"{len(question_ids)} question_ids for {n} questions")
    if len(set(question_ids)) != n:
        raise ValueError(f"question_ids must be unique: {n - len(set(question_ids))} repeat")
    if n and (page.min() < -1 or page.max() >= n_docs):
        raise ValueError(f"pages from {page.min()} to {page.max()}; D has {n_docs} documents")
    stratum_code, strata = _codes(stratum, n, "stratum")
    relation_code, relations = _codes(relation, n, "relation")
    log_answer = _lengths(answer_length, n, "answer_length")
    log_page = _lengths(page_length, n_docs, "page_length")

    question_hash = hash_keys(question_ids, seed, "questions")
    usable = page >= 0
    dropped = {"page_not_in_documents": int((~usable).sum())}
    usable &= ~_duplicates(question_texts, usable, question_hash)
    dropped["duplicate_question"] = n - dropped["page_not_in_documents"] - int(usable.sum())

    log_page_of_question = np.where(page >= 0, log_page[page] if n_docs else 0.0, 0.0)
    draw: _QuestionDraw | _PageDraw
    if unit == "pages":
        draw = _PageDraw(page, usable, stratum_code, strata, hash_keys(doc_ids, seed, "pages"))
    elif unit == "questions":
        draw = _QuestionDraw(page, usable, stratum_code, strata, question_hash)
    else:
        raise ValueError(f"unit must be 'questions' or 'pages', not {unit!r}")

    test_units = draw.take(n_test, "n_test", np.empty(0, np.int64))
    test_pages = draw.pages_of(test_units)
    train_units = draw.take(n_train, "n_train", test_pages)
    train_pages = draw.pages_of(train_units)
    n_control = draw.control_size(n_test if n_control is None else n_control, test_units)
    # Before the neighbours are computed, which takes hours at full size.
    draw.check_room(n_control, np.union1d(test_pages, train_pages))

    nearest_test = np.asarray(neighbours(test_pages))
    nearest_train = np.asarray(neighbours(train_pages))
    level = removal_levels(n_docs, test_pages, train_pages, nearest_test, nearest_train)
    test = draw.questions_of(test_units)
    features = np.stack([log_answer, log_page_of_question], axis=1)
    control = draw.match(test_units, n_control, level, features, relation_code, len(relations))
    train = draw.questions_of(train_units)

    drawn = np.zeros(n, bool)
    drawn[np.concatenate([test, train, control])] = True
    left = usable & ~drawn
    removed = left & (level[page] > 0) if n_docs else left
    dropped["removed_page"] = int(removed.sum())
    dropped["not_drawn"] = int((left & ~removed).sum())
    return Splits(
        test=test,
        train=train,
        control=control,
        test_pages=test_pages,
        train_pages=train_pages,
        control_pages=np.unique(page[control]),
        nearest_test=nearest_test,
        nearest_train=nearest_train,
        dropped=dropped,
        balance=_balance(
            test,
            control,
            relation_code,
            relations,
            {"log_answer_length": log_answer, "log_page_length": log_page_of_question},
        ),
    )


def _duplicates(texts: Sequence[str] | None, usable: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """``bool[N]``: usable questions whose text another usable question of smaller hash has."""
    duplicate = np.zeros(len(usable), bool)
    if texts is None:
        return duplicate
    if len(texts) != len(usable):
        raise ValueError(f"{len(texts)} question_texts for {len(usable)} questions")
    seen: set[str] = set()
    for index in np.argsort(keys, kind="stable"):
        if usable[index]:
            key = _question_key(texts[int(index)])
            duplicate[index] = key in seen
            seen.add(key)
    return duplicate


class _Draw:
    """Drawing units by stratum; what a unit is, a question or a page, is for the two kinds below."""

    noun: str
    pool: _Pool
    unit_page: np.ndarray  # page of each unit
    drawable: np.ndarray  # bool per unit

    def __init__(self, strata: Sequence[str]) -> None:
        self.strata = strata

    def _open(self, closed_pages: np.ndarray) -> np.ndarray:
        return self.drawable & ~np.isin(self.unit_page, closed_pages)

    def _numbers(self, size: Size, what: str, open_units: np.ndarray, why: str, remedy: str) -> np.ndarray:
        available = self.pool.available(open_units, len(self.strata))
        numbers = _sizes(size, self.strata, available, what)
        if isinstance(size, int) and size > available.sum():
            raise SplitsInfeasible(
                f"{what} = {size:,} {self.noun}, but only {int(available.sum()):,} of "
                f"{int(self.drawable.sum()):,} {why}. {remedy}"
            )
        short = np.flatnonzero(numbers > available).tolist()
        if short:
            lacks = "; ".join(
                f"{self.strata[s]}: {numbers[s]:,} wanted, {available[s]:,} there" for s in short
            )
            raise SplitsInfeasible(f"{what}: too few {self.noun} {why} ({lacks}). {remedy}")
        return numbers

    def take(self, size: Size, what: str, closed_pages: np.ndarray) -> np.ndarray:
        open_units = self._open(closed_pages)
        remedy = "Lower n_test or n_train, or add questions whose pages are in D."
        numbers = self._numbers(size, what, open_units, "are free for this split", remedy)
        return self.pool.take(open_units, numbers)

    def check_room(self, size: Size, closed_pages: np.ndarray) -> None:
        why = "are on pages that test and train leave"
        self._numbers(size, "n_control", self._open(closed_pages), why, "Lower n_test, n_train or n_control.")

    def control_size(self, size: Size, test_units: np.ndarray) -> Size:
        """A number of control units, shared out over the strata as the test units are."""
        counts = np.bincount(self.pool.stratum[test_units], minlength=len(self.strata))
        if isinstance(size, Mapping) or not counts.any():
            return size
        return dict(zip(self.strata, _allocate(counts, size).tolist()))

    def control_targets(self, test_units: np.ndarray, number: int, stratum: int) -> np.ndarray:
        """`number` test units of a stratum to match, each used as often as the others."""
        mine = test_units[self.pool.stratum[test_units] == stratum]
        if not len(mine):  # a stratum without test units: nothing to be like, so any test unit serves
            mine = test_units
        return np.resize(mine, number)

    def open_for_control(self, size: Size, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        open_units = self.drawable.copy()
        open_units[self.drawable] = level[self.unit_page[self.drawable]] == 0
        removed = int((level > 0).sum())
        why = f"are outside F_4, which takes {removed:,} of {len(level):,} documents"
        remedy = "Lower top_k, n_test, n_train or n_control."
        return open_units, self._numbers(size, "n_control", open_units, why, remedy)

    def pages_of(self, units: np.ndarray) -> np.ndarray:
        return np.unique(self.unit_page[units])


class _QuestionDraw(_Draw):
    noun = "questions"

    def __init__(
        self,
        page: np.ndarray,
        usable: np.ndarray,
        stratum: np.ndarray,
        strata: Sequence[str],
        keys: np.ndarray,
    ) -> None:
        super().__init__(strata)
        self.unit_page, self.drawable = page, usable
        self.pool = _Pool(page, stratum, keys)

    def questions_of(self, units: np.ndarray) -> np.ndarray:
        return np.sort(units)

    def match(
        self,
        test_units: np.ndarray,
        size: Size,
        level: np.ndarray,
        features: np.ndarray,
        relation: np.ndarray,
        n_relations: int,
    ) -> np.ndarray:
        """Control questions: exact on stratum and relation, close on the lengths.

        Where a relation has too few candidates, the rest of its targets take the closest of any relation; the
        balance shows by how much.
        """
        open_units, numbers = self.open_for_control(size, level)
        ordered = self.pool.order[open_units[self.pool.order]]
        chosen: list[np.ndarray] = []
        for stratum, number in enumerate(numbers):
            if not number:
                continue
            targets = self.control_targets(test_units, int(number), stratum)
            candidates = ordered[self.pool.stratum[ordered] == stratum]
            if not len(targets):
                chosen.append(candidates[:number])
                continue
            taken = np.zeros(len(open_units), bool)
            unmatched = []
            for code in range(n_relations):
                wanted = targets[relation[targets] == code]
                same = candidates[relation[candidates] == code]
                if len(same) < len(wanted):
                    unmatched.append(wanted[len(same) :])
                    wanted = wanted[: len(same)]
                if len(wanted):
                    taken[same[_match(features[wanted], features[same])]] = True
            if unmatched:
                wanted = np.concatenate(unmatched)
                rest = candidates[~taken[candidates]]
                taken[rest[_match(features[wanted], features[rest])]] = True
            chosen.append(np.flatnonzero(taken))
        return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


class _PageDraw(_Draw):
    noun = "pages"

    def __init__(
        self,
        page: np.ndarray,
        usable: np.ndarray,
        stratum: np.ndarray,
        strata: Sequence[str],
        doc_keys: np.ndarray,
    ) -> None:
        super().__init__(strata)
        self.unit_page, first, unit_of = np.unique(page[usable], return_index=True, return_inverse=True)
        self.questions = np.flatnonzero(usable)
        self.unit_of_question = unit_of.reshape(-1)
        unit_stratum = stratum[self.questions][first] if len(first) else np.empty(0, np.int64)
        mixed = np.flatnonzero(stratum[self.questions] != unit_stratum[self.unit_of_question])
        if mixed.size:
            row = int(page[self.questions[mixed[0]]])
            raise ValueError(f"the questions of page {row} are in different strata; a page has one")
        self.drawable = np.ones(len(self.unit_page), bool)
        self.pool = _Pool(self.unit_page, unit_stratum, doc_keys[self.unit_page])

    def questions_of(self, units: np.ndarray) -> np.ndarray:
        return self.questions[np.isin(self.unit_of_question, units)]

    def match(
        self,
        test_units: np.ndarray,
        size: Size,
        level: np.ndarray,
        features: np.ndarray,
        relation: np.ndarray,
        n_relations: int,
    ) -> np.ndarray:
        """Control pages of the same stratum, close in lengths, number of questions and mix of relations."""
        open_units, numbers = self.open_for_control(size, level)
        n_units = len(self.unit_page)
        count = np.bincount(self.unit_of_question, minlength=n_units)
        columns = [np.log1p(count)]
        for feature in features[self.questions].T:
            columns.append(np.bincount(self.unit_of_question, weights=feature, minlength=n_units) / count)
        for code in range(n_relations if n_relations > 1 else 0):
            asked = (relation[self.questions] == code).astype(np.float64)
            columns.append(np.bincount(self.unit_of_question, weights=asked, minlength=n_units) / count)
        unit_features = np.stack(columns, axis=1)
        ordered = self.pool.order[open_units[self.pool.order]]
        chosen = []
        for stratum, number in enumerate(numbers):
            if not number:
                continue
            candidates = ordered[self.pool.stratum[ordered] == stratum]
            targets = self.control_targets(test_units, int(number), stratum)
            if len(targets):
                picked = candidates[_match(unit_features[targets], unit_features[candidates])]
            else:
                picked = candidates[:number]
            chosen.append(picked)
        return self.questions_of(np.concatenate(chosen) if chosen else np.empty(0, np.int64))
