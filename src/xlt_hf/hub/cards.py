# SPDX-License-Identifier: Apache-2.0
"""Cards, filled from manifests and scores: no number in a card is typed in.

Dataset cards are templates in `dataset_cards/`; model cards are in `hub/templates/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import DatasetCard, EvalResult, ModelCard, ModelCardData, RepoCard
from huggingface_hub.repocard_data import eval_results_to_model_index
from huggingface_hub.utils import yaml_dump

from xlt_hf.artifacts import Artifact
from xlt_hf.hub.manifest import InputRef, Manifest
from xlt_hf.study import Study

DATASET_CARDS = Path(__file__).parents[3] / "dataset_cards"
MODEL_CARDS = Path(__file__).parent / "templates"
_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_HEADLINE = ("em_xl", "f1_xl", "accuracy_letter", "accuracy_loglikelihood_pmi")


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows."""
    return next((name for limit, name in _SIZE_CATEGORIES if rows < limit), "1M<n<10M")


def tokenizer_card(study: Study, artifact: Artifact, manifest: Manifest) -> ModelCard:
    """Card of the tokenizer, with its fertility table."""
    data = ModelCardData(
        language=list(study.languages.both()),
        license=study.license,
        library_name="transformers",
        tags=["xlt-hf", "tokenizer"],
    )
    return _card(ModelCard, MODEL_CARDS / "tokenizer.md", data.to_dict(), study, artifact, manifest)


def model_card(study: Study, artifact: Artifact, manifest: Manifest) -> ModelCard:
    """Card of a pretrained or finetuned checkpoint, before it is evaluated."""
    base = manifest.inputs.get("base_model")
    datasets = [ref.repo_id for ref in manifest.inputs.values() if ref.repo_type == "dataset"]
    data = ModelCardData(
        language=list(study.languages.both()),
        license=study.license,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["xlt-hf", "llama", f"filter-{manifest.config['filter']}", *(["trl", "sft"] if base else [])],
        datasets=datasets,
        base_model=base.repo_id if base else None,
    )
    template = "finetuned.md" if base else "base.md"
    return _card(ModelCard, MODEL_CARDS / template, data.to_dict(), study, artifact, manifest)


def questions_card(study: Study, artifact: Artifact, manifest: Manifest, task: str) -> DatasetCard:
    """Card of one task's questions."""
    sizes = manifest.counts["questions"]
    data = {
        **_dataset_metadata(study, f"{study.title}: {task}", sum(sizes.values())),
        "task_categories": [
            "multiple-choice" if study.tasks[task].kind == "multiple_choice" else "question-answering"
        ],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}.parquet"} for split in artifact.splits
                ],
            }
        ],
    }
    return _card(DatasetCard, DATASET_CARDS / "qa.md", data, study, artifact, manifest, task=task)


def corpora_card(
    study: Study, artifact: Artifact, manifest: Manifest, configs: Sequence[Mapping[str, Any]]
) -> DatasetCard:
    """Card of the five corpora."""
    data = {
        **_dataset_metadata(study, f"{study.title}: corpora", 2 * manifest.counts["documents"]),
        "task_categories": ["text-generation"],
        "configs": [dict(config) for config in configs],
    }
    return _card(DatasetCard, DATASET_CARDS / "corpora.md", data, study, artifact, manifest)


def results_card(study: Study, artifact: Artifact) -> DatasetCard:
    """Card of the results dataset; the rows themselves say how many there are."""
    data = {
        **_dataset_metadata(study, f"{study.title}: results", None),
        "configs": [
            {"config_name": name, "data_files": [{"split": "train", "path": f"{name}/**/*.parquet"}]}
            for name in artifact.configs
        ],
    }
    return _card(DatasetCard, DATASET_CARDS / "results.md", data, study, artifact, None)


