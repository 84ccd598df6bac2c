# SPDX-License-Identifier: Apache-2.0
"""From the published results to the static Space."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import load_dataset

from xlt_hf.artifacts import Artifact
from xlt_hf.evaluation.rows import ScoreRow
from xlt_hf.evaluation.verdict import Verdict
from xlt_hf.hub.inputs import Input, MissingInput, resolve
from xlt_hf.leaderboard.page import SiteMeta, build_site, sample_predictions
from xlt_hf.leaderboard.table import read_score_rows
from xlt_hf.recipe import Recipe


@dataclass(frozen=True)
class Results:
    """The results dataset at one commit."""

    input: Input
    scores: Sequence[ScoreRow]
    predictions: Sequence[dict[str, Any]]
    runs: Sequence[str]
    """Names `{model}/{branch}` of the evaluations in it."""


def load_results(recipe: Recipe, artifact: Artifact) -> Results:
    """Read scores and predictions at the results dataset's newest commit.

    Raises:
        MissingInput: nothing has been evaluated yet.
    """
    try:
        found = resolve(recipe.hub, artifact)
    except MissingInput:
        command = ("python", "recipes/run_eval.py", "--filter", "4", *recipe.arguments.shared())
        raise MissingInput(
            f"There are no results {artifact.repo_id} on {recipe.hub.endpoint}. Evaluate a model first, e.g.  "
            f"{shlex.join(command)}",
            artifact,
        ) from None
    revision = found.ref.revision
    tables = {
        name: load_dataset(
            artifact.repo_id, name, revision=revision, split="train", token=recipe.hub.token
        ).to_list()
        for name in artifact.configs
    }
    runs = sorted(found.manifest.config["runs"])
    return Results(found, read_score_rows(tables["scores"]), tables["predictions"], runs)


def build_space(recipe: Recipe, results: Results, verdicts: Sequence[Verdict], folder: Path) -> None:
    """Write the leaderboard's files into a folder."""
    study = recipe.study
    questions = [recipe.map.questions(task).repo_id for task in study.tasks]
    meta = SiteMeta(
        title=f"{study.title}: leaderboard",
        study=study.name,
        study_title=study.title,
        hub_url=recipe.hub.endpoint,
        results_repo=results.input.ref.repo_id,
        questions_repos=questions,
        license=study.license,
        languages=study.languages.both(),
        rerun_command=_rerun_command(recipe),
        limits=[
            "The facts are real, the pages are written from templates, and the models have one to two million "
            "parameters: the numbers are about these models and pages.",
        ]
        if study.documents.source == "almanac"
        else [],
    )
    build_site(results.scores, sample_predictions(results.predictions), meta, folder, verdicts=verdicts)


def _rerun_command(recipe: Recipe) -> str:
    """With `{filter}`, `{task}` and `{seed}` to be filled in; `--set` takes all that follows, so the shared flags are last."""
    own = "python recipes/leaderboard.py --rerun --filter {filter} --task {task} --seed {seed}"
    shared = shlex.join(recipe.arguments.shared()).replace("{", "{{").replace("}", "}}")
    return f"{own} {shared}".rstrip()
