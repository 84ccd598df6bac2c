# SPDX-License-Identifier: Apache-2.0
"""Cards, filled from manifests and scores: no number in a card is typed in.

Dataset cards are templates in `dataset_cards/`; model cards are in `hub/templates/`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from huggingface_hub import (
    DatasetCard,
    DatasetCardData,
    EvalResultEntry,
    ModelCard,
    ModelCardData,
    RepoCard,
    eval_result_entries_to_yaml,
)
from huggingface_hub.utils import yaml_dump

from xlt_hf.artifacts import Artifact
from xlt_hf.hub.manifest import InputRef, Manifest
from xlt_hf.study import Study

DATASET_CARDS = Path(__file__).parents[3] / "dataset_cards"
MODEL_CARDS = Path(__file__).parent / "templates"
_SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_TEXT_METRICS = ("em_xl", "f1_xl")
HEADLINE_METRICS: Mapping[str, tuple[str, ...]] = {
    "closed_book": _TEXT_METRICS,
    "in_context": _TEXT_METRICS,
    "multiple_choice": ("accuracy_letter", "accuracy_loglikelihood_pmi"),
}
"""Kind of task -> the metrics that stand in cards and on the Hub's leaderboards; the results dataset has all."""
SPLIT_OF_GROUP: Mapping[str, str] = {"held_out": "test", "retained": "control"}
"""Group of a `scores` row -> the split of the question dataset that it was asked from."""
SOURCE_KEY = "source: "
"""Prefix of a manifest's inputs that are datasets of others."""


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


def questions_card(
    study: Study,
    artifact: Artifact,
    manifest: Manifest,
    task: str,
    benchmark: Sequence[Mapping[str, Any]] = (),
) -> DatasetCard:
    """Card of one task's questions.

    Args:
        benchmark: configs of the prompts beside the questions, as `hub.benchmark.write_benchmark` gives them.
    """
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict

    from xlt_hf.questions.build import question_schema

    sizes = manifest.counts["questions"]
    settings = study.questions[study.questions_of(task)]
    info = DatasetCardData()
    features = Features.from_arrow_schema(question_schema(study.languages))
    DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(info)
    data = {
        **_dataset_metadata(study, f"{study.title}: {task}", sum(sizes.values())),
        **_sources(manifest, made_here=settings.source == "almanac"),
        "task_categories": [
            "multiple-choice" if study.tasks[task].kind == "multiple_choice" else "question-answering"
        ],
        "configs": [
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}.parquet"} for split in artifact.splits
                ],
                **({"default": True} if benchmark else {}),
            },
            *(dict(config) for config in benchmark),
        ],
        "dataset_info": [{"config_name": "default", "features": info.to_dict()["dataset_info"]["features"]}],
    }
    return _card(DatasetCard, DATASET_CARDS / "qa.md", data, study, artifact, manifest, task=task)


def corpora_card(
    study: Study, artifact: Artifact, manifest: Manifest, configs: Sequence[Mapping[str, Any]]
) -> DatasetCard:
    """Card of the five corpora."""
    data = {
        **_dataset_metadata(study, f"{study.title}: corpora", 2 * manifest.counts["documents"]),
        **_sources(manifest, made_here=study.documents.source == "almanac"),
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


def headline(scores: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The `scores` rows that stand in cards: the metrics of `HEADLINE_METRICS`, each group by itself."""
    shown = {metric for metrics in HEADLINE_METRICS.values() for metric in metrics}
    return [score for score in scores if score["metric"] in shown and score["group"] in SPLIT_OF_GROUP]


def task_id(metric: str, language: str, group: str, context: str) -> str:
    """Name of one comparison, in a model's `.eval_results` and in the questions' `eval.yaml`.

    Models are ranked within it, so it holds everything that makes two numbers of one dataset incomparable.
    """
    return f"{metric}_{language}_{group}" + ("" if context == "none" else f"_{context}")


def add_evaluation(
    card: ModelCard, study: Study, artifact: Artifact, scores: Sequence[Mapping[str, Any]], data: InputRef
) -> ModelCard:
    """The card with `model-index` and a results table; earlier evaluations in it are replaced."""
    shown = headline(scores)
    metadata = card.data.to_dict()
    metadata["model-index"] = [{"name": artifact.repo_id.split("/")[-1], "results": model_index(shown, data)}]
    metadata["metrics"] = sorted({score["metric"] for score in shown})
    body = card.text.split("\n## Evaluation\n")[0].rstrip()
    template = _environment(MODEL_CARDS).get_template("evaluation.md")
    drawn = all(
        study.questions[study.questions_of(task)].splits == "drawn" for task in {s["task"] for s in shown}
    )
    table = template.render(scores=shown, data=data, study=study, drawn=drawn)
    return ModelCard(f"---\n{yaml_dump(_without_null(metadata), sort_keys=False)}---\n{body}\n\n{table}")


def model_index(scores: Sequence[Mapping[str, Any]], data: InputRef) -> list[dict[str, Any]]:
    """`results` of a card's `model-index`: one block per language, group and context.

    Whoever parses the card with huggingface_hub and writes it again has its blocks grouped by task, dataset, config,
    split and revision; a config of its own keeps each block apart.
    """
    blocks: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for score in scores:
        blocks.setdefault((score["language"], score["group"], score["context"]), []).append(score)
    return [
        {
            "task": {"type": "text-generation", "name": f"{rows[0]['task']}, context: {context}"},
            "dataset": {
                "type": data.repo_id,
                "name": f"{data.repo_id.split('/')[-1]} ({language}, {group}, context: {context})",
                "config": f"{language}-{group}-{context}",
                "split": SPLIT_OF_GROUP[group],
                "revision": data.revision,
                "args": {"language": language, "group": group, "context": context},
            },
            "metrics": [
                {
                    "type": row["metric"],
                    "name": row["metric"],
                    "value": round(row["value"], 2),
                    "args": {
                        key: round(row[key], 2) if isinstance(row[key], float) else row[key]
                        for key in ("n", "ci_low", "ci_high", "floor", "chance", "mde")
                        if row[key] is not None
                    },
                }
                for row in rows
            ],
        }
        for (language, group, context), rows in blocks.items()
    ]


def evaluation_files(
    scores: Sequence[Mapping[str, Any]], data: InputRef, date: str, results_url: str
) -> dict[str, str]:
    """`.eval_results/*.yaml`: one entry per headline score.

    Args:
        date: UTC day of the evaluation, `YYYY-MM-DD`.
        results_url: where the results dataset is.
    """
    entries = [
        EvalResultEntry(
            dataset_id=data.repo_id,
            task_id=task_id(score["metric"], score["language"], score["group"], score["context"]),
            value=round(score["value"], 2),
            dataset_revision=data.revision,
            date=date,
            source_url=results_url,
            source_name="xlt_hf results",
            notes=f"n={score['n']}, 95% interval {score['ci_low']:.1f} to {score['ci_high']:.1f}, "
            f"filter {score['filter']}",
        )
        for score in headline(scores)
    ]
    text = yaml_dump(eval_result_entries_to_yaml(entries), sort_keys=False)
    return {f".eval_results/{data.repo_id.split('/')[-1]}.yaml": text}


def _sources(manifest: Manifest, *, made_here: bool) -> dict[str, list[str]]:
    """`source_datasets`: datasets of others that were read, or `original` where the rows are made by this project."""
    found = [ref.repo_id for key, ref in manifest.inputs.items() if key.startswith(SOURCE_KEY)]
    found = list(dict.fromkeys(found)) or (["original"] if made_here else [])
    return {"source_datasets": found} if found else {}


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