def add_evaluation(
    card: ModelCard, artifact: Artifact, scores: Sequence[Mapping[str, Any]], data: InputRef
) -> ModelCard:
    """The card with `model-index` and a results table; earlier evaluations in it are replaced."""
    name = artifact.repo_id.split("/")[-1]
    results = [
        EvalResult(
            task_type="text-generation",
            task_name=_task_name(score),
            dataset_type=data.repo_id,
            dataset_name=f"{data.repo_id.split('/')[-1]} ({score['language']}, {score['group']}, context: {score['context']})",
            dataset_split={"held_out": "test", "retained": "control"}[score["group"]],
            dataset_revision=data.revision,
            dataset_args={
                "language": score["language"],
                "group": score["group"],
                "context": score["context"],
            },
            metric_type=score["metric"],
            metric_name=score["metric"],
            metric_value=round(score["value"], 2),
            metric_args={
                key: round(score[key], 2) if isinstance(score[key], float) else score[key]
                for key in ("n", "ci_low", "ci_high", "floor", "chance", "mde")
                if score[key] is not None
            },
        )
        for score in scores
        if score["metric"] in _HEADLINE and score["group"] != "all"
    ]
    metadata = card.data.to_dict()
    metadata["model-index"] = eval_results_to_model_index(name, results)
    metadata["metrics"] = sorted({result.metric_type for result in results})
    body = card.text.split("\n## Evaluation\n")[0].rstrip()
    template = _environment(MODEL_CARDS).get_template("evaluation.md")
    table = template.render(
        scores=[s for s in scores if s["metric"] in _HEADLINE and s["group"] != "all"], data=data
    )
    return ModelCard(f"---\n{yaml_dump(_without_null(metadata), sort_keys=False)}---\n{body}\n\n{table}")


def evaluation_files(
    scores: Sequence[Mapping[str, Any]], data: InputRef, results: Artifact
) -> dict[str, str]:
    """`.eval_results/*.yaml`: one entry per headline score."""
    entries = [
        {
            "dataset": {
                "id": data.repo_id,
                "task_id": f"{s['metric']}_{s['language']}_{s['group']}" + _context_suffix(s),
                "revision": data.revision,
            },
            "value": round(s["value"], 2),
            "source": {"url": f"/datasets/{results.repo_id}", "name": "xlt_hf results"},
            "notes": f"n={s['n']}, 95% interval {s['ci_low']:.1f} to {s['ci_high']:.1f}, filter {s['filter']}",
        }
        for s in scores
        if s["metric"] in _HEADLINE and s["group"] != "all"
    ]
    return {f".eval_results/{data.repo_id.split('/')[-1]}.yaml": yaml_dump(entries, sort_keys=False)}


def _context_suffix(score: Mapping[str, Any]) -> str:
    return "" if score["context"] == "none" else f"_{score['context']}"


def _task_name(score: Mapping[str, Any]) -> str:
    return f"{score['task']}, context: {score['context']}"


def _dataset_metadata(study: Study, pretty_name: str, rows: int | None) -> dict[str, Any]:
    return {
        "language": list(study.languages.both()),
        "license": study.license,
        "pretty_name": pretty_name,
        "tags": ["xlt-hf", "cross-lingual-transfer"],
        **({"size_categories": [size_category(rows)]} if rows is not None else {}),
    }


def _card(
    kind: type[Any],
    template: Path,
    metadata: Mapping[str, Any],
    study: Study,
    artifact: Artifact,
    manifest: Manifest | None,
    **values: Any,
) -> Any:
    body = (
        _environment(template.parent)
        .get_template(template.name)
        .render(study=study, artifact=artifact, manifest=manifest, **values)
    )
    card: RepoCard = kind(f"---\n{yaml_dump(_without_null(metadata), sort_keys=False)}---\n\n{body}")
    return card


def _environment(folder: Path) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, MODEL_CARDS]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown; the Hub escapes HTML when it renders a card
    )


def _without_null(value: Any) -> Any:
    """The Hub's card validation refuses `null`."""
    if isinstance(value, Mapping):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [_without_null(inner) for inner in value]
    return value
