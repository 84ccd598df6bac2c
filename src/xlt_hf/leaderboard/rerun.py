# SPDX-License-Identifier: Apache-2.0
"""Evaluate published models again, at their pinned commits with the pinned data, and compare answer by answer."""

import dataclasses
from pathlib import Path
from typing import Any

from xlt_hf.artifacts import Artifact
from xlt_hf.errors import UserError
from xlt_hf.evaluation.answer import EvaluationRun, answer_all
from xlt_hf.hub.inputs import Input, resolve
from xlt_hf.hub.load import load_model, load_questions, load_tokenizer
from xlt_hf.hub.manifest import InputRef, Manifest
from xlt_hf.leaderboard.build import Results
from xlt_hf.recipe import Recipe

Key = tuple[str, str, str, str]


def rerun_published(recipe: Recipe, results: Results, *, filter_level: int | None, task: str | None) -> int:
    """Rerun every evaluation, or those of one filter or task, and print what differs.

    The models' own published rows say what to compare with; the run's manifest says which commits to load.

    Returns:
        Number of answers that differ.

    Raises:
        UserError: nothing published matches.
    """
    matched = differing = 0
    for name in results.runs:
        manifest = _run_manifest(recipe, results, name)
        model, questions = manifest.inputs["model"], manifest.inputs["questions"]
        rows = [
            row
            for row in results.predictions
            if row["model"] == model.repo_id
            and row["model_revision"] == model.revision
            and (f"epoch-{row['epoch']}" if row["epoch"] else "main") == manifest.config["branch"]
        ]
        first = rows[0]
        wanted = (filter_level in (None, first["filter"])) and (task in (None, first["task"]))
        if not wanted or first["seed"] != recipe.arguments.seed:
            continue
        matched += 1
        published = {_key(row): row["prediction"] for row in rows}
        again = {_key(row): row["prediction"] for row in _answers(recipe, model, questions, first, manifest)}
        missing = published.keys() ^ again.keys()
        other = [key for key in published.keys() & again.keys() if published[key] != again[key]]
        differing += len(missing) + len(other)
        print(
            f"{name} at {model.revision[:8]}: {len(published) - len(other)} of {len(published)} answers the same."
        )
        for key in sorted(other)[:20]:
            print(f"  {' '.join(key)}: published {published[key]!r}, now {again[key]!r}")
        if missing:
            print(f"  {len(missing)} answers stand on one side only, e.g. {' '.join(min(missing))}")
    if not matched:
        raise UserError(
            f"No published evaluation matches filter {filter_level}, task {task}, seed {recipe.arguments.seed}. "
            f"Published: {', '.join(results.runs)}."
        )
    return differing


def _run_manifest(recipe: Recipe, results: Results, name: str) -> Manifest:
    ref = results.input.ref
    path = recipe.hub.api.hf_hub_download(
        ref.repo_id, f"runs/{name}.json", repo_type="dataset", revision=ref.revision
    )
    return Manifest.from_json(Path(path).read_text(encoding="utf-8"), path)


def _answers(
    recipe: Recipe, model: InputRef, questions: InputRef, first: dict[str, Any], manifest: Manifest
) -> list[dict[str, Any]]:
    study = recipe.study
    model_input = _pinned(recipe, "model", model)
    loaded = load_questions(recipe.hub, _pinned(recipe, "questions", questions))
    limit = manifest.config.get("max_samples")
    if limit is not None:
        loaded = {split: rows[:limit] for split, rows in loaded.items()}
    keys = ("study", "size", "task", "filter", "seed", "epoch", "model", "model_revision")
    rows, _ = answer_all(
        EvaluationRun(
            model=load_model(recipe.hub, model_input),
            tokenizer=load_tokenizer(recipe.hub, model_input),
            kind=manifest.config["task"]["kind"],
            questions=loaded,
            languages=study.languages,
            settings=dataclasses.replace(study.evaluation, **manifest.config["evaluation"]),
            window=study.pretraining.seq_len,
            identity={key: first[key] for key in keys},
        )
    )
    return [row.to_dict() for row in rows]


def _pinned(recipe: Recipe, key: str, ref: InputRef) -> Input:
    artifact = Artifact(key, ref.repo_type, ref.repo_id, "recipes/leaderboard.py")  # type: ignore[arg-type]
    return resolve(recipe.hub, artifact, ref.revision)


def _key(row: dict[str, Any]) -> Key:
    return (row["id"], row["language"], row["context"], row["group"])
