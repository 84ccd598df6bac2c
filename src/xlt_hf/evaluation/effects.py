# SPDX-License-Identifier: Apache-2.0
"""What reading a fact in one language only does to answering it in the other.

H (`held_out`) are the test questions, whose pages the target language loses from filter 1 on; R (`retained`)
are the control questions, in both languages at every filter. ȳ_l,G(f) is the mean score of language l on
group G at filter f. Everything is in [0, 1] and rests on the same bootstrap draws of seeds and pages at every
filter.

* **Source recall**: ȳ_en,H(f).
* **Excess** over a guess level g: ȳ_hi,H(f) − g. What a model that never read the facts would score is not
  known without an arm that has not read them in any language; two levels stand in for it, and bracket it in
  practice: the *chance* (always the relation's commonest training answer) and the *floor* (this model's own
  answers, shuffled within their relation). `excess_high` is over the higher of the two (by their means),
  `excess_low` over the lower. With the Hindi-only arm's item scores as `guess`, both are over that.
* **Difference in differences**: Δ_f = [ȳ_hi,H(f) − ȳ_hi,R(f)] − [ȳ_hi,H(0) − ȳ_hi,R(0)]; what removal cost.
  The **triple difference** subtracts the same for the source language.
* **Transfer coefficient**: τ_f = (ȳ_hi,H(f) − g) / (ȳ_hi,H(0) − g), with `guess` only.
* **Conditional transfer**: P(hi ✓ | en ✓) − P(hi ✓ | en ✗) on H; and the same within strata of relation and
  of whether the majority answer is right, combined with Mantel–Haenszel weights. An easy question is guessed
  in both languages, so the plain one is above zero without any transfer.
* **ECLeKTic** (Goldman et al. 2025, arXiv:2502.21228): *overall*, the share of questions right in target and
  source; *transfer*, the share right in the target among those right in the source.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xlt_hf.evaluation.rows import HELD_OUT, RETAINED
from xlt_hf.evaluation.statistics import (
    N_RESAMPLES,
    Estimate,
    Floats,
    Resamples,
    estimate,
    page_resamples,
    seed_resamples,
)

BASELINE_FILTER = 0
# A conditional share of fewer questions than this is not worth an interval.
MIN_CONDITIONAL = 5


@dataclass(frozen=True)
class Effects:
    """The effects at one filter. `None` where the rows do not allow an estimate.

    Attributes:
        filter (`int`): f.
        metric (`str`): What the scores are.
        source, target (`str`): Languages.
        seeds (`tuple[int, ...]`): Pretraining seeds at this filter.
        n_held_out, n_retained, n_pages (`int`): Questions in H and R, pages in H.
        source_recall (`Estimate`): ȳ_en,H(f).
        source_excess (`Estimate`): Source recall over the source language's higher guess level.
        target_held_out (`Estimate`): ȳ_hi,H(f).
        target_retained (`Estimate`): ȳ_hi,R(f).
        source_retained (`Estimate`): ȳ_en,R(f).
        guess_high, guess_low (`float`): Mean guess levels on H in the target language; equal where there is
            one only.
        guess_source (`str`): What they are: `"chance"`, `"floor"`, `"chance and floor"` or `"target-only
            arm"`.
        excess_high, excess_low (`Estimate`): ȳ_hi,H(f) over those.
        seen_excess (`Estimate`): ȳ_hi,R(f) over the lower guess level on R: what `excess_low` is for facts
            that were read.
        difference_in_differences, triple_difference (`Estimate`): Δ_f; none at filter 0 and without it.
        transfer_coefficient (`Estimate`): τ_f; with `guess` and filter 0 only, where the denominator is above
            zero.
        conditional_transfer, stratified_conditional_transfer (`Estimate`): None with fewer than 5 questions a
            side.
        eclektic_overall, eclektic_transfer (`Estimate`): ECLeKTic's scores.
    """

    filter: int
    metric: str
    source: str
    target: str
    seeds: tuple[int, ...]
    n_held_out: int
    n_retained: int
    n_pages: int
    source_recall: Estimate
    source_excess: Estimate
    target_held_out: Estimate
    target_retained: Estimate | None
    source_retained: Estimate | None
    guess_high: float
    guess_low: float
    guess_source: str
    excess_high: Estimate
    excess_low: Estimate
    seen_excess: Estimate | None
    difference_in_differences: Estimate | None
    triple_difference: Estimate | None
    transfer_coefficient: Estimate | None
    conditional_transfer: Estimate | None
    stratified_conditional_transfer: Estimate | None
    eclektic_overall: Estimate
    eclektic_transfer: Estimate | None


@dataclass(frozen=True)
class _Group:
    """One group of questions with its draws; the order of the questions is the order of every array."""

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    relations: tuple[str, ...]
    resamples: Resamples


@dataclass(frozen=True)
class _Cell:
    """One filter, language and group: arrays `float64[S, N]`, seeds by questions."""

    score: Floats
    chance: Floats | None
    floor: Floats | None

    def guess(self) -> list[tuple[str, Floats]]:
        """Guess levels from the lowest to the highest mean."""
        levels = [
            (name, level)
            for name, level in (("chance", self.chance), ("floor", self.floor))
            if level is not None
        ]
        return sorted(levels, key=lambda named: float(named[1].mean()))


class _Panel:
    """Item scores by filter, seed, language and group, checked to be the same questions everywhere."""

    def __init__(self, items: Sequence[Mapping[str, Any]], n_resamples: int, seed: int) -> None:
        self._n_resamples, self._seed = n_resamples, seed
        self._cells: dict[tuple[int, int, str, str], dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for row in items:
            cell = self._cells[(row["filter"], row["seed"], row["language"], row["group"])]
            if row["id"] in cell:
                raise ValueError(
                    f"question {row['id']} stands twice at filter {row['filter']}, seed {row['seed']} "
                    f"({row['language']}, {row['group']}): choose one epoch, task and context"
                )
            cell[row["id"]] = row
        self._groups = {group: self._group(group) for group in (HELD_OUT, RETAINED)}

    def _group(self, group: str) -> _Group | None:
        cells = {key: cell for key, cell in self._cells.items() if key[3] == group}
        if not cells:
            return None
        first_key, first = next(iter(cells.items()))
        for key, cell in cells.items():
            if cell.keys() != first.keys():
                raise ValueError(
                    f"{group} at filter, seed, language {key[:3]} has {len(cell)} questions, at "
                    f"{first_key[:3]} {len(first)}, and {len(cell.keys() & first.keys())} of them are the "
                    "same: compare runs that answered the same questions"
                )
        ids = tuple(sorted(first))
        titles = tuple(first[item]["title"] for item in ids)
        return _Group(
            ids=ids,
            titles=titles,
            relations=tuple(first[item].get("relation") or "" for item in ids),
            # H and R have no page in common, so their draws are independent.
            resamples=page_resamples(
                titles, n_resamples=self._n_resamples, seed=2 * self._seed + (group == RETAINED)
            ),
        )

    def group(self, group: str) -> _Group | None:
        return self._groups[group]

    def seeds(self, filter_level: int, languages: tuple[str, str]) -> tuple[int, ...]:
        """Seeds for which the filter has H in both languages, and R too where there is any R."""
        wanted = [
            (language, group) for language in languages for group, found in self._groups.items() if found
        ]
        candidates = {key[1] for key in self._cells if key[0] == filter_level}
        return tuple(
            sorted(
                seed
                for seed in candidates
                if all((filter_level, seed, language, group) in self._cells for language, group in wanted)
            )
        )

    def filters(self) -> list[int]:
        return sorted({key[0] for key in self._cells})

    def seed_weights(self, n_seeds: int) -> npt.NDArray[np.float32]:
        return seed_resamples(n_seeds, n_resamples=self._n_resamples, seed=self._seed)

    def cell(
        self, filter_level: int, seeds: tuple[int, ...], language: str, group: _Group, name: str
    ) -> _Cell:
        rows = [
            [self._cells[(filter_level, seed, language, name)][item] for item in group.ids] for seed in seeds
        ]

        def table(column: str) -> Floats | None:
            values = [[row.get(column) for row in row_of_seed] for row_of_seed in rows]
            if any(value is None for row_of_seed in values for value in row_of_seed):
                return None
            return np.array(values, dtype=np.float64)

        score = table("score")
        if score is None:
            raise ValueError(f"a question at filter {filter_level} ({language}, {name}) has no score")
        return _Cell(score, table("chance"), table("floor"))


def compute_effects(
    items: Sequence[Mapping[str, Any]],
    *,
    metric: str,
    source: str = "en",
    target: str = "hi",
    guess: Mapping[str, float] | None = None,
    correct_at: float = 0.5,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Effects]:
    """The effects at every filter, one study, size, task and context at a time.

    Args:
        items (`Sequence[Mapping]`): Item scores from `rows.effect_items`.
        metric (`str`): What they are; it is only written down.
        source, target (`str`): Language codes.
        guess (`Mapping[str, float]`, *optional*): Mean item score in [0, 1] of a target-language-only model,
            by id of the held-out question: the guess level itself, in place of the two that bracket it.
        correct_at (`float`, *optional*, defaults to `0.5`): Item score from which an answer counts as right,
            where a share of right answers is conditioned on.
        n_resamples (`int`, *optional*, defaults to `10000`): Bootstrap draws.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.

    Returns:
        `list[Effects]`: One per filter, ascending. A filter lacking a language or group at every seed is left
            out.

    Raises:
        ValueError: There are no held-out questions; the questions differ between runs; one stands twice;
        there is no
            guess level; or `guess` lacks a question.
    """
    panel = _Panel(items, n_resamples, seed)
    held = panel.group(HELD_OUT)
    if held is None:
        raise ValueError("no held-out questions among the predictions: evaluate the test split too")
    return [
        _at_filter(panel, filter_level, metric, source, target, guess, correct_at)
        for filter_level in panel.filters()
        if panel.seeds(filter_level, (source, target))
    ]


def _at_filter(
    panel: _Panel,
    filter_level: int,
    metric: str,
    source: str,
    target: str,
    guess: Mapping[str, float] | None,
    correct_at: float,
) -> Effects:
    seeds = panel.seeds(filter_level, (source, target))
    weights = panel.seed_weights(len(seeds))
    held, retained = panel.group(HELD_OUT), panel.group(RETAINED)
    assert held is not None  # compute_effects has looked

    def mean(values: Floats, group: _Group, least: float = 0.0) -> Estimate:
        return estimate(
            float(values.mean()), group.resamples.means(values, weights), n=values.shape[1], bounds=(least, 1)
        )

    source_held = panel.cell(filter_level, seeds, source, held, HELD_OUT)
    target_held = panel.cell(filter_level, seeds, target, held, HELD_OUT)
    source_kept = panel.cell(filter_level, seeds, source, retained, RETAINED) if retained else None
    target_kept = panel.cell(filter_level, seeds, target, retained, RETAINED) if retained else None

    arm = _arm(guess, held, len(seeds))
    low, high, guess_source = _levels(target_held, arm)
    source_levels = source_held.guess()
    seen_excess = None
    if retained is not None and target_kept is not None:
        kept_levels = target_kept.guess()
        kept_guess = kept_levels[0][1] if kept_levels else np.full_like(target_kept.score, low.mean())
        seen_excess = mean(target_kept.score - kept_guess, retained, -1.0)

    source_right, target_right = source_held.score >= correct_at, target_held.score >= correct_at
    ones = np.zeros(len(held.ids), dtype=int)
    overall = mean((source_right & target_right).astype(float), held)
    return Effects(
        filter=filter_level,
        metric=metric,
        source=source,
        target=target,
        seeds=seeds,
        n_held_out=len(held.ids),
        n_retained=len(retained.ids) if retained else 0,
        n_pages=len(set(held.titles)),
        source_recall=mean(source_held.score, held),
        source_excess=mean(source_held.score - (source_levels[-1][1] if source_levels else 0.0), held, -1.0),
        target_held_out=mean(target_held.score, held),
        target_retained=mean(target_kept.score, retained) if retained and target_kept else None,
        source_retained=mean(source_kept.score, retained) if retained and source_kept else None,
        guess_high=float(high.mean()),
        guess_low=float(low.mean()),
        guess_source=guess_source,
        excess_high=mean(target_held.score - high, held, -1.0),
        excess_low=mean(target_held.score - low, held, -1.0),
        seen_excess=seen_excess,
        difference_in_differences=_differences(panel, filter_level, (target,), source, target),
        triple_difference=_differences(panel, filter_level, (target, source), source, target),
        transfer_coefficient=None if arm is None else _tau(panel, filter_level, source, target, guess),
        conditional_transfer=_conditional(target_right, source_right, ones, held, weights),
        stratified_conditional_transfer=_conditional(
            target_right, source_right, _strata(held, target_held), held, weights
        ),
        eclektic_overall=overall,
        eclektic_transfer=_share(target_right, source_right, held, weights),
    )


def _arm(guess: Mapping[str, float] | None, held: _Group, n_seeds: int) -> Floats | None:
    if guess is None:
        return None
    lacking = [item for item in held.ids if item not in guess]
    if lacking:
        raise ValueError(
            f"the guess level lacks {len(lacking)} of {len(held.ids)} held-out questions, such as "
            f"{lacking[0]}: evaluate the target-only model on the whole test split"
        )
    return np.tile([guess[item] for item in held.ids], (n_seeds, 1))


def _levels(cell: _Cell, arm: Floats | None) -> tuple[Floats, Floats, str]:
    if arm is not None:
        return arm, arm, "target-only arm"
    levels = cell.guess()
    if not levels:
        raise ValueError(
            "no guess level: predictions need a majority_answer, n_options, "
            "or at least two questions to shuffle"
        )
    return levels[0][1], levels[-1][1], " and ".join(sorted(name for name, _ in levels))


def _strata(held: _Group, target_held: _Cell) -> npt.NDArray[np.integer]:
    """Relation, crossed with whether the majority answer is right where that differs between questions."""
    guessable = (
        np.zeros(len(held.ids), dtype=bool) if target_held.chance is None else target_held.chance[0] >= 0.5
    )
    keys = [f"{relation}\t{bool(easy)}" for relation, easy in zip(held.relations, guessable, strict=True)]
    return np.unique(keys, return_inverse=True)[1]


def _differences(
    panel: _Panel, filter_level: int, languages: tuple[str, ...], source: str, target: str
) -> Estimate | None:
    """Δ_f of the first language, less that of the second where there is one, over the seeds that both filters
    have."""
    held, retained = panel.group(HELD_OUT), panel.group(RETAINED)
    if filter_level == BASELINE_FILTER or held is None or retained is None:
        return None
    both = (source, target)
    seeds = tuple(sorted(set(panel.seeds(filter_level, both)) & set(panel.seeds(BASELINE_FILTER, both))))
    if not seeds:
        return None
    weights = panel.seed_weights(len(seeds))
    value, draws = 0.0, np.zeros(held.resamples.weights.shape[0])
    for name, group, group_sign in ((HELD_OUT, held, 1), (RETAINED, retained, -1)):
        change = np.zeros((len(seeds), len(group.ids)))
        for language, language_sign in zip(languages, (1, -1), strict=False):
            now = panel.cell(filter_level, seeds, language, group, name).score
            before = panel.cell(BASELINE_FILTER, seeds, language, group, name).score
            change += language_sign * (now - before)
        value += group_sign * float(change.mean())
        draws = draws + group_sign * group.resamples.means(change, weights)
    return estimate(value, draws, n=min(len(held.ids), len(retained.ids)))


def _tau(
    panel: _Panel, filter_level: int, source: str, target: str, guess: Mapping[str, float] | None
) -> Estimate | None:
    held = panel.group(HELD_OUT)
    assert held is not None
    both = (source, target)
    seeds = tuple(sorted(set(panel.seeds(filter_level, both)) & set(panel.seeds(BASELINE_FILTER, both))))
    arm = _arm(guess, held, len(seeds))
    if not seeds or arm is None:
        return None
    weights = panel.seed_weights(len(seeds))
    now = panel.cell(filter_level, seeds, target, held, HELD_OUT).score - arm
    before = panel.cell(BASELINE_FILTER, seeds, target, held, HELD_OUT).score - arm
    room = held.resamples.means(before, weights)
    if estimate(float(before.mean()), room, n=len(held.ids)).ci_low <= 0:
        return None  # nothing was known at filter 0, so there is nothing to have a share of
    ratio = np.divide(
        held.resamples.means(now, weights), room, out=np.full_like(room, np.nan), where=room > 0
    )
    return estimate(float(now.mean() / before.mean()), ratio, n=len(held.ids))


def _conditional(
    target_right: npt.NDArray[np.bool_],
    source_right: npt.NDArray[np.bool_],
    strata: npt.NDArray[np.integer],
    held: _Group,
    weights: npt.NDArray[np.float32],
) -> Estimate | None:
    """Mantel–Haenszel difference of P(target ✓) between source ✓ and source ✗ over strata."""
    n_seeds = target_right.shape[0]
    numerator, denominator = np.zeros(weights.shape[0]), np.zeros(weights.shape[0])
    value, total = 0.0, 0.0
    sides = np.zeros(2)
    for stratum in np.unique(strata):
        member = strata == stratum
        cells = [(side & member, target_right & side & member) for side in (source_right, ~source_right)]
        (known, known_right), (unknown, unknown_right) = cells
        if not known.any() or not unknown.any():
            continue
        sides += np.array([known.sum(), unknown.sum()]) / n_seeds
        value += (known_right.sum() * unknown.sum() - unknown_right.sum() * known.sum()) / (
            n_seeds * member.sum()
        )
        total += known.sum() * unknown.sum() / (n_seeds * member.sum())
        a, n1, c, n0 = (
            held.resamples.sums(part.astype(float), weights)
            for part in (known_right, known, unknown_right, unknown)
        )
        size = n1 + n0
        share = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
        numerator += (a * n0 - c * n1) * share
        denominator += n1 * n0 * share
    if sides.min() < MIN_CONDITIONAL:
        return None
    draws = np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)
    return estimate(value / total, draws, n=int(sides.min()), bounds=(-1, 1))


def _share(
    part: npt.NDArray[np.bool_],
    whole: npt.NDArray[np.bool_],
    held: _Group,
    weights: npt.NDArray[np.float32],
) -> Estimate | None:
    """P(part | whole)."""
    if whole.sum() / whole.shape[0] < MIN_CONDITIONAL:
        return None
    inside = held.resamples.sums((part & whole).astype(float), weights)
    of = held.resamples.sums(whole.astype(float), weights)
    draws = np.divide(inside, of, out=np.full_like(inside, np.nan), where=of > 0)
    n = int(whole.sum() / whole.shape[0])
    return estimate(float((part & whole).sum() / whole.sum()), draws, n=n, bounds=(0, 1))
