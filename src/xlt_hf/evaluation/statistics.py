# SPDX-License-Identifier: Apache-2.0
"""Intervals, tests and power for scores of questions that share pages and pretraining seeds.

What `scipy.stats` and `statsmodels` have is called there; ours is only the clustered, crossed bootstrap.

The bootstrap draws whole seeds and, crossed with them, whole pages: every seed answers the same questions, so
one draw of pages serves all seeds, filters, languages and metrics, and differences between them are paired.
By default a drawn page brings all its questions. Drawing the questions again within a drawn page
(`resample_items=True`, the literal reading of "seeds → pages → items") counts their variance twice: with 4
unrelated questions a page its 95% interval holds the truth in over 98 runs of 100, and the default's in 93 to
96 (`tests/evaluation/test_statistics.py`; Davison & Hinkley 1997, §3.8).
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.contingency_tables import Table, mcnemar
from statsmodels.stats.multitest import multipletests

N_RESAMPLES = 10_000
Floats = npt.NDArray[np.floating]


@dataclass(frozen=True)
class Resamples:
    """Bootstrap draws of questions.

    Attributes:
        unit (`int64[N]`): What is drawn with question i: the index of its page, or its own where items are
            redrawn.
        weights (`float32[B, U]`): How often unit u is in draw b.
    """

    unit: npt.NDArray[np.integer]
    weights: npt.NDArray[np.float32]

    def sums(self, values: npt.ArrayLike, seed_weights: npt.NDArray[np.float32] | None = None) -> Floats:
        """The sum of `values` in every draw.

        Args:
            values (`float[S, N]` or `float[N]`): A value per seed and question.
            seed_weights (`float32[B, S]`, *optional*): How often seed s is in draw b (`seed_resamples`);
                default: every seed once.

        Returns:
            `float64[B]`: Sums over the drawn seeds and questions.
        """
        table = np.atleast_2d(np.asarray(values, dtype=np.float64))  # (S, N)
        if table.shape[1] != self.unit.size:
            raise ValueError(f"{table.shape[1]} values for draws of {self.unit.size} questions")
        by_unit = np.zeros((self.weights.shape[1], table.shape[0]))  # (U, S)
        np.add.at(by_unit, self.unit, table.T)
        drawn = self.weights @ by_unit  # (B, S)
        return drawn.sum(axis=1) if seed_weights is None else np.einsum("bs,bs->b", drawn, seed_weights)

    def means(self, values: npt.ArrayLike, seed_weights: npt.NDArray[np.float32] | None = None) -> Floats:
        """The mean of `values` in every draw; arguments and shape as in `sums`."""
        table = np.atleast_2d(np.asarray(values, dtype=np.float64))
        return self.sums(table, seed_weights) / self.sums(np.ones_like(table), seed_weights)


def page_resamples(
    pages: Sequence[Hashable],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    resample_items: bool = False,
) -> Resamples:
    """Draw pages with replacement, as often as there are pages.

    The draws depend on the set of pages, on the order of the questions and on the seed only, so the same
    questions get the same draws at every filter.

    Args:
        pages (`Sequence[Hashable]`): The page of each question.
        n_resamples (`int`, *optional*, defaults to `10000`): B.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.
        resample_items (`bool`, *optional*, defaults to `False`): Draw the questions again within each drawn
            page.

    Raises:
        ValueError: There is no question.
    """
    if len(pages) == 0:
        raise ValueError("no questions: an interval needs at least one")
    order = {page: index for index, page in enumerate(sorted(set(pages), key=str))}
    page_of = np.array([order[page] for page in pages])
    n_pages = len(order)
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(n_pages, np.full(n_pages, 1 / n_pages), size=n_resamples)  # (B, P)
    if not resample_items:
        return Resamples(page_of, drawn.astype(np.float32))
    weights = np.zeros((n_resamples, len(pages)), dtype=np.float32)
    for page in range(n_pages):
        members = np.flatnonzero(page_of == page)
        share = np.full(members.size, 1 / members.size)
        # c copies of a page of m questions, each redrawn m times, are c*m draws of one of m questions.
        weights[:, members] = generator.multinomial(drawn[:, page] * members.size, share)
    return Resamples(np.arange(len(pages)), weights)


def seed_resamples(n_seeds: int, *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> npt.NDArray[np.float32]:
    """Draw pretraining seeds with replacement: `float32[B, S]`, how often each is drawn.

    One seed is always drawn, and the interval then speaks of that checkpoint only.
    """
    generator = np.random.default_rng([seed, n_seeds, 1])  # a stream of its own beside the pages'
    return generator.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=n_resamples).astype(np.float32)


@dataclass(frozen=True)
class Estimate:
    """A number with what its draws say of it. Units are those of the scores: [0, 1].

    Attributes:
        value (`float`): The point estimate.
        ci_low, ci_high (`float`): 95% percentile interval.
        ci90_low, ci90_high (`float`): 90% percentile interval, the one of an equivalence test at 5%.
        standard_error (`float`): Standard deviation of the draws.
        p_value (`float`): Two-sided bootstrap p-value of "it is zero", at least 2 / (B + 1).
        n (`int`): Questions it rests on.
    """

    value: float
    ci_low: float
    ci_high: float
    ci90_low: float
    ci90_high: float
    standard_error: float
    p_value: float
    n: int

    @property
    def mde(self) -> float:
        """The effect that a two-sided 5% test finds with 80% power, from the standard error."""
        return float(_power_factor(0.05, 0.8) * self.standard_error)

    def within(self, delta: float) -> bool:
        """Whether the 90% interval lies inside ±delta: equivalence at the 5% level (two one-sided tests)."""
        return -delta < self.ci90_low and self.ci90_high < delta


def estimate(
    value: float, draws: Floats, *, n: int, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> Estimate:
    """Make an `Estimate` from a value and its bootstrap draws.

    No interval reaches less than 3/n to either side: draws of a score that is nearly constant hardly vary,
    and none right out of n is compatible with a share of up to 3/n (the rule of three). The standard error
    has the floor that belongs to it, 3/n over 1.96.

    Args:
        value (`float`): The point estimate.
        draws (`float64[B]`): The same number in every draw; draws where it is undefined are NaN and left out.
        n (`int`): Questions it rests on.
        bounds (`tuple[float, float]`, *optional*): Values that the number can take; the intervals stay
            within.

    Raises:
        ValueError: The number is undefined in every draw, or n is below 1.
    """
    if n < 1:
        raise ValueError(f"an estimate from {n} questions")
    draws = draws[~np.isnan(draws)]
    if draws.size == 0:
        raise ValueError("undefined in every bootstrap draw")
    margin = 3 / n
    low, low90, high90, high = np.quantile(draws, [0.025, 0.05, 0.95, 0.975])
    below, above = (1 + np.sum(draws <= 0)) / (draws.size + 1), (1 + np.sum(draws >= 0)) / (draws.size + 1)
    least, most = bounds
    return Estimate(
        value=float(value),
        ci_low=float(max(least, min(low, value - margin))),
        ci_high=float(min(most, max(high, value + margin))),
        ci90_low=float(max(least, min(low90, value - margin))),
        ci90_high=float(min(most, max(high90, value + margin))),
        standard_error=float(max(draws.std(), margin / stats.norm.ppf(0.975))),
        p_value=float(min(1.0, 2 * min(below, above))),
        n=n,
    )


def bootstrap_mean(
    scores: npt.ArrayLike,
    pages: Sequence[Hashable],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    resample_items: bool = False,
) -> Estimate:
    """The mean score with its hierarchical bootstrap interval.

    Args:
        scores (`float[S, N]` or `float[N]`): Item scores per pretraining seed, in [0, 1].
        pages (`Sequence[Hashable]`): The page of each of the N questions.
        n_resamples, seed, resample_items: As in `page_resamples`.

    Raises:
        ValueError: There is no question, or the shapes do not agree.
    """
    table = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    resamples = page_resamples(pages, n_resamples=n_resamples, seed=seed, resample_items=resample_items)
    seeds = seed_resamples(table.shape[0], n_resamples=n_resamples, seed=seed)
    return estimate(float(table.mean()), resamples.means(table, seeds), n=table.shape[1], bounds=(0, 1))


def mcnemar_exact(before: npt.ArrayLike, after: npt.ArrayLike) -> float:
    """Two-sided p-value of McNemar's exact test for the same questions answered by two models.

    Args:
        before, after (`bool[N]`): Whether each question was answered right.

    Returns:
        `float`: p-value; 1.0 where the two never disagree.
    """
    first, second = _paired(before, after)
    table = [
        [np.sum(first & second), np.sum(first & ~second)],
        [np.sum(~first & second), np.sum(~first & ~second)],
    ]
    return float(mcnemar(table, exact=True).pvalue)


def sign_flip_test(
    differences: npt.ArrayLike,
    pages: Sequence[Hashable],
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> float:
    """Two-sided p-value of "the mean difference is zero", flipping the sign of whole pages.

    Exact where the pages with a difference have no more than `n_resamples` sign patterns, sampled otherwise.

    Args:
        differences (`float[N]`): Score of one model minus the other's, per question.
        pages (`Sequence[Hashable]`): The page of each question.
        n_resamples (`int`, *optional*, defaults to `10000`): Sign patterns to draw.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.shape != (len(pages),):
        raise ValueError(f"{values.shape} differences for {len(pages)} questions: give one per question")
    _, page_of = np.unique([str(page) for page in pages], return_inverse=True)
    sums = np.bincount(page_of, weights=values)
    sums = sums[np.abs(sums) > 1e-12]
    if sums.size == 0:
        return 1.0
    if sums.size == 1:
        return 1.0  # both signs are as extreme
    result = stats.permutation_test(
        (sums,),
        lambda data, axis: np.mean(data, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=n_resamples,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def cochran_armitage(
    successes: Sequence[int], totals: Sequence[int], doses: Sequence[float]
) -> tuple[float, float]:
    """Cochran–Armitage test for a trend of a share with the dose.

    Args:
        successes, totals (`Sequence[int]`): Right answers and questions at each dose.
        doses (`Sequence[float]`): For instance the share π of documents that was given back.

    Returns:
        `tuple[float, float]`: z, positive where the share grows with the dose, and its two-sided p-value.

    Raises:
        ValueError: The lengths differ, a count is impossible, or all answers (or all doses) are the same.
    """
    right, total, dose = np.asarray(successes), np.asarray(totals), np.asarray(doses, dtype=np.float64)
    if not right.shape == total.shape == dose.shape:
        raise ValueError(
            f"{right.size} success counts, {total.size} totals, {dose.size} doses: give one of each"
        )
    if np.any(right < 0) or np.any(right > total):
        raise ValueError("more successes than questions at some dose")
    if right.sum() in (0, total.sum()) or np.unique(dose[total > 0]).size < 2:
        raise ValueError("no trend can be tested: all answers are alike, or there is one dose only")
    test = Table(np.column_stack([total - right, right])).test_ordinal_association(
        row_scores=dose, col_scores=np.array([0.0, 1.0])
    )
    return float(test.zscore), float(test.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values of one family of tests, in the order given."""
    if not p_values:
        return []
    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def minimum_detectable_effect(psi: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """`(z_{1−α/2} + z_power) √(ψ/n)`: the difference of two paired scores that the design can see.

    Args:
        psi (`float`): Share of questions on which the two runs disagree; for scores between 0 and 1, the mean
            squared difference.
        n (`int`): Questions.
        alpha (`float`, *optional*, defaults to `0.05`): Two-sided level.
        power (`float`, *optional*, defaults to `0.8`): Chance of seeing a difference of that size.

    Returns:
        `float`: In the unit of the scores.

    Raises:
        ValueError: psi is not in [0, 1], or n is below 1.
    """
    if not 0 <= psi <= 1 or n < 1:
        raise ValueError(f"psi is {psi} and n is {n}: psi is a share, and n a number of questions")
    return _power_factor(alpha, power) * math.sqrt(psi / n)


def discordant_share(first: npt.ArrayLike, second: npt.ArrayLike | None = None) -> float:
    """ψ: the mean squared difference of two runs' item scores; the share of disagreements where scores are 0
    or 1.

    Args:
        first (`float[N]`): Item scores of a run.
        second (`float[N]`, *optional*): Those of the other run. Where there is none yet, ψ is what another
            run of the same accuracy with unrelated errors would give, `2 var` (`2p(1 − p)` for 0 and 1):
            pairing can only help.

    Returns:
        `float`: In [0, 1], and never below 3/N (the rule of three): a run that got nothing right can still
            see little.
    """
    values = np.asarray(first, dtype=np.float64)
    if values.size == 0:
        raise ValueError("no questions: a discordant share needs at least one")
    if second is None:
        psi = 2 * values.var()
    else:
        psi = np.mean((values - np.asarray(second, dtype=np.float64)) ** 2)
    return float(min(1.0, max(psi, 3 / values.size)))


def _power_factor(alpha: float, power: float) -> float:
    return float(stats.norm.ppf(1 - alpha / 2) + stats.norm.ppf(power))


def _paired(
    before: npt.ArrayLike, after: npt.ArrayLike
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    first, second = np.asarray(before), np.asarray(after)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            f"shapes {first.shape} and {second.shape}: give the same questions in the same order"
        )
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ValueError("McNemar's test needs answers that are right or wrong: use sign_flip_test for F1")
    return first.astype(bool), second.astype(bool)
