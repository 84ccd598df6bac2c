# SPDX-License-Identifier: Apache-2.0
"""Bits per byte: a loss that does not depend on the tokenizer, so that languages can be set side by side."""

import math
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase


@torch.no_grad()
def bits_per_byte(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    window: int,
    batch_size: int = 16,
) -> float:
    """Mean bits per UTF-8 byte of texts, each cut in windows of `window` tokens after an end token.

    Returns:
        NaN if there are no texts.
    """
    end = tokenizer.eos_token_id
    rows: list[list[int]] = []
    total_bytes = 0
    for text in texts:
        total_bytes += len(text.encode())
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        rows += [[end, *ids[start : start + window - 1]] for start in range(0, len(ids), window - 1)]
    if not total_bytes:
        return math.nan
    rows.sort(key=len)
    was_training = model.training
    model.eval()
    nats = 0.0
    for start in range(0, len(rows), batch_size):
        batch = rows[start : start + batch_size]
        width = max(map(len, batch))
        input_ids = torch.full((len(batch), width), tokenizer.pad_token_id, device=model.device)
        labels = torch.full((len(batch), width), -100, device=model.device)
        for row, ids in enumerate(batch):
            input_ids[row, : len(ids)] = labels[row, : len(ids)] = torch.tensor(ids)
        # Padding stands on the right and attention is causal: no mask is needed for the real tokens.
        logits = model(input_ids=input_ids).logits[:, :-1].float()  # (B, T - 1, V)
        loss = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]),
            labels[:, 1:].reshape(-1),
            ignore_index=-100,
            reduction="sum",
        )
        nats += loss.item()
    model.train(was_training)
    return nats / math.log(2) / total_bytes
