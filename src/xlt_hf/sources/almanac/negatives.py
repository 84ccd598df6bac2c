# SPDX-License-Identifier: Apache-2.0
"""Wrong answers that look as right as the right ones.

Questions of one relation are put into blocks of four whose answers differ; the answers of the other three are
a question's wrong ones. In a block the same four options are shown four times, and each is right once, so
whoever sees the options only is right once in four, however unequal the answers' frequencies are.
"""

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


def draw_negatives(
    candidates: Sequence[Candidate],
    normalise: Callable[[tuple[str, ...]], tuple[str, ...]],
    draw: random.Random,
) -> list[list[tuple[str, ...]]]:
    """Three wrong answers per question; fewer where the relation does not have as many.

    Args:
        candidates: the questions of one relation.
        normalise: brings an answer to the forms that `Candidate.excluded` is made of.
        draw: decides what the frequencies leave open.

    Returns:
        For each candidate the wrong answers, parallel over the languages. Questions that fit in no block
        (an answer that more than a quarter of the questions have) take answers drawn by their frequency.
    """
    keys = [normalise(candidate.answer) for candidate in candidates]

    def clash(i: int, j: int) -> bool:
        """Whether j's answer may not be offered as wrong to i."""
        return any(key in excluded for key, excluded in zip(keys[j], candidates[i].excluded, strict=True))

    chosen: list[list[int]] = [[] for _ in candidates]
    waiting: dict[tuple[str, ...], list[int]] = defaultdict(list)
    order = list(range(len(candidates)))
    draw.shuffle(order)
    for i in order:
        waiting[keys[i]].append(i)
    left_over: list[int] = []
    while waiting:
        # Most questions left first: this makes as many blocks as there can be, and puts like with like.
        ranked = sorted(waiting, key=lambda key: (-len(waiting[key]), waiting[key][0]))
        block = [waiting[ranked[0]].pop()]
        for key in ranked[1:]:
            if len(block) == BLOCK:
                break
            other = waiting[key][-1]
            if not any(clash(other, member) or clash(member, other) for member in block):
                block.append(waiting[key].pop())
        waiting = {key: rest for key, rest in waiting.items() if rest}
        if len(block) < BLOCK:
            left_over.append(block[0])
            for member in block[1:]:
                waiting.setdefault(keys[member], []).append(member)
            continue
        for member in block:
            chosen[member] = [other for other in block if other != member]
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
