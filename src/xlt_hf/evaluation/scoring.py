# SPDX-License-Identifier: Apache-2.0
"""Exact match and F1 of answers, and what both would be without any knowledge.

Everything here is a pure function. A score of one item is in [0, 1]; published values are per cent (times
100), as in the paper's tables. The standard library only: the published metric carries a copy of this module.

Three levels tell what a score means:

* the **floor**: the same answers, dealt out to other questions (of the same relation, where relations are
  known). It is what the metric gives to answers that have nothing to do with their question;
* the **chance**: always giving the relation's commonest training answer (closed book), or 1 / options
  (choice);
* F1* = (F1 − floor) / (1 − floor), the F1 that is left when the floor is taken as zero.
"""

import random
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence

from .normalization import RULES, normalize, words

ItemMetric = Callable[..., float]


def exact_match(prediction: str, golds: Sequence[str], *, rule: str, language: str) -> float:
    """1.0 if the answer equals one of the gold answers once both are normalised, else 0.0.

    Args:
        prediction (`str`): The generated answer.
        golds (`Sequence[str]`): Acceptable answers, at least one.
        rule (`str`): `"squad"`, `"mlqa"` or `"xl"`.
        language (`str`): Language code of the answers.

    Raises:
        ValueError: There is no gold answer, or the rule is unknown.
    """
    _need_golds(golds)
    answer = normalize(prediction, rule, language)
    return float(any(answer == normalize(gold, rule, language) for gold in golds))


def f1(prediction: str, golds: Sequence[str], *, rule: str, language: str) -> float:
    """Best F1 over words, counted with multiplicity, between the answer and one of the gold answers; in [0,
    1].

    As in the official SQuAD and MLQA scripts, an answer that shares no word scores 0, so two empty answers do
    too.

    Args and errors are those of `exact_match`.
    """
    _need_golds(golds)
    answer = words(prediction, rule, language)
    best = 0.0
    for gold in golds:
        reference = words(gold, rule, language)
        if set(answer).isdisjoint(reference):
            continue  # most pairs, once answers are shuffled
        shared = sum((Counter(answer) & Counter(reference)).values())
        # Equal to the harmonic mean of shared/|answer| and shared/|gold|, without rounding twice.
        best = max(best, 2 * shared / (len(answer) + len(reference)))
    return best


METRICS: dict[str, ItemMetric] = {"em": exact_match, "f1": f1}


def item_scores(prediction: str, golds: Sequence[str], *, language: str) -> dict[str, float]:
    """Every text score of one item: `{"em_squad": …, "f1_squad": …, "em_mlqa": …, …, "f1_xl": …}`, each in
    [0, 1]."""
    return {
        f"{name}_{rule}": metric(prediction, golds, rule=rule, language=language)
        for rule in RULES
        for name, metric in METRICS.items()
    }


def copyable(golds: Sequence[str], other: str) -> bool:
    """Whether a gold answer stands verbatim in a text of the other language, so that it could be copied from
    there.

    Args:
        golds (`Sequence[str]`): Gold answers in the language of the question.
        other (`str`): The passage in the other language. 167 of XQuAD's 1190 Hindi gold answers (14.0%) stand
            in the English passage: numbers, years, and names left in Latin script.
    """
    return any(gold.strip() and gold.strip() in other for gold in golds)


def script_free(golds: Sequence[str]) -> bool:
    """Whether some gold answer is written with digits and Latin letters only, and so reads alike in both
    languages.

    The closed-book counterpart of `copyable`: such an answer crosses between scripts without being
    transliterated. Digits of any script count as digits, since the `xl` rule makes them equal.
    """
    return any(
        any(char.isalnum() for char in gold)
        and all(
            char.isdecimal() or "LATIN" in unicodedata.name(char, "")
            for char in gold
            if char.isalpha() or char.isdecimal()
        )
        for gold in golds
    )


