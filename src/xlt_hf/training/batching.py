# SPDX-License-Identifier: Apache-2.0
"""The batch is fixed in tokens; what one process does at once follows from how many there are."""

from dataclasses import dataclass
from typing import Any

from xlt_hf.errors import UserError
from xlt_hf.hub.manifest import Manifest
from xlt_hf.study import PretrainingConfig


@dataclass(frozen=True)
class BatchPlan:
    """How one optimiser step is divided."""

    rows_per_step: int
    micro_batch_rows: int
    accumulation: int
    processes: int
    steps: int

    def describe(self) -> str:
        """For `--dry_run`."""
        return (
            f"{self.processes} process(es) x {self.micro_batch_rows} rows x {self.accumulation} accumulation"
        )


def planned(corpora: Manifest, filter_level: int, settings: PretrainingConfig) -> dict[str, Any]:
    """Tokens and steps of a run by the corpora's counts, before a text is tokenised, for `--dry_run`.

    The end token of each document or paragraph comes on top, so a run has a little more of both.
    """
    counts = corpora.counts["filters"][f"filter-{filter_level}"]
    tokens = sum(language["tokens"] for language in counts.values()) * settings.epochs
    return {
        "tokens_without_end_tokens": tokens,
        "steps_at_least": tokens // settings.tokens_per_step,
        "rows_per_step": settings.tokens_per_step // settings.seq_len,
    }


def plan_batches(
    *, rows: int, tokens_per_step: int, seq_len: int, processes: int, micro_batch_rows: int
) -> BatchPlan:
    """Divide `tokens_per_step` over processes and accumulation steps, exactly.

    Args:
        rows: rows of `seq_len` tokens in the whole run.
        tokens_per_step: tokens of one optimiser step over all processes.
        micro_batch_rows: most rows that one process takes at once.

    Raises:
        UserError: the batch does not divide by the processes, or the rows do not fill one step.
    """
    rows_per_step = tokens_per_step // seq_len
    if rows_per_step % processes:
        raise UserError(
            f"A step of {tokens_per_step} tokens is {rows_per_step} rows of {seq_len}, which {processes} processes "
            f"cannot share evenly. Use a number of processes that divides {rows_per_step}, or another "
            "pretraining.tokens_per_step."
        )
    per_process = rows_per_step // processes
    micro = max(size for size in range(1, min(per_process, micro_batch_rows) + 1) if per_process % size == 0)
    steps = rows // rows_per_step
    if steps == 0:
        raise UserError(
            f"{rows} rows of {seq_len} tokens do not fill one step of {rows_per_step} rows. Use more data, more "
            "pretraining.epochs, or a lower pretraining.tokens_per_step."
        )
    return BatchPlan(rows_per_step, micro, per_process // micro, processes, steps)
