# SPDX-License-Identifier: Apache-2.0
"""Multiple choice by likelihood of the option's text, and without the question at all.

The letter that a model generates can be right for reasons that have nothing to do with the fact; the likelihood of
the option after the bare question asks the base knowledge. The question-blind baseline shows what the options alone
give away: it should be near chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from xlt_hf.evaluation.generation import Progress, continuation_logprobs
from xlt_hf.evaluation.prompts import render

LIKELIHOOD_METRICS = (
    "accuracy_loglikelihood_sum",
    "accuracy_loglikelihood_byte",
    "accuracy_loglikelihood_pmi",
    "accuracy_question_blind",
)


@dataclass(frozen=True)
class Choice:
    """A question with its options; `options[right]` is the gold."""

    question: str
    options: tuple[str, ...]
    right: int


def likelihood_scores(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    choices: Sequence[Choice],
    *,
    batch_size: int,
    progress: Progress = lambda n: None,
) -> list[dict[str, float]]:
    """For each question 1.0 or 0.0 per metric of `LIKELIHOOD_METRICS`.

    `sum`: log P(option | question). `byte`: the same per UTF-8 byte. `pmi`: log P(option | question) minus
    log P(option | no question). `question_blind`: log P(option | no question) alone.
    """
    blank = tokenizer(render(tokenizer, ""), add_special_tokens=False)["input_ids"]
    pairs: list[tuple[list[int], list[int]]] = []
    for choice in choices:
        prefix = tokenizer(render(tokenizer, choice.question), add_special_tokens=False)["input_ids"]
        for option in choice.options:
            # The end token is part of the answer: without it a prefix of a longer name would win.
            ids = [*tokenizer(" " + option, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
            pairs += [(prefix, ids), (blank, ids)]
    logprobs = continuation_logprobs(model, tokenizer, pairs, batch_size=batch_size, progress=progress)
    scores = []
    place = 0
    for choice in choices:
        n = len(choice.options)
        given = logprobs[place : place + 2 * n : 2]
        alone = logprobs[place + 1 : place + 2 * n : 2]
        place += 2 * n
        rankings = {
            "accuracy_loglikelihood_sum": given,
            "accuracy_loglikelihood_byte": [
                value / len(option.encode()) for value, option in zip(given, choice.options, strict=True)
            ],
            "accuracy_loglikelihood_pmi": [a - b for a, b in zip(given, alone, strict=True)],
            "accuracy_question_blind": alone,
        }
        scores.append(
            {name: float(values.index(max(values)) == choice.right) for name, values in rankings.items()}
        )
    return scores
