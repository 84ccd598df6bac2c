# SPDX-License-Identifier: Apache-2.0
"""Ask a model every question of a task, in both languages, and score the answers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlt_hf.errors import UserError
from xlt_hf.evaluation.generation import Inputs, generate
from xlt_hf.evaluation.multiple_choice import Choice, likelihood_scores
from xlt_hf.evaluation.prompts import (
    LETTERS,
    ROTATIONS,
    TASK_CONTEXTS,
    ContextKind,
    Example,
    evaluation_examples,
)
from xlt_hf.evaluation.rows import HELD_OUT, RETAINED, PredictionRow
from xlt_hf.evaluation.scoring import copyable, item_scores, majority_answers, script_free
from xlt_hf.study import EvaluationConfig, Languages

GROUP_OF_SPLIT = {"test": HELD_OUT, "control": RETAINED}


class TooManyTruncated(UserError):
    """Too many inputs would be cut to the model's window."""


@dataclass(frozen=True)
class EvaluationRun:
    """Whom to ask, what, and under which name the answers are published."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: str
    questions: Mapping[str, Sequence[Mapping[str, Any]]]
    """`train`, `test` and `control` rows; the train rows give the majority baseline."""
    languages: Languages
    settings: EvaluationConfig
    window: int
    identity: Mapping[str, Any]
    """`study, size, task, filter, seed, epoch, model, model_revision` of every row."""


def answer_all(run: EvaluationRun) -> tuple[list[PredictionRow], dict[str, int]]:
    """Every prediction, and the inputs that were cut, by context and language.

    Raises:
        TooManyTruncated: more inputs than `settings.max_truncated` would be cut; nothing has been generated then.
    """
    jobs = []
    truncated: dict[str, int] = {}
    for context in TASK_CONTEXTS[run.kind]:
        for language in run.languages.both():
            for split, group in GROUP_OF_SPLIT.items():
                examples = evaluation_examples(
                    run.kind, run.questions[split], language, run.languages, context
                )
                inputs = Inputs(
                    run.tokenizer,
                    [example.prompt for example in examples],
                    window=run.window,
                    room=_room(run),
                )
                _check(inputs, run, f"{context} context, {language}, {split}")
                key = f"{context}/{language}"
                truncated[key] = truncated.get(key, 0) + inputs.truncated
                jobs.append((context, language, group, examples, inputs))
    rows: list[PredictionRow] = []
    total = sum(len(job[3]) for job in jobs)
    with tqdm(
        total=total, desc=f"{run.identity['task']}, filter {run.identity['filter']}", unit="prompt"
    ) as bar:
        for context, language, group, examples, inputs in jobs:
            answers = generate(
                run.model,
                run.tokenizer,
                inputs,
                max_new_tokens=_room(run),
                batch_size=run.settings.batch_size,
                progress=bar.update,
            )
            if run.kind == "multiple_choice":
                rows += _choice_rows(run, language, group, examples, answers)
            else:
                rows += _text_rows(run, context, language, group, examples, answers)
    return rows, truncated


def _room(run: EvaluationRun) -> int:
    # A letter and the end token; a name takes more.
    return 2 if run.kind == "multiple_choice" else run.settings.max_new_tokens


def _check(inputs: Inputs, run: EvaluationRun, where: str) -> None:
    if inputs.truncated > run.settings.max_truncated * len(inputs.ids):
        raise TooManyTruncated(
            f"{inputs.truncated} of {len(inputs.ids)} inputs ({where}) do not fit the window of {run.window} tokens, "
            f"more than {run.settings.max_truncated:.1%} (evaluation.max_truncated). Use a longer "
            "pretraining.seq_len or shorter passages, or raise the threshold and read the published count."
        )


def _text_rows(
    run: EvaluationRun,
    context: ContextKind,
    language: str,
    group: str,
    examples: Sequence[Example],
    answers: Sequence[str],
) -> list[PredictionRow]:
    majority: dict[str, str] = {}
    if run.kind == "closed_book":
        train = ((q["relation"], q["answer"][language]) for q in run.questions["train"])
        majority = majority_answers(train, language=language)
    rows = []
    for example, answer in zip(examples, answers, strict=True):
        foreign_passage = example.prompt if context == "source" else None
        rows.append(
            PredictionRow(
                **run.identity,
                context=context,
                language=language,
                group=group,
                id=example.item_id,
                title=example.title,
                relation=example.relation,
                prompt=example.prompt,
                prediction=answer,
                golds=list(example.golds),
                scores=item_scores(answer, example.golds, language=language),
                majority_answer=majority.get(example.relation, "") if run.kind == "closed_book" else None,
                copyable=(
                    copyable(example.golds, foreign_passage)
                    if foreign_passage
                    else script_free(example.golds)
                ),
            )
        )
    return rows


def _choice_rows(
    run: EvaluationRun, language: str, group: str, examples: Sequence[Example], answers: Sequence[str]
) -> list[PredictionRow]:
    """One row per question: the letters over the four rotations, and the likelihoods."""
    by_item: dict[str, list[tuple[Example, str]]] = defaultdict(list)
    for example, answer in zip(examples, answers, strict=True):
        by_item[example.item_id].append((example, answer))
    firsts = [turns[0][0] for turns in by_item.values()]
    choices = [Choice(e.prompt.split("\n")[0], e.options, LETTERS.index(e.completion)) for e in firsts]
    likelihoods = likelihood_scores(run.model, run.tokenizer, choices, batch_size=run.settings.batch_size)
    rows = []
    for turns, likelihood in zip(by_item.values(), likelihoods, strict=True):
        first = turns[0][0]
        right = [float(answer == example.completion) for example, answer in turns]
        rows.append(
            PredictionRow(
                **run.identity,
                context="none",
                language=language,
                group=group,
                id=first.item_id,
                title=first.title,
                relation=first.relation,
                prompt=first.prompt,
                prediction=" ".join(answer for _, answer in turns),
                golds=[" ".join(example.completion for example, _ in turns)],
                scores={"accuracy_letter": sum(right) / ROTATIONS, **likelihood},
                n_options=len(first.options),
            )
        )
    return rows
