# SPDX-License-Identifier: Apache-2.0
"""Greedy answers and option likelihoods, batched and sorted by length, equal to one at a time in fp32."""

from collections.abc import Callable, Sequence

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from xlt_hf.errors import UserError
from xlt_hf.evaluation.prompts import render

Progress = Callable[[int], object]
"""Called with the number of items just finished."""


class NoRoomForPrompt(UserError):
    """The answer would take the model's whole window."""


class Inputs:
    """Rendered prompts as token ids, cut on the left to what the model's window leaves room for.

    Args:
        window: most tokens of prompt and answer together.
        room: tokens kept free for the answer.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], *, window: int, room: int
    ) -> None:
        rendered = [render(tokenizer, prompt) for prompt in prompts]
        ids = tokenizer(rendered, add_special_tokens=False)["input_ids"] if rendered else []
        limit = window - room
        if limit < 1:
            raise NoRoomForPrompt(
                f"A window of {window} tokens leaves none for the prompt when {room} are kept for the answer: lower "
                "evaluation.max_new_tokens, or use a model with a longer context."
            )
        self.truncated = sum(len(row) > limit for row in ids)
        self.ids: list[list[int]] = [row[-limit:] for row in ids]


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Inputs,
    *,
    max_new_tokens: int,
    batch_size: int,
    progress: Progress = lambda n: None,
) -> list[str]:
    """Greedy continuations, one per prompt, in the prompts' order; the end token and what follows are cut."""
    model.eval()
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    answers = [""] * len(inputs.ids)
    by_length = sorted(range(len(inputs.ids)), key=lambda i: len(inputs.ids[i]), reverse=True)
    for start in range(0, len(by_length), batch_size):
        batch = by_length[start : start + batch_size]
        width = len(inputs.ids[batch[0]])
        input_ids = torch.full((len(batch), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, i in enumerate(batch):
            ids = torch.tensor(inputs.ids[i])
            input_ids[row, width - len(ids) :] = ids
            mask[row, width - len(ids) :] = 1
        # The stubs take `generate` for a tensor.
        output = model.generate(  # type: ignore[operator]
            input_ids=input_ids.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=config,
        )
        texts = tokenizer.batch_decode(output[:, width:], skip_special_tokens=True)
        for i, text in zip(batch, texts, strict=True):
            answers[i] = text.strip()
        progress(len(batch))
    return answers


@torch.no_grad()
def continuation_logprobs(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    batch_size: int,
    progress: Progress = lambda n: None,
) -> list[float]:
    """Sum of log probabilities (nats) of each continuation's tokens after its prefix.

    Args:
        pairs: (prefix ids, continuation ids), both non-empty.
    """
    model.eval()
    totals = [0.0] * len(pairs)
    by_length = sorted(range(len(pairs)), key=lambda i: len(pairs[i][0]) + len(pairs[i][1]), reverse=True)
    for start in range(0, len(by_length), batch_size):
        batch = by_length[start : start + batch_size]
        rows = [[*pairs[i][0], *pairs[i][1]] for i in batch]
        width = len(rows[0])
        keep = max(len(pairs[i][1]) for i in batch) + 1
        input_ids = torch.full((len(batch), width), tokenizer.pad_token_id)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for row, ids in enumerate(rows):
            # Left padding puts every continuation at the end, so that only the last logits are computed.
            input_ids[row, width - len(ids) :] = torch.tensor(ids)
            mask[row, width - len(ids) :] = 1
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        logits = model(
            input_ids=input_ids.to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=positions.to(model.device),
            logits_to_keep=keep,
        ).logits.float()  # (B, keep, V)
        logprobs = torch.log_softmax(logits, dim=-1)
        for row, i in enumerate(batch):
            continuation = torch.tensor(list(pairs[i][1]), device=logprobs.device)
            n = len(continuation)
            steps = logprobs[row, keep - 1 - n : keep - 1]  # (n, V)
            totals[i] = steps.gather(1, continuation[:, None]).sum().item()
        progress(len(batch))
    return totals
