# SPDX-License-Identifier: Apache-2.0
"""Intervals by simulation, tests against scipy and statsmodels, power against the paper's own numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from xlt_hf.evaluation.statistics import (
    bootstrap_mean,
    cochran_armitage,
    discordant_share,
    estimate,
    holm,
    mcnemar_exact,
    minimum_detectable_effect,
    page_resamples,
    seed_resamples,
    sign_flip_test,
)


def coverage(*, between: float, resample_items: bool, runs: int = 300) -> float:
    """Share of runs whose 95% interval holds the true mean, with 40 pages of 4 questions."""
    generator = np.random.default_rng(0)
    pages = np.repeat(np.arange(40), 4)
    hits = 0
    for run in range(runs):
        # Beta-distributed page accuracies of mean 0.5; `between` is their intra-page correlation.
        shape = 0.5 * (1 - between) / between
        accuracy = np.repeat(generator.beta(shape, shape, size=40), 4)
        scores = generator.random(160) < accuracy
        found = bootstrap_mean(scores, pages, n_resamples=800, seed=run, resample_items=resample_items)
        hits += found.ci_low <= 0.5 <= found.ci_high
    return hits / runs


@pytest.mark.parametrize("between", [0.02, 0.4])
def test_the_interval_holds_the_truth_in_about_95_runs_of_100(between):
    assert 0.91 <= coverage(between=between, resample_items=False) <= 0.975


def test_drawing_the_questions_again_within_pages_is_too_cautious():
    assert coverage(between=0.001, resample_items=True) > 0.98


def test_without_pages_the_interval_is_that_of_a_binomial_share():
    generator = np.random.default_rng(1)
    scores = generator.random(400) < 0.3
    found = bootstrap_mean(scores, range(400))
    low, high = stats.binomtest(int(scores.sum()), 400).proportion_ci(method="wilson")
    assert found.ci_low == pytest.approx(low, abs=0.01)
    assert found.ci_high == pytest.approx(high, abs=0.01)
    assert found.ci_low < found.ci90_low < found.value < found.ci90_high < found.ci_high
    assert found.standard_error == pytest.approx(np.sqrt(0.3 * 0.7 / 400), rel=0.1)


def test_questions_of_one_page_hang_together():
    scores = np.repeat([0.0, 1.0], 50)  # ten pages, five all wrong and five all right
    clustered = bootstrap_mean(scores, np.repeat(np.arange(10), 10))
    alone = bootstrap_mean(scores, range(100))
    assert clustered.standard_error > 2.5 * alone.standard_error


def test_seeds_that_differ_widen_the_interval():
    pages = np.arange(200)
    same = np.tile(np.arange(200) % 2, (3, 1))
    apart = np.array([np.zeros(200), np.arange(200) % 2, np.ones(200)])
    assert same.mean() == apart.mean()
    assert bootstrap_mean(apart, pages).standard_error > 4 * bootstrap_mean(same, pages).standard_error


def test_a_score_of_nothing_has_the_interval_of_the_rule_of_three():
    found = bootstrap_mean(np.zeros(100), range(100), n_resamples=100)
    assert (found.ci_low, found.ci_high) == (0.0, pytest.approx(0.03))
    exact = stats.binomtest(0, 100).proportion_ci(confidence_level=0.9, method="exact").high
    assert found.ci_high == pytest.approx(exact, abs=0.001)


def test_draws_depend_on_the_pages_and_the_seed_only():
    first = page_resamples(["a", "a", "b", "c"], n_resamples=50, seed=3)
    again = page_resamples(["a", "a", "b", "c"], n_resamples=50, seed=3)
    other = page_resamples(["a", "a", "b", "c"], n_resamples=50, seed=4)
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)


@given(st.lists(st.sampled_from("abcde"), min_size=1, max_size=12), st.booleans(), st.integers(0, 9))
@settings(max_examples=40)
def test_every_draw_has_as_many_pages_as_there_are(pages, resample_items, seed):
    draws = page_resamples(pages, n_resamples=20, seed=seed, resample_items=resample_items)
    if resample_items:
        sizes = {page: pages.count(page) for page in pages}
        shares = np.array([1 / sizes[page] for page in pages])
        assert (draws.weights @ shares) == pytest.approx(np.full(20, len(set(pages))))
    else:
        assert np.all(draws.weights.sum(axis=1) == len(set(pages)))
    assert draws.means(np.full(len(pages), 0.7)) == pytest.approx(np.full(20, 0.7))


def test_sums_follow_the_weights():
    draws = page_resamples(["a", "b", "b"], n_resamples=30, seed=0)
    values = np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
    seeds = seed_resamples(2, n_resamples=30, seed=0)
    by_hand = [
        sum(v[s] * (w[0] * values[s, 0] + w[1] * (values[s, 1] + values[s, 2])) for s in (0, 1))
        for w, v in zip(draws.weights, seeds, strict=True)
    ]
    assert draws.sums(values, seeds) == pytest.approx(np.array(by_hand))


def test_the_bootstrap_p_value_is_uniform_enough_where_nothing_is_there():
    generator = np.random.default_rng(5)
    p_values = [estimate_of(generator.normal(0, 0.3, size=100), seed=run).p_value for run in range(200)]
    assert np.mean(np.array(p_values) < 0.05) < 0.12
    assert 0.35 < np.mean(p_values) < 0.65


def estimate_of(values, seed):
    return estimate(
        values.mean(),
        page_resamples(range(values.size), n_resamples=500, seed=seed).means(values),
        n=values.size,
    )


def test_bounds_hold_and_undefined_draws_are_left_out():
    found = estimate(0.99, np.array([0.98, 1.0, np.nan]), n=10, bounds=(0, 1))
    assert found.ci_high == 1.0
    with pytest.raises(ValueError, match="undefined in every"):
        estimate(0.0, np.array([np.nan]), n=10)


def test_mcnemar_is_the_binomial_test_of_the_disagreements():
    before = np.array([1] * 9 + [0] * 2 + [1] * 5 + [0] * 4)
    after = np.array([0] * 9 + [1] * 2 + [1] * 5 + [0] * 4)
    assert mcnemar_exact(before, after) == pytest.approx(stats.binomtest(2, 11).pvalue)
    assert mcnemar_exact(before, before) == 1.0
    with pytest.raises(ValueError, match="sign_flip_test"):
        mcnemar_exact([0.5, 1], [0, 1])


def test_sign_flips_of_single_questions_are_exact():
    differences = np.array([0.5, 0.25, 1.0, 0.1, 0.7, 0.3])
    assert sign_flip_test(differences, range(6)) == pytest.approx(2 / 2**6)
    assert sign_flip_test(-differences, range(6)) == pytest.approx(2 / 2**6)


def test_sign_flips_turn_whole_pages():
    differences, pages = np.ones(20), np.repeat(np.arange(4), 5)
    assert sign_flip_test(differences, pages) == pytest.approx(2 / 2**4)
    assert sign_flip_test(differences, range(20)) < 0.001


def test_sign_flips_of_nothing_find_nothing():
    assert sign_flip_test(np.zeros(5), range(5)) == 1.0
    assert sign_flip_test([0.5], ["a"]) == 1.0


def test_cochran_armitage_is_the_correlation_of_dose_and_answer():
    successes, totals, doses = [10, 15, 22, 30], [50, 50, 50, 50], [0, 0.1, 0.25, 1.0]
    z, p = cochran_armitage(successes, totals, doses)
    dose = np.repeat(doses, totals)
    answer = np.concatenate([np.arange(n) < k for k, n in zip(successes, totals, strict=True)])
    r = np.corrcoef(dose, answer)[0, 1]
    assert z == pytest.approx(r * np.sqrt(len(dose) - 1))  # linear-by-linear association
    assert p == pytest.approx(2 * stats.norm.sf(abs(z)))
    assert cochran_armitage(successes[::-1], totals, doses)[0] < 0
    with pytest.raises(ValueError, match="no trend"):
        cochran_armitage([0, 0], [5, 5], [0, 1])
    with pytest.raises(ValueError, match="more successes"):
        cochran_armitage([6, 0], [5, 5], [0, 1])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.parametrize("score, n, points", [(0.012, 1000, 1.36), (0.0941, 1190, 3.35), (0.25, 1000, 5.4)])
def test_the_papers_designs_could_see_no_less_than_this(score, n, points):
    psi = 2 * score * (1 - score)
    assert 100 * minimum_detectable_effect(psi, n) == pytest.approx(points, abs=0.03)


def test_a_difference_of_the_minimum_detectable_size_is_found_in_4_runs_of_5():
    generator = np.random.default_rng(0)
    n, psi = 400, 0.2
    effect = minimum_detectable_effect(psi, n)
    gain, loss = (psi + effect) / 2, (psi - effect) / 2
    found = 0
    for _ in range(400):
        changed = generator.choice([1, -1, 0], size=n, p=[gain, loss, 1 - psi])
        before = np.where(changed == 0, 1, changed == -1)
        found += mcnemar_exact(before, before + changed) < 0.05
    # The exact test is a little less powerful than the normal formula.
    assert 0.70 <= found / 400 <= 0.86


def test_the_discordant_share():
    assert discordant_share([1, 1, 0, 0] * 25, [1, 0, 0, 0] * 25) == pytest.approx(0.25)
    assert discordant_share([1, 0] * 50) == pytest.approx(0.5)  # 2p(1 - p)
    assert discordant_share(np.zeros(100)) == pytest.approx(0.03)
