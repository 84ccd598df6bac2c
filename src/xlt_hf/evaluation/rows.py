# SPDX-License-Identifier: Apache-2.0
"""The rows of the results dataset: one per answered question (`predictions`), one per printed number
(`scores`).

Item scores in `predictions` are in [0, 1]. Everything in `scores` is per cent: `value`, its interval,
`floor`, `chance` and `mde`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from xlt_hf.evaluation.scoring import METRICS, shuffled_item_scores
from xlt_hf.evaluation.statistics import (
    N_RESAMPLES,
    Resamples,
    discordant_share,
    estimate,
    minimum_detectable_effect,
    page_resamples,
)

HELD_OUT, RETAINED, ALL = "held_out", "retained", "all"
GROUPS = (HELD_OUT, RETAINED)

_TEXT_METRIC = re.compile(r"^(em|f1)_(squad|mlqa|xl)$")
_METRIC = re.compile(r"^((em|f1)_(squad|mlqa|xl)|accuracy_[a-z_]+)$")
QUESTION_BLIND = "accuracy_question_blind"


@dataclass(frozen=True)
class PredictionRow:
    """One question, asked of one model in one language.

    Attributes:
        study, size (`str`): The experiment and the model size.
        task (`str`): The study's task, such as `"facts"`.
        context (`str`): `"none"`, `"en-context"`, `"native-context"`, …; what stood before the question.
        filter, seed (`int`): Of the base model.
        epoch (`int`, *optional*): Of finetuning; `None` for `main`, the last one.
        language (`str`): Of the question.
        group (`str`): `"held_out"` for the test split at *every* filter (held out from filter 1 on),
            `"retained"` for the control split.
        id, title, relation (`str`): Of the question, its page, and what it asks for (`""` where unknown).
        prompt, prediction (`str`): What went in and what came out.
        golds (`Sequence[str]`): Acceptable answers.
        majority_answer (`str`, *optional*): The commonest training answer of the relation in this language
            (`scoring.majority_answers`); `None` for tasks without that baseline.
        n_options (`int`, *optional*): Options of a multiple-choice question; `None` for the others.
        copyable (`bool`, *optional*): Whether a gold answer could be copied across scripts
            (`scoring.copyable` with a context, `scoring.script_free` without); `None` where it was not worked
            out.
        scores (`Mapping[str, float]`): Every item score in [0, 1] by metric; one column each when published.
        model, model_revision (`str`): Repo id and commit.
    """

    study: str
    size: str
    task: str
    context: str
    filter: int
    seed: int
    language: str
    group: str
    id: str
    title: str
    relation: str
    prompt: str
    prediction: str
    golds: Sequence[str]
    model: str
    model_revision: str
    scores: Mapping[str, float]
    epoch: int | None = None
    majority_answer: str | None = None
    n_options: int | None = None
    copyable: bool | None = None

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"group is {self.group!r}: use one of {', '.join(GROUPS)}")
        for name, score in self.scores.items():
            if not _METRIC.match(name):
                raise ValueError(f"{name!r} is no metric: use em_…, f1_… with a scoring rule, or accuracy_…")
            if not 0 <= score <= 1:
                raise ValueError(f"{name} of question {self.id} is {score}: item scores are in [0, 1]")

    def to_dict(self) -> dict[str, Any]:
        """The published row: every field a column, and every metric a column of its own."""
        row = {name.name: getattr(self, name.name) for name in fields(self) if name.name != "scores"}
        row["golds"] = list(self.golds)
        return row | dict(self.scores)


@dataclass(frozen=True)
class ScoreRow:
    """One number with what is needed to read it. `value`, `ci_*`, `floor`, `chance` and `mde` are per cent.

    Attributes:
        group (`str`): `"held_out"`, `"retained"`, or `"all"`, both together.
        metric (`str`): `em_xl`, `f1_squad`, `accuracy_letter`, …; `…_copyable` and `…_uncopyable` are the
            same over a part of the questions.
        ci_low, ci_high (`float`): 95% bootstrap interval over pages.
        n (`int`): Questions.
        floor (`float`, *optional*): The same answers shuffled within their relation; for accuracies the
            question-blind baseline, where it was run.
        chance (`float`, *optional*): The relation's commonest training answer, or 1 / options; `None` for
            tasks without a baseline.
        mde (`float`): Minimum detectable difference to another run of about this score, `(z + z) √(ψ/n)`.
        epoch (`int`, *optional*): Of finetuning; `None` for `main`.
    """

    study: str
    size: str
    filter: int
    seed: int
    task: str
    context: str
    language: str
    group: str
    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    floor: float | None
    chance: float | None
    mde: float
    model: str
    model_revision: str
    data_revision: str
    code_version: str
    epoch: int | None = field(default=None)

    @property
    def above_floor(self) -> float | None:
        """`100 (value − floor) / (100 − floor)`: F1* where the metric is F1."""
        if self.floor is None or self.floor >= 100:
            return None
        return 100 * (self.value - self.floor) / (100 - self.floor)


def metric_columns(row: Mapping[str, Any]) -> list[str]:
    """The metrics that a published `predictions` row holds, in order."""
    return [name for name, value in row.items() if _METRIC.match(name) and value is not None]


@dataclass(frozen=True)
class GuessLevels:
    """What a question would score without being known, per question, in [0, 1]; `None` where there is no such
    level.

    Attributes:
        chance (`list[float]`, *optional*): The majority answer's score, or 1 / options.
        floor (`list[float]`, *optional*): Mean score of other questions' answers; the question-blind baseline
            for accuracies.
    """

    chance: list[float] | None
    floor: list[float] | None


def guess_levels(rows: Sequence[Mapping[str, Any]], metric: str, *, seed: int = 0) -> GuessLevels:
    """The guess levels of some `predictions` rows of one model, language and group.

    Args:
        rows (`Sequence[Mapping]`): Published `predictions` rows.
        metric (`str`): One of their metric columns.
        seed (`int`, *optional*, defaults to `0`): Seed of the shuffles.
    """
    text = _TEXT_METRIC.match(metric)
    if not text:
        options = [row.get("n_options") for row in rows]
        chance = [1 / n for n in options if n]
        blind = [row.get(QUESTION_BLIND) for row in rows]
        floor = [float(score) for score in blind if score is not None]
        return GuessLevels(
            chance=chance if len(chance) == len(rows) else None,
            floor=floor if len(floor) == len(rows) and metric != QUESTION_BLIND else None,
        )
    name, rule = text.groups()
    majority = [row.get("majority_answer") for row in rows]
    chance_scores = [
        METRICS[name](answer, row["golds"], rule=rule, language=row["language"])
        for answer, row in zip(majority, rows, strict=True)
        if answer is not None
    ]
    floor_scores = None
    if len(rows) > 1:
        floor_scores = shuffled_item_scores(
            [row["prediction"] for row in rows],
            [row["golds"] for row in rows],
            rule=rule,
            language=rows[0]["language"],
            metric=name,
            seed=seed,
            groups=[row.get("relation") or "" for row in rows],
        )
    return GuessLevels(chance=chance_scores if len(chance_scores) == len(rows) else None, floor=floor_scores)


_MODEL_KEYS = (
    "study",
    "size",
    "filter",
    "seed",
    "task",
    "context",
    "language",
    "model",
    "model_revision",
    "epoch",
)


def _by_model(
    predictions: Iterable[Mapping[str, Any]],
) -> dict[tuple[Any, ...], dict[str, list[Mapping[str, Any]]]]:
    groups: dict[tuple[Any, ...], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in predictions:
        groups[tuple(row.get(key) for key in _MODEL_KEYS)][row["group"]].append(row)
    return groups


def score_rows(
    predictions: Sequence[Mapping[str, Any]],
    *,
    data_revision: str,
    code_version: str,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> list[ScoreRow]:
    """Aggregate published `predictions` rows into `scores` rows.

    Args:
        predictions (`Sequence[Mapping]`): Rows as `PredictionRow.to_dict` gives them, of one model or of
            many.
        data_revision (`str`): Commit of the question dataset.
        code_version (`str`): Version of the code that answered and scored.
        n_resamples (`int`, *optional*, defaults to `10000`): Bootstrap draws; the study's
            `evaluation.bootstrap`.
        seed (`int`, *optional*, defaults to `0`): Seed of the draws and of the shuffles.

    Returns:
        `list[ScoreRow]`: Per model, language, group (and `all`, where there are both) and metric, in that
            order; and
        per cent.

    Raises:
        ValueError: A question stands twice in one model, language and group.
    """
    result: list[ScoreRow] = []
    for key, groups in sorted(_by_model(predictions).items(), key=lambda entry: str(entry[0])):
        model = dict(zip(_MODEL_KEYS, key, strict=True))
        parts = {group: _ordered(groups[group]) for group in GROUPS if group in groups}
        if len(parts) > 1:
            parts[ALL] = [row for group in GROUPS for row in parts[group]]
        for group, rows in parts.items():
            for suffix, members in _parts(rows):
                resamples = page_resamples(
                    [row["title"] for row in members], n_resamples=n_resamples, seed=seed
                )
                # A part of the questions is shown by the primary rule only.
                metrics = [name for name in metric_columns(members[0]) if not suffix or name.endswith("_xl")]
                for metric in metrics:
                    result.append(
                        ScoreRow(
                            **model,
                            group=group,
                            metric=metric + suffix,
                            n=len(members),
                            data_revision=data_revision,
                            code_version=code_version,
                            **_numbers(members, metric, resamples, seed),
                        )
                    )
    return result


def _parts(rows: list[Mapping[str, Any]]) -> Iterable[tuple[str, list[Mapping[str, Any]]]]:
    """All the questions, then those whose answer can be copied across scripts and those whose cannot."""
    yield "", rows
    for suffix, wanted in (("_copyable", True), ("_uncopyable", False)):
        part = [row for row in rows if row.get("copyable") is wanted]
        if part:
            yield suffix, part


def _ordered(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        if row["id"] in seen:
            raise ValueError(
                f"question {row['id']} stands twice for {row['model']} ({row['language']}, {row['group']}): "
                "give each model's answers once"
            )
        seen.add(row["id"])
    return sorted(rows, key=lambda row: str(row["id"]))


def _numbers(rows: list[Mapping[str, Any]], metric: str, resamples: Resamples, seed: int) -> dict[str, Any]:
    scores = np.array([float(row[metric]) for row in rows])
    value = estimate(float(scores.mean()), resamples.means(scores), n=len(rows), bounds=(0, 1))
    guess = guess_levels(rows, metric, seed=seed)
    return {
        "value": 100 * value.value,
        "ci_low": 100 * value.ci_low,
        "ci_high": 100 * value.ci_high,
        "floor": None if guess.floor is None else 100 * float(np.mean(guess.floor)),
        "chance": None if guess.chance is None else 100 * float(np.mean(guess.chance)),
        "mde": 100 * minimum_detectable_effect(discordant_share(scores), len(rows)),
    }


def effect_items(
    predictions: Sequence[Mapping[str, Any]], metric: str, *, seed: int = 0
) -> list[dict[str, Any]]:
    """What `effects.compute_effects` reads: one row per prediction with its score and its guess levels.

    Args:
        predictions (`Sequence[Mapping]`): Published `predictions` rows of one study, size, task and context.
        metric (`str`): The metric to judge by, such as `"em_xl"`.
        seed (`int`, *optional*, defaults to `0`): Seed of the shuffles that give the floor.

    Returns:
        `list[dict]`: `id, title, relation, filter, seed, language, group, score, chance, floor`; `chance` and
            `floor`
        are `None` where the task has none.

    Raises:
        ValueError: A row lacks the metric.
    """
    result: list[dict[str, Any]] = []
    for groups in _by_model(predictions).values():
        for group, unordered in groups.items():
            rows = _ordered(unordered)
            lacking = [row["id"] for row in rows if row.get(metric) is None]
            if lacking:
                raise ValueError(
                    f"{len(lacking)} of {len(rows)} predictions of {rows[0]['model']} have no {metric}; "
                    f"they have {', '.join(metric_columns(rows[0])) or 'no scores'}"
                )
            guess = guess_levels(rows, metric, seed=seed)
            for index, row in enumerate(rows):
                result.append(
                    {key: row[key] for key in ("id", "title", "filter", "seed", "language")}
                    | {
                        "relation": row.get("relation") or "",
                        "group": group,
                        "score": float(row[metric]),
                        "chance": None if guess.chance is None else guess.chance[index],
                        "floor": None if guess.floor is None else guess.floor[index],
                    }
                )
    return result