def shuffled_item_scores(
    predictions: Sequence[str],
    golds: Sequence[Sequence[str]],
    *,
    rule: str,
    language: str,
    metric: str,
    seed: int = 0,
    repeats: int = 20,
    groups: Sequence[Hashable] | None = None,
) -> list[float]:
    """What each question would score with answers given to *other* questions, averaged over several shuffles.

    Within a group the answers are dealt along a random cycle, so that no question keeps its own. Groups of
    one question are dealt together; a single question altogether cannot be shuffled and keeps the score 0.

    Args:
        predictions (`Sequence[str]`): One answer per question.
        golds (`Sequence[Sequence[str]]`): Acceptable answers per question.
        rule, language: As in `exact_match`.
        metric (`str`): `"em"` or `"f1"`.
        seed (`int`, *optional*, defaults to `0`): Seed of the shuffles.
        repeats (`int`, *optional*, defaults to `20`): Number of shuffles.
        groups (`Sequence[Hashable]`, *optional*): Group of each question, such as its relation: answers stay
            within it, and the floor then holds all that the kind of question alone gives away. Default: one
            group.

    Returns:
        `list[float]`: One mean score in [0, 1] per question.

    Raises:
        ValueError: The lengths differ, `repeats` is below 1, or the metric is unknown.
    """
    score = _metric(metric)
    if repeats < 1:
        raise ValueError(f"repeats is {repeats}: at least one shuffle is needed")
    if len(predictions) != len(golds) or (groups is not None and len(groups) != len(golds)):
        raise ValueError(
            f"{len(predictions)} predictions for {len(golds)} questions"
            + (f" in {len(groups)} groups" if groups is not None else "")
            + ": give one of each per question"
        )
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index in range(len(golds)):
        members[None if groups is None else ("group", groups[index])].append(index)
    alone = [indices[0] for indices in members.values() if len(indices) == 1]
    cycles = [indices for indices in members.values() if len(indices) > 1]
    if len(alone) > 1:
        cycles.append(alone)

    generator = random.Random(seed)
    totals = [0.0] * len(golds)
    for _ in range(repeats):
        for indices in cycles:
            order = generator.sample(indices, len(indices))
            for receiver, giver in zip(order, order[1:] + order[:1], strict=True):
                totals[receiver] += score(predictions[giver], golds[receiver], rule=rule, language=language)
    return [total / repeats for total in totals]


def shuffled_floor(
    predictions: Sequence[str],
    golds: Sequence[Sequence[str]],
    *,
    rule: str,
    language: str,
    metric: str,
    seed: int = 0,
    repeats: int = 20,
    groups: Sequence[Hashable] | None = None,
) -> float:
    """The score in [0, 1] of the same answers shuffled over the questions: the metric's floor.

    The mean of `shuffled_item_scores`, whose arguments and errors it shares.

    Raises:
        ValueError: Also where there is no question.
    """
    if not golds:
        raise ValueError("no questions: a floor needs at least two")
    scores = shuffled_item_scores(
        predictions,
        golds,
        rule=rule,
        language=language,
        metric=metric,
        seed=seed,
        repeats=repeats,
        groups=groups,
    )
    return sum(scores) / len(scores)


def f1_star(value: float, floor: float) -> float:
    """F1 above its floor: `(value − floor) / (1 − floor)`, both in [0, 1]; 0 at the floor, 1 for all right.

    Raises:
        ValueError: The floor is not in [0, 1).
    """
    if not 0 <= floor < 1:
        raise ValueError(
            f"the floor is {floor}: scores here are in [0, 1], and a floor of 1 leaves nothing to measure"
        )
    return (value - floor) / (1 - floor)


def majority_answers(
    train: Iterable[tuple[str, Sequence[str]]], *, rule: str = "xl", language: str
) -> dict[str, str]:
    """The commonest training answer of each relation: the answer of one who knows the kind of question only.

    Args:
        train (`Iterable[tuple[str, Sequence[str]]]`): Relation and gold answers of each training question, in
            one language. Only the first gold answer is counted, as it is the one that is trained on.
        rule (`str`, *optional*, defaults to `"xl"`): Answers that this rule makes equal are counted as one.
        language (`str`): Language code of the answers.

    Returns:
        `dict[str, str]`: Relation to answer, as it was first written. Ties go to the answer that sorts first.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    written: dict[str, str] = {}
    for relation, golds in train:
        _need_golds(golds)
        form = normalize(golds[0], rule, language)
        counts[relation][form] += 1
        written.setdefault(form, golds[0])
    return {
        relation: written[min(answers, key=lambda form: (-answers[form], form))]
        for relation, answers in counts.items()
    }


def majority_baseline(
    train: Iterable[tuple[str, Sequence[str]]],
    items: Iterable[tuple[str, Sequence[str]]],
    *,
    rule: str,
    language: str,
    metric: str,
) -> float:
    """Score in [0, 1] of always giving the commonest training answer of the item's relation.

    Args:
        train, items (`Iterable[tuple[str, Sequence[str]]]`): Relation and gold answers of each question. An
            item whose relation has no training question gets no answer, and scores 0.
        rule, language, metric: As in `shuffled_item_scores`.

    Raises:
        ValueError: There are no items, or the metric or rule is unknown.
    """
    score = _metric(metric)
    answers = majority_answers(train, language=language)
    scores = [
        score(answers.get(relation, ""), golds, rule=rule, language=language) for relation, golds in items
    ]
    if not scores:
        raise ValueError("no items: a baseline needs at least one question")
    return sum(scores) / len(scores)


def _metric(name: str) -> ItemMetric:
    if name not in METRICS:
        raise ValueError(f"no text metric {name!r}: use one of {', '.join(METRICS)}")
    return METRICS[name]


def _need_golds(golds: Sequence[str]) -> None:
    if isinstance(golds, str):
        raise TypeError(f"golds is the single text {golds!r}: give a list of acceptable answers")
    if not golds:
        raise ValueError("no gold answer: a question without one cannot be scored, drop it and count it")
