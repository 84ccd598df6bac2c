# SPDX-License-Identifier: Apache-2.0
"""The question-blind baseline: what four options give away to whoever has not read the question."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from xlt_hf.evaluation.normalization import normalize
from xlt_hf.questions.blocks import BLOCK
from xlt_hf.sources.schema import Question

_RULE = "xl"
_FOLDS = 5


def question_blind_baseline(
    questions: Sequence[Question],
    language: str,
    seed: int,
    *,
    train: Sequence[Question] | None = None,
    max_questions: int = 4000,
) -> dict[str, Any]:
    """How often whoever sees the four options, but not the question, picks the right one; chance is a quarter.

    ``frequency`` picks the option that is right most often elsewhere. ``learned`` is a logistic regression on each
    option's characters (1- to 3-grams) and on how it stands among the four: its length, digits, capitals, and how
    much it resembles the others.

    Args:
        questions: with three wrong answers in `language`; others are left out.
        language: whose options.
        seed: of folds and the sample.
        train: what to learn from, such as the train split. Without it the questions are cut into five folds and
            each is judged by what the other four teach; questions with the same four options stay together, as
            there each right answer would give away the others.
        max_questions: at most so many, drawn at random, of either.

    Returns:
        ``language``, ``n``, ``chance``, and per method ``correct`` (n options that tie for the best count 1/n where
        the right one is among them), ``accuracy``, ``ci_low``, ``ci_high`` (95%, Wilson) and ``p_value`` (exact
        binomial, two-sided, against chance); a method is None where there are too few questions for it.
    """
    draw = np.random.default_rng(seed)
    rows = _option_rows(questions, language, draw, max_questions)
    taught = None if train is None else _option_rows(train, language, draw, max_questions)
    result: dict[str, Any] = {"language": language, "n": len(rows), "chance": 1 / BLOCK}
    folds = list(_folds(rows, taught, seed))
    for name, score in (("frequency", _score_by_frequency), ("learned", _score_by_learning)):
        correct, total = 0.0, 0
        for learn, judge in folds:
            scores = score(learn, judge, language)  # (questions, 4)
            best = scores == scores.max(axis=1, keepdims=True)
            credit = best / best.sum(axis=1, keepdims=True)
            correct += float(sum(shares[row.gold] for row, shares in zip(judge, credit, strict=True)))
            total += len(judge)
        result[name] = _proportion(correct, total) if total else None
    return result


@dataclasses.dataclass(frozen=True, slots=True)
class _OptionRow:
    options: tuple[str, ...]
    forms: tuple[str, ...]
    gold: int


def _option_rows(
    questions: Sequence[Question], language: str, draw: np.random.Generator, most: int
) -> list[_OptionRow]:
    able = [
        question
        for question in questions
        if question.answer.get(language) and len(question.negatives.get(language, ())) == BLOCK - 1
    ]
    if len(able) > most:
        able = [able[i] for i in sorted(draw.choice(len(able), most, replace=False))]
    rows = []
    for question in able:
        options = [question.answer[language][0], *question.negatives[language]]
        order = draw.permutation(BLOCK)
        shuffled = tuple(options[i] for i in order)
        forms = tuple(normalize(option, _RULE, language) for option in shuffled)
        rows.append(_OptionRow(shuffled, forms, int(np.flatnonzero(order == 0)[0])))
    return rows


def _folds(
    rows: Sequence[_OptionRow], taught: Sequence[_OptionRow] | None, seed: int
) -> Iterator[tuple[list[_OptionRow], list[_OptionRow]]]:
    """(what is learnt from, what is judged) pairs."""
    if taught is not None:
        if taught and rows:
            yield list(taught), list(rows)
        return
    groups = {form: i for i, form in enumerate({frozenset(row.forms): None for row in rows})}
    order = list(range(len(groups)))
    random.Random(f"{seed}|folds").shuffle(order)
    fold_of = [order[groups[frozenset(row.forms)]] % _FOLDS for row in rows]
    for fold in range(_FOLDS):
        learn = [row for row, of in zip(rows, fold_of, strict=True) if of != fold]
        judge = [row for row, of in zip(rows, fold_of, strict=True) if of == fold]
        if learn and judge:
            yield learn, judge


def _score_by_frequency(
    learn: Sequence[_OptionRow], judge: Sequence[_OptionRow], language: str
) -> np.ndarray:
    right = Counter(row.forms[row.gold] for row in learn)
    return np.array([[right[form] for form in row.forms] for row in judge], dtype=np.float64)


def _score_by_learning(learn: Sequence[_OptionRow], judge: Sequence[_OptionRow], language: str) -> np.ndarray:
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 3), lowercase=False, sublinear_tf=True)
    letters.fit([option for row in learn for option in row.options])
    scaler = StandardScaler()

    def features(rows: Sequence[_OptionRow], *, fit: bool) -> Any:
        ngrams = letters.transform([option for row in rows for option in row.options])
        among = _among_four(rows, ngrams)
        return hstack(
            [ngrams, csr_matrix(scaler.fit_transform(among) if fit else scaler.transform(among))]
        ).tocsr()

    labels = np.array([i == row.gold for row in learn for i in range(BLOCK)])
    model = LogisticRegression(max_iter=1000).fit(features(learn, fit=True), labels)
    return model.decision_function(features(judge, fit=False)).reshape(-1, BLOCK)


def _among_four(rows: Sequence[_OptionRow], ngrams: Any) -> np.ndarray:
    """How each option stands among the four (`float64[4 * questions, features]`)."""
    plain = np.array(
        [
            [
                len(option),
                len(option.split()),
                sum(char.isdigit() for char in option) / max(1, len(option)),
                option[:1].isupper(),
            ]
            for row in rows
            for option in row.options
        ],
        dtype=np.float64,
    ).reshape(-1, BLOCK, 4)
    from_mean = plain - plain.mean(axis=1, keepdims=True)
    lengths = plain[:, :, 0]
    longest = lengths == lengths.max(axis=1, keepdims=True)
    shortest = lengths == lengths.min(axis=1, keepdims=True)
    likeness = np.zeros(lengths.shape)
    for shift in range(1, BLOCK):
        others = np.roll(np.arange(ngrams.shape[0]).reshape(-1, BLOCK), shift, axis=1).ravel()
        likeness += np.asarray(ngrams.multiply(ngrams[others]).sum(axis=1)).reshape(-1, BLOCK)
    likeness -= likeness.mean(axis=1, keepdims=True)
    stacked = np.concatenate([from_mean, np.stack([longest, shortest, likeness], axis=2)], axis=2)
    return stacked.reshape(-1, stacked.shape[2])


def _proportion(correct: float, total: int) -> dict[str, float]:
    from scipy.stats import binomtest
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(round(correct), total, method="wilson")
    return {
        "correct": correct,
        "accuracy": correct / total,
        "ci_low": float(low),
        "ci_high": float(high),
        "p_value": float(binomtest(round(correct), total, 1 / BLOCK).pvalue),
    }
