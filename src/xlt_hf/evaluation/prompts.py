# SPDX-License-Identifier: Apache-2.0
"""One prompt for finetuning and for evaluation: what the model is shown, and what it should say.

No word of instruction stands in a prompt: the pair of languages is the study's, and the model is small.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from transformers import PreTrainedTokenizerBase

from xlt_hf.errors import UserError
from xlt_hf.study import Languages

LETTERS = ("A", "B", "C", "D")
ROTATIONS = len(LETTERS)
ContextKind = Literal["none", "source", "native", "shuffled"]

TASK_CONTEXTS: Mapping[str, tuple[ContextKind, ...]] = {
    "closed_book": ("none",),
    "multiple_choice": ("none",),
    "in_context": ("source", "native", "none", "shuffled"),
}
"""Contexts in which each kind of task is evaluated; `none` and `shuffled` are ablations for `in_context`."""


class PromptError(UserError):
    """A question lacks what its task needs."""


@dataclass(frozen=True)
class Example:
    """One prompt with its answer."""

    item_id: str
    title: str
    relation: str
    language: str
    context: ContextKind
    prompt: str
    """The user's message."""
    completion: str
    """The assistant's message: the first gold, or the right letter."""
    golds: tuple[str, ...]
    options: tuple[str, ...] = ()
    """For `multiple_choice`: the four options in the order shown."""
    rotation: int = 0

    def messages(self) -> dict[str, list[dict[str, str]]]:
        """A row of TRL's conversational prompt-completion format."""
        return {
            "prompt": [{"role": "user", "content": self.prompt}],
            "completion": [{"role": "assistant", "content": self.completion}],
        }


def closed_book(question: Mapping[str, Any], language: str) -> Example:
    """Question only (paper §3.1: context would defeat the purpose)."""
    golds = _golds(question, language)
    return Example(
        **_about(question, language), prompt=question["question"][language], completion=golds[0], golds=golds
    )


def multiple_choice(question: Mapping[str, Any], language: str, rotation: int = 0) -> Example:
    """Question and four lettered options; the answer is a letter (paper §4.1).

    The order of the options is drawn from the question's id, the same in both languages, then rotated.

    Args:
        rotation: 0 to 3, the cyclic shift of the options.
    """
    golds = _golds(question, language)
    negatives = question["negatives"][language]
    if len(negatives) != len(LETTERS) - 1:
        raise PromptError(
            f"Question {question['id']} has {len(negatives)} negatives in '{language}', multiple choice needs "
            f"{len(LETTERS) - 1}: publish the questions again with `python recipes/build_qa.py --replace`."
        )
    candidates = (golds[0], *negatives)
    shift = int.from_bytes(hashlib.blake2b(question["id"].encode(), digest_size=4).digest(), "big")
    orders = [(0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 3, 2), (0, 2, 1, 3), (0, 3, 2, 1)]
    order: tuple[int, ...] = orders[shift % len(orders)]
    turn = (shift // len(orders) + rotation) % ROTATIONS
    order = order[turn:] + order[:turn]
    options = tuple(candidates[i] for i in order)
    lines = [question["question"][language]]
    lines += [f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=True)]
    right = LETTERS[order.index(0)]
    return Example(
        **_about(question, language),
        prompt="\n".join(lines),
        completion=right,
        golds=(right,),
        options=options,
        rotation=rotation,
    )


def in_context(
    question: Mapping[str, Any],
    language: str,
    context: ContextKind,
    languages: Languages,
    shuffled: Mapping[str, Any] | None = None,
) -> Example:
    """A passage, then the question (paper §4.2).

    Args:
        context: `source` (the passage in the source language), `native` (in the question's), `none`, or
            `shuffled` (the native passage of `shuffled`, another question).
    """
    golds = _golds(question, language)
    if context == "none":
        passage = None
    else:
        giver = shuffled if context == "shuffled" else question
        assert giver is not None, "a shuffled context needs the question that it is taken from"
        passage = giver["context"][languages.source if context == "source" else language]
        if not passage:
            raise PromptError(
                f"Question {giver['id']} has no {context} context for '{language}': this dataset is not one of a "
                "task of kind in_context."
            )
    text = question["question"][language]
    return Example(
        **{**_about(question, language), "context": context},
        prompt=text if passage is None else f"{passage}\n{text}",
        completion=golds[0],
        golds=golds,
    )


def training_examples(
    kind: str, questions: Sequence[Mapping[str, Any]], languages: Languages
) -> list[Example]:
    """Both languages jointly, as the paper finetunes.

    `in_context` shows each target question twice, with the source passage and with its own, so that one model
    answers both halves of the paper's Table 4; the paper trains one model for each half.
    """
    examples: list[Example] = []
    for question in questions:
        for language in languages.both():
            if kind == "closed_book":
                examples.append(closed_book(question, language))
            elif kind == "multiple_choice":
                rotation = len(examples) // 2 % ROTATIONS
                examples.append(multiple_choice(question, language, rotation))
            else:
                contexts: tuple[ContextKind, ...] = ("native",)
                if language != languages.source:
                    contexts = ("source", "native")
                examples += [in_context(question, language, context, languages) for context in contexts]
    return examples


def evaluation_examples(
    kind: str,
    questions: Sequence[Mapping[str, Any]],
    language: str,
    languages: Languages,
    context: ContextKind,
) -> list[Example]:
    """One example per question; for `multiple_choice` one per question and rotation."""
    if kind == "closed_book":
        return [closed_book(question, language) for question in questions]
    if kind == "multiple_choice":
        return [
            multiple_choice(question, language, turn) for question in questions for turn in range(ROTATIONS)
        ]
    # The neighbour half the list away: almost surely of another page, and the same at every filter.
    half = len(questions) // 2
    return [
        in_context(question, language, context, languages, shuffled=questions[(i + half) % len(questions)])
        for i, question in enumerate(questions)
    ]


def render(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    """The text that the model continues, by the tokenizer's chat template."""
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    assert isinstance(text, str)
    return text


def _about(question: Mapping[str, Any], language: str) -> dict[str, Any]:
    return {
        "item_id": question["id"],
        "title": question["title"],
        "relation": question["relation"],
        "language": language,
        "context": "none",
    }


def _golds(question: Mapping[str, Any], language: str) -> tuple[str, ...]:
    golds = tuple(question["answer"][language])
    if not golds or not golds[0].strip():
        raise PromptError(f"Question {question['id']} has no answer in '{language}'.")
    return golds
