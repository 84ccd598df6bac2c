# SPDX-License-Identifier: Apache-2.0
"""Evaluate one branch of a finetuned model and publish what came out: results rows and the model's eval card."""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xlt_hf.artifacts import Artifact, epoch_branch
from xlt_hf.evaluation.answer import EvaluationRun, answer_all
from xlt_hf.evaluation.rows import score_rows
from xlt_hf.evaluation.tables import PREDICTIONS_SCHEMA, SCORES_SCHEMA, write_rows
from xlt_hf.hub.cards import add_evaluation, evaluation_files, results_card
from xlt_hf.hub.inputs import Input, resolve
from xlt_hf.hub.load import load_model, load_tokenizer
from xlt_hf.hub.manifest import Manifest, code_version
from xlt_hf.hub.results import EVALUATION_COMMIT, published_run, push_run, weights_commit
from xlt_hf.recipe import Recipe
from xlt_hf.study import as_dict


def evaluate_branch(
    recipe: Recipe,
    *,
    size: str,
    filter_level: int,
    task: str,
    epoch: int | None,
    questions_input: Input,
    questions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> str:
    """Evaluate `main` (`epoch=None`) or an epoch's branch, unless the same evaluation is published already.

    Returns:
        One line for a person.
    """
    study, hub = recipe.study, recipe.hub
    artifact = recipe.map.finetuned_model(size, filter_level, task, recipe.arguments.seed)
    branch = "main" if epoch is None else epoch_branch(epoch)
    model_input = pinned_weights(recipe, artifact, branch)
    config = {"task": as_dict(study.tasks[task]), "evaluation": as_dict(study.evaluation), "branch": branch}
    manifest = recipe.manifest("run_eval", config, {"model": model_input, "questions": questions_input})
    run_name = f"{artifact.repo_id.split('/')[-1]}/{branch}"
    results = recipe.map.results()
    if published_run(hub, results, run_name) == manifest.fingerprint:
        return f"{run_name} is evaluated already: nothing new."

    rows, truncated = answer_all(
        EvaluationRun(
            model=load_model(hub, model_input),
            tokenizer=load_tokenizer(hub, model_input),
            kind=study.tasks[task].kind,
            questions=questions,
            languages=study.languages,
            settings=study.evaluation,
            window=study.pretraining.seq_len,
            identity={
                "study": study.name,
                "size": size,
                "task": task,
                "filter": filter_level,
                "seed": recipe.arguments.seed,
                "epoch": epoch,
                "model": artifact.repo_id,
                "model_revision": model_input.ref.revision,
            },
        )
    )
    predictions = [row.to_dict() for row in rows]
    scores = [
        dataclasses.asdict(row)
        for row in score_rows(
            predictions,
            data_revision=questions_input.ref.revision,
            code_version=code_version(),
            n_resamples=study.evaluation.bootstrap,
            seed=study.seed,
        )
    ]
    manifest = manifest.with_counts(
        predictions=len(predictions),
        scores=len(scores),
        truncated=truncated,
        date=datetime.now(UTC).date().isoformat(),
    )
    # The results come last: they are what tells a rerun that there is nothing left to do.
    push_eval_card(recipe, artifact, branch, scores, questions_input, manifest)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "scores" / f"{run_name}.parquet", scores, SCORES_SCHEMA)
        write_rows(folder / "predictions" / f"{run_name}.parquet", predictions, PREDICTIONS_SCHEMA)
        card = results_card(study, results)
        push_run(hub, results, run_name, folder, manifest, card)
    return f"Evaluated {run_name}: " + _headline(scores)


def pinned_weights(recipe: Recipe, artifact: Artifact, branch: str) -> Input:
    """The branch's last commit that is not an eval card: what was trained, before anyone judged it."""
    head = resolve(recipe.hub, artifact, branch)
    return resolve(recipe.hub, artifact, weights_commit(recipe.hub, artifact, head.ref.revision))


def push_eval_card(
    recipe: Recipe,
    artifact: Artifact,
    branch: str,
    scores: Sequence[Mapping[str, Any]],
    questions_input: Input,
    manifest: Manifest,
) -> None:
    """`model-index` in the card and `.eval_results` on the branch that was evaluated.

    Args:
        manifest: of the evaluation, with its `date`.
    """
    from huggingface_hub import CommitOperationAdd, ModelCard

    model_input = manifest.inputs["model"]
    card = ModelCard.load(hub_card_path(recipe, artifact, model_input.revision), ignore_metadata_errors=False)
    card = add_evaluation(card, recipe.study, artifact, scores, questions_input.ref)
    card.validate(repo_type="model")
    # The embedded Hub's address is not the same for ever.
    host = "" if recipe.hub.is_local else recipe.hub.endpoint
    results_url = f"{host}/datasets/{recipe.map.results().repo_id}"
    files = {
        "README.md": str(card),
        **evaluation_files(scores, questions_input.ref, manifest.counts["date"], results_url),
    }
    recipe.hub.api.create_commit(
        artifact.repo_id,
        [CommitOperationAdd(path, text.encode()) for path, text in files.items()],
        commit_message=EVALUATION_COMMIT,
        revision=branch,
    )


def hub_card_path(recipe: Recipe, artifact: Artifact, revision: str) -> str:
    """A local copy of a model's card at a commit."""
    return recipe.hub.api.hf_hub_download(artifact.repo_id, "README.md", revision=revision)


def _headline(scores: Sequence[Mapping[str, Any]]) -> str:
    wanted = ("em_xl", "accuracy_letter")
    parts = [
        f"{s['language']} {s['group']} {s['value']:.1f}"
        for s in scores
        if s["metric"] in wanted and s["group"] != "all" and s["context"] in ("none", "native")
    ]
    return ", ".join(parts)
