# SPDX-License-Identifier: Apache-2.0
"""A question dataset as a benchmark: `eval.yaml`, which names its leaderboards, and the prompts as flat rows.

The questions' own columns hold both languages. A framework that reads one column as the prompt and another as the
answer needs them apart, so each language and context is a config of its own with the very prompts of `run_eval.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub.utils import yaml_dump

from xlt_hf.artifacts import Artifact
from xlt_hf.hub.cards import HEADLINE_METRICS, SPLIT_OF_GROUP, task_id
from xlt_hf.study import Study

if TYPE_CHECKING:
    from xlt_hf.evaluation.prompts import ContextKind

EVAL_FILE = "eval.yaml"
PROMPT_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.string()),
        ("target", pa.string()),
        ("answers", pa.list_(pa.string())),
        ("choices", pa.list_(pa.string())),
    ]
)
"""`target`: the first accepted answer, or the right letter. `choices`: null but for multiple choice, where the prompt
is the question without its options."""
_INSPECT: Mapping[str, tuple[str, str]] = {
    "em_xl": ("generate", "exact"),
    "f1_xl": ("generate", "f1"),
    "accuracy_letter": ("multiple_choice", "choice"),
    "accuracy_loglikelihood_pmi": ("multiple_choice", "choice"),
}
"""Metric -> the solver and the scorer of Inspect that come nearest to it."""


def eval_yaml(study: Study, artifact: Artifact, task: str) -> str:
    """`eval.yaml` of one task's questions: a leaderboard per metric, language, group and context.

    Its task ids are those of the models' `.eval_results`.
    """
    kind = study.tasks[task].kind
    fields = {"input": "prompt", "target": "target", "id": "id"}
    if kind == "multiple_choice":
        fields["choices"] = "choices"
    tasks = [
        {
            "id": task_id(metric, language, group, context),
            "config": _config_name(language, context),
            "split": SPLIT_OF_GROUP[group],
            "field_spec": fields,
            "solvers": [{"name": _INSPECT[metric][0]}],
            "scorers": [{"name": _INSPECT[metric][1]}],
        }
        for language, context in _views(study, task)
        for group in _groups(study, task)
        for metric in HEADLINE_METRICS[kind]
    ]
    name = artifact.repo_id.split("/")[-1]
    description = (
        f"{study.title}, {task}: the same questions in {study.languages.source} and {study.languages.target}, about "
        "pages that are missing from a language (held_out) and pages that are not (retained). Published values are "
        "those of this project's recipes/run_eval.py; the solvers and scorers named here are the nearest of Inspect "
        "and normalise answers differently."
    )
    document = {
        "name": name,
        "description": description,
        "evaluation_framework": "inspect-ai",
        "tasks": tasks,
    }
    return yaml_dump(document, sort_keys=False)


def write_benchmark(study: Study, artifact: Artifact, task: str, folder: Path) -> list[dict[str, Any]]:
    """Write `eval.yaml` and the prompts of each language, context and split into a question dataset's folder.

    Questions that lack what a prompt needs, such as an answer that is still to be translated, are in no prompt.

    Args:
        folder: has `data/{split}.parquet` already.

    Returns:
        The configs of the prompts, for `questions_card`.
    """
    (folder / EVAL_FILE).write_text(eval_yaml(study, artifact, task), encoding="utf-8")
    configs = []
    splits = [SPLIT_OF_GROUP[group] for group in _groups(study, task)]
    questions = {split: pq.read_table(folder / "data" / f"{split}.parquet").to_pylist() for split in splits}
    for language, context in _views(study, task):
        name = _config_name(language, context)
        (folder / name).mkdir()
        for split, rows in questions.items():
            prompts = list(_prompts(study, task, rows, language, context))
            pq.write_table(
                pa.Table.from_pylist(prompts, schema=PROMPT_SCHEMA), folder / name / f"{split}.parquet"
            )
        files = [{"split": split, "path": f"{name}/{split}.parquet"} for split in splits]
        configs.append({"config_name": name, "data_files": files})
    return configs


def _prompts(
    study: Study, task: str, questions: Sequence[Mapping[str, Any]], language: str, context: "ContextKind"
) -> Iterator[dict[str, Any]]:
    from xlt_hf.evaluation.prompts import LETTERS, evaluation_examples

    kind = study.tasks[task].kind
    passages = {"source": study.languages.source, "native": language, "shuffled": language}
    complete = [
        question
        for question in questions
        if question["question"][language]
        and question["answer"][language]
        and (kind != "multiple_choice" or len(question["negatives"][language] or ()) == len(LETTERS) - 1)
        and (context not in passages or question["context"][passages[context]])
    ]
    asked = {question["id"]: question["question"][language] for question in complete}
    for example in evaluation_examples(kind, complete, language, study.languages, context):
        if example.rotation:
            continue
        yield {
            "id": example.item_id,
            "prompt": asked[example.item_id] if example.options else example.prompt,
            "target": example.completion,
            "answers": list(example.golds),
            "choices": list(example.options) or None,
        }


def _views(study: Study, task: str) -> "list[tuple[str, ContextKind]]":
    from xlt_hf.evaluation.prompts import TASK_CONTEXTS

    contexts = TASK_CONTEXTS[study.tasks[task].kind]
    return [(language, context) for context in contexts for language in study.languages.both()]


def _groups(study: Study, task: str) -> list[str]:
    """Prescribed splits have no control questions."""
    drawn = study.questions[study.questions_of(task)].splits == "drawn"
    return list(SPLIT_OF_GROUP) if drawn else ["held_out"]


def _config_name(language: str, context: str) -> str:
    return f"prompts-{language}" + ("" if context == "none" else f"-{context}")
