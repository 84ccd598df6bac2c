# SPDX-License-Identifier: Apache-2.0
"""One line per task and filter on the question "is a fact that was read in English only known in Hindi?"

The verdict is derived from `effects.Effects` by the rules below; nothing in it is typed by hand. Two numbers
come from the study, fixed before any result: the source recall threshold and δ, the smallest effect that
counts. The rules are tried in this order; f is above 0, and filter 0, where nothing was removed, has no
verdict.

1. ``undefined: source not learnt``: the English score on the held-out questions H is below the threshold, or
   its 95% interval does not clear the English guess level. What was not learnt cannot cross.
2. ``no transfer (equivalent within δ)``: the 90% interval of Hindi on H over the *lower* guess level lies
   within ±δ (two one-sided tests at 5%), *and* the instrument could have shown more: on the control questions
   R, whose facts the same model read in Hindi, the same excess is above δ (95% interval). Without the second
   condition a model that answers nothing in Hindi would prove that nothing crosses.
3. ``transfer``: Hindi on H clears the *higher* guess level (95% interval above zero), *and* goes with knowing
   the fact in English: the conditional transfer within strata of relation and guessability is above zero too
   (95% interval). The larger p-value of the two, Holm-adjusted over the filters of the task, is at most 5%.
   Where fewer than 5 questions are right (or wrong) in English, the second part cannot be asked, and the
   reason says so.
4. ``inconclusive (MDE …)`` otherwise, with the smallest excess that 80% of such experiments would have found,
   and the reason: H too small, Hindi not answerable, or an effect that is neither shown nor excluded.

Two guess levels are used because neither is known to be right: always answering the commonest training answer
may beat what an ignorant model would do, and this model's own answers shuffled may fall short of it. A claim
of transfer must hold against the higher, a claim of none against the lower. A target-only arm replaces both.

Why not Δ alone (the difference in differences)? Δ_f is what removal cost. Δ within ±δ means that removal cost
nothing: full transfer, or a model that knew nothing in Hindi to begin with, as in the paper. And where R too
falls between the filters, Δ shrinks with no fact crossing, since H cannot fall below guessing. Δ is therefore
printed beside every verdict, with "removal cost nothing" where its 90% interval lies within ±δ, and decides
none.

With fewer than 3 pretraining seeds the verdict is about *these checkpoints*; with fewer than 10 pages in H it
is always inconclusive, since a bootstrap over so few pages is not to be trusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xlt_hf.evaluation.effects import BASELINE_FILTER, Effects, compute_effects
from xlt_hf.evaluation.rows import effect_items, metric_columns
from xlt_hf.evaluation.statistics import N_RESAMPLES, Estimate, holm

ALPHA = 0.05
MIN_PAGES = 10
MIN_SEEDS = 3

Kind = Literal["baseline", "transfer", "no transfer", "inconclusive", "undefined"]

# Contexts in which the target language is asked for what it was not given in that language.
VERDICT_CONTEXTS = ("none", "source")
# The metric that a task is judged by: the first of these that its predictions have.
PRIMARY_METRICS = ("em_xl", "accuracy_letter", "accuracy_loglikelihood_sum")


@dataclass(frozen=True)
class Verdict:
    """What may be said of one study, size, task, context and filter.

    Attributes:
        kind (`str`): `"baseline"` (filter 0), `"transfer"`, `"no transfer"`, `"inconclusive"` or
            `"undefined"`.
        text (`str`): The verdict, such as `"inconclusive (MDE 8.3 points)"`.
        reason (`str`): The numbers that decided it, in points.
        scope (`str`): `"these checkpoints (1 seed)"`, or `"4 seeds"`.
        p_value (`float`, *optional*): Holm-adjusted p-value of transfer; `None` where it was not asked.
        delta (`float`): δ in [0, 1].
        effects (`Effects`): What it rests on.
    """

    study: str
    size: str
    task: str
    context: str
    filter: int
    kind: Kind
    text: str
    reason: str
    scope: str
    p_value: float | None
    delta: float
    effects: Effects

    def line(self) -> str:
        """The whole verdict in one line."""
        where = (
            f"{self.task}, filter {self.filter}"
            if self.context == "none"
            else f"{self.task} ({self.context}), filter {self.filter}"
        )
        return f"{where}: {self.text}. {self.reason} [{self.scope}]"


def decide(
    effects: Sequence[Effects],
    *,
    source_recall_threshold: float,
    delta: float,
    study: str = "",
    size: str = "",
    task: str = "",
    context: str = "none",
) -> list[Verdict]:
    """Verdicts of one task family: the filters of one study, size, task and context.

    Args:
        effects (`Sequence[Effects]`): One per filter.
        source_recall_threshold (`float`): In [0, 1]; the study's `evaluation.source_recall_threshold`.
        delta (`float`): δ in (0, 1); the study's `evaluation.equivalence_margin`.
        study, size, task, context (`str`): Written into the verdicts.

    Returns:
        `list[Verdict]`: In the order given.

    Raises:
        ValueError: The threshold or δ is out of range.
    """
    if not 0 <= source_recall_threshold <= 1 or not 0 < delta < 1:
        raise ValueError(
            f"source recall threshold {source_recall_threshold}, delta {delta}: both are shares, "
            "and delta is above 0"
        )
    asked = [
        found
        for found in effects
        if found.filter != BASELINE_FILTER and _learnt(found, source_recall_threshold)
    ]
    adjusted = dict(
        zip([found.filter for found in asked], holm([_transfer_p(found) for found in asked]), strict=True)
    )
    verdicts = []
    for found in effects:
        p_value = adjusted.get(found.filter)
        kind, text, reason = _verdict(found, source_recall_threshold, delta, p_value)
        verdicts.append(
            Verdict(
                study=study,
                size=size,
                task=task,
                context=context,
                filter=found.filter,
                kind=kind,
                text=text,
                reason=reason,
                scope=_scope(found),
                p_value=p_value,
                delta=delta,
                effects=found,
            )
        )
    return verdicts


def verdicts_of(
    predictions: Sequence[Mapping[str, Any]],
    *,
    source_recall_threshold: float,
    delta: float,
    source: str = "en",
    target: str = "hi",
    guess: Mapping[str, float] | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[Verdict]:
    """Verdicts of every study, size, task and context among published `predictions` rows.

    A context that holds the fact in the target language (`"native"`), another question's passage, or the
        ablation
    without any has no verdict: it says nothing about what crosses. Only the last epoch of finetuning counts:
    rows whose `epoch` is `None`. A task is judged by the first of `PRIMARY_METRICS` that its predictions
    have.

    Args:
        predictions (`Sequence[Mapping]`): Rows as `rows.PredictionRow.to_dict` gives them.
        source_recall_threshold, delta (`float`): As in `decide`.
        source, target, guess, n_resamples, seed: As in `effects.compute_effects`.

    Raises:
        ValueError: From `effects.compute_effects`; or a task has none of the metrics.
    """
    families: dict[tuple[str, str, str, str], list[Mapping[str, Any]]] = {}
    for row in predictions:
        if row.get("epoch") is None:
            families.setdefault((row["study"], row["size"], row["task"], row["context"]), []).append(row)
    verdicts = []
    for (study, size, task, context), own in sorted(families.items()):
        ablation = context == "none" and any(
            key[:3] == (study, size, task) and key[3] != "none" for key in families
        )
        if context not in VERDICT_CONTEXTS or ablation:
            continue
        rows = own
        metric = primary_metric(rows[0])
        effects = compute_effects(
            effect_items(rows, metric, seed=seed),
            metric=metric,
            source=source,
            target=target,
            guess=guess,
            n_resamples=n_resamples,
            seed=seed,
        )
        verdicts += decide(
            effects,
            source_recall_threshold=source_recall_threshold,
            delta=delta,
            study=study,
            size=size,
            task=task,
            context=context,
        )
    return verdicts


def primary_metric(row: Mapping[str, Any]) -> str:
    """The metric that a prediction's task is judged by.

    Raises:
        ValueError: It has none of `PRIMARY_METRICS`.
    """
    available = metric_columns(row)
    for metric in PRIMARY_METRICS:
        if metric in available:
            return metric
    raise ValueError(
        f"task {row['task']} has {', '.join(available) or 'no scores'}: "
        f"a verdict needs one of {', '.join(PRIMARY_METRICS)}"
    )


def _learnt(found: Effects, threshold: float) -> bool:
    return found.source_recall.value >= threshold and found.source_excess.ci_low > 0


def _transfer_p(found: Effects) -> float:
    conditional = found.stratified_conditional_transfer
    # Both must hold, so the larger p-value is that of the pair (an intersection-union test).
    return max(found.excess_high.p_value, conditional.p_value if conditional else 0.0)


def _verdict(found: Effects, threshold: float, delta: float, p_value: float | None) -> tuple[Kind, str, str]:
    source, target = found.source, found.target
    if found.filter == BASELINE_FILTER:
        return "baseline", "—", f"Nothing removed. Source recall ({source}) {_points(found.source_recall)}."
    if not _learnt(found, threshold):
        return (
            "undefined",
            "undefined: source not learnt",
            f"Source recall ({source}) {_points(found.source_recall)}, "
            f"{_points(found.source_excess)} over guessing; the threshold is {_point(threshold)}.",
        )
    facts = (
        f"Held-out {target} {_points(found.target_held_out)}, guess level {_guess(found)}, "
        f"source recall ({source}) {_points(found.source_recall)}"
    )
    facts += _removal(found, delta)
    inconclusive = f"inconclusive (MDE {_point(found.excess_high.mde)} points)"
    if found.n_pages < MIN_PAGES:
        return (
            "inconclusive",
            inconclusive,
            f"{facts}; {found.n_pages} held-out pages are too few, {MIN_PAGES} are needed.",
        )

    seen = found.seen_excess
    able = seen is not None and seen.ci_low > delta
    if found.excess_low.within(delta):
        if able:
            assert seen is not None  # it is what able looks at
            return (
                "no transfer",
                f"no transfer (equivalent within δ = {_point(delta)} points)",
                f"{facts}; excess {_points(found.excess_low, level=90)}, where facts read in "
                f"{target} give {_points(seen)}; MDE {_point(found.excess_low.mde)}.",
            )
        lack = (
            "there are no control questions"
            if seen is None
            else f"facts read in {target} give only {_points(seen)} over guessing"
        )
        return (
            "inconclusive",
            inconclusive,
            f"{facts}; nothing shows that {target} could be answered: {lack}.",
        )

    conditional = found.stratified_conditional_transfer
    exceeds = found.excess_high.ci_low > 0
    follows = conditional is None or conditional.ci_low > 0
    tie = (
        f"too few questions right or wrong in {source} to ask whether it goes with knowing them"
        if conditional is None
        else f"conditional transfer {_points(conditional)}"
    )
    if exceeds and follows and p_value is not None and p_value <= ALPHA:
        return (
            "transfer",
            "transfer",
            f"{facts}; excess {_points(found.excess_high)}; {tie}; p = {p_value:.2g} (Holm).",
        )
    if not exceeds:
        why = (
            f"excess {_points(found.excess_high)} over the higher guess level, "
            f"{_points(found.excess_low, level=90)} over the lower"
        )
    elif not follows:
        why = f"{tie}: the excess does not go with knowing the fact in {source}"
    else:
        why = f"p = {p_value:.2g} after Holm's adjustment"
    return "inconclusive", inconclusive, f"{facts}; {why}; δ is {_point(delta)}."


def _guess(found: Effects) -> str:
    if found.guess_low == found.guess_high:
        return f"{_point(found.guess_high)} ({found.guess_source})"
    return f"{_point(found.guess_low)}–{_point(found.guess_high)} ({found.guess_source})"


def _removal(found: Effects, delta: float) -> str:
    change = found.difference_in_differences
    if change is None:
        return ""
    nothing = ", removal cost nothing" if change.within(delta) else ""
    return f", Δ {_points(change)}{nothing}"


def _scope(found: Effects) -> str:
    count = len(found.seeds)
    seeds = f"{count} seed{'' if count == 1 else 's'}"
    return seeds if count >= MIN_SEEDS else f"these checkpoints ({seeds})"


def _point(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(found: Estimate, level: int = 95) -> str:
    low, high = (found.ci_low, found.ci_high) if level == 95 else (found.ci90_low, found.ci90_high)
    label = "" if level == 95 else f" ({level}%)"
    return f"{_point(found.value)} [{_point(low)}, {_point(high)}]{label}"
