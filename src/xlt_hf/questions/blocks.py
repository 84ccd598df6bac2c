# SPDX-License-Identifier: Apache-2.0
"""Wrong answers that look as right as the right ones.

Questions of one kind are put into blocks of four whose answers differ; the answers of the other three are
a question's wrong ones. In a block the same four options are shown four times, and each is right once, so
whoever sees the options only is right once in four, however unequal the answers' frequencies are.
"""

import heapq
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

BLOCK = 4


@dataclass(frozen=True)
class Candidate:
    """One question, as far as its options matter.

    Attributes:
        answer: the canonical answer as it reads in each language.
        excluded: normalised texts, by language, that must not be offered as wrong: everything true.
    """

    answer: tuple[str, ...]
    excluded: tuple[frozenset[str], ...]


def is_excluded(key: tuple[str, ...], candidate: Candidate) -> bool:
    """Whether an answer, normalised, is among what must not be offered as wrong, in some language."""
    return any(text in excluded for text, excluded in zip(key, candidate.excluded, strict=True))


def draw_negatives(
    candidates: Sequence[Candidate],
    normalise: Callable[[tuple[str, ...]], tuple[str, ...]],
    draw: random.Random,
    rules_out: Callable[[tuple[str, ...], Candidate], bool] = is_excluded,
) -> list[list[tuple[str, ...]]]:
    """Three wrong answers per question; fewer where there are not as many.

    Args:
        candidates: the questions of one kind. Of answers that are equally frequent those that stand near each
            other here share a block: their order can match them by whatever else counts.
        normalise: brings an answer to the forms that `Candidate.excluded` is made of.
        draw: decides what the frequencies leave open.
        rules_out: whether an answer, normalised, must not be offered as wrong to a candidate.

    Returns:
        For each candidate the wrong answers, parallel over the languages. Questions that fit in no block
        (an answer that more than a quarter of the questions have) take answers drawn by their frequency.
    """
    keys = [normalise(candidate.answer) for candidate in candidates]

    def clash(i: int, j: int) -> bool:
        """Whether j's answer may not be offered as wrong to i."""
        return rules_out(keys[j], candidates[i])

    chosen: list[list[int]] = [[] for _ in candidates]
    waiting: dict[tuple[str, ...], list[int]] = defaultdict(list)
    order = list(range(len(candidates)))
    draw.shuffle(order)
    for i in order:
        waiting[keys[i]].append(i)
    left_over: list[int] = []
    # Most questions left first: this makes as many blocks as there can be, and puts like with like.
    ranked = [(-len(members), members[0], key) for key, members in waiting.items()]
    heapq.heapify(ranked)
    while ranked:
        block: list[int] = []
        passed_by = []
        while ranked and len(block) < BLOCK:
            entry = heapq.heappop(ranked)
            other = waiting[entry[2]][-1]
            if any(clash(other, member) or clash(member, other) for member in block):
                passed_by.append(entry)
            else:
                block.append(waiting[entry[2]].pop())
        for entry in passed_by:
            heapq.heappush(ranked, entry)
        used = {keys[member] for member in block}
        if len(block) < BLOCK:
            left_over.append(block[0])
            for member in block[1:]:
                waiting[keys[member]].append(member)
        else:
            for member in block:
                chosen[member] = [other for other in block if other != member]
        for key in used:
            if members := waiting[key]:
                heapq.heappush(ranked, (-len(members), members[0], key))
    frequency = Counter(keys)
    for i in left_over:
        chosen[i] = _by_frequency(i, keys, frequency, clash, draw)
    result = []
    for others in chosen:
        draw.shuffle(others)
        result.append([candidates[other].answer for other in others])
    return result


def _by_frequency(
    i: int,
    keys: Sequence[tuple[str, ...]],
    frequency: Counter[tuple[str, ...]],
    clash: Callable[[int, int], bool],
    draw: random.Random,
) -> list[int]:
    picked: list[int] = []
    open_answers = {key: j for j, key in enumerate(keys) if not clash(i, j)}
    while open_answers and len(picked) < BLOCK - 1:
        names = list(open_answers)
        key = draw.choices(names, weights=[frequency[name] for name in names])[0]
        picked.append(open_answers[key])
        # Distinct in every language: दिनार is both dinar and denar.
        open_answers = {
            other: j
            for other, j in open_answers.items()
            if all(a != b for a, b in zip(other, key, strict=True))
        }
    return picked
